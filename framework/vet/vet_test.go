package vet_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mosn.io/moe/framework/vet"
)

func TestDir(t *testing.T) {
	found, err := vet.Dir("testdata/plugin")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, filepath.Base(f.Pos.Filename), f.String()[len(f.Pos.String()):])
	}
	slices.Sort(got)
	const what = ": a panic in this goroutine kills Envoy: use filter.Go, filter.Pipe or Env.Go"
	if want := []string{what, what, "more.go", "plugin.go"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if found, err := vet.Dir("testdata/other"); err != nil || len(found) > 0 {
		t.Error(found, err)
	}
	if _, err := vet.Dir("testdata/none"); err == nil {
		t.Error("a folder that is not there")
	}
}

// The plugins of this repository.
func TestPlugins(t *testing.T) {
	for _, dir := range []string{"../../plugins", "../../docs/examples"} {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		found, err := vet.Dir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			t.Error(f)
		}
	}
}
