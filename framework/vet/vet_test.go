package vet_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/vet"
)

func TestDir(t *testing.T) {
	found, err := vet.Dir("testdata/plugin")
	if err != nil {
		t.Fatalf("Dir: %v", err)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s:%d: %s", filepath.Base(f.Pos.Filename), f.Pos.Line, f.What))
	}
	slices.Sort(got)
	const (
		goroutine = "a panic in this goroutine kills Envoy: use filter.Go, filter.Pipe or Env.Go"
		goexit    = " ends Envoy's thread, or a goroutine that a stream waits for: return instead"
		exit      = " ends the whole Envoy: return an error, or panic, which is answered with 500"
	)
	want := []string{
		"exit.go:16: run.Goexit" + goexit, "exit.go:21: FailNow of package testing" + goexit,
		"exit.go:28: os.Exit" + exit, "exit.go:30: log.Fatalf" + exit,
		"more.go:3: " + goroutine, "plugin.go:6: " + goroutine,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestDirOfOthers(t *testing.T) {
	found, err := vet.Dir("testdata/other")
	if err != nil || len(found) > 0 {
		t.Errorf("found %v and error %v in what is not a plugin", found, err)
	}
	if _, err := vet.Dir("testdata/none"); err == nil {
		t.Error("no error for a folder that is not there")
	}
}

// The plugins of this repository have nothing to be found.
func TestPlugins(t *testing.T) {
	for _, dir := range []string{"plugins", "docs/examples"} {
		t.Run(dir, func(t *testing.T) {
			found, err := vet.Dir(filepath.Join("../..", dir))
			if err != nil {
				t.Fatalf("Dir: %v", err)
			}
			for _, f := range found {
				t.Errorf("found %v", f)
			}
		})
	}
}
