package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mosn.io/moe/framework/metrics"
)

func TestMain(m *testing.M) {
	if err := os.Chdir(filepath.Join("..", "..", "..")); err != nil { // the repository's root
		panic(err)
	}
	os.Exit(m.Run())
}

// What is generated is checked in.
func TestGenerated(t *testing.T) {
	changed, err := generate(false)
	if err != nil {
		t.Fatalf("generate: %v", err)
	}
	if len(changed) > 0 {
		t.Errorf("these files are stale: %v; run `make generate`", changed)
	}
}

// Names are such that every host can show them, and texts are sentences.
func TestDefinitions(t *testing.T) {
	name := regexp.MustCompile(`^moe(\.[a-z][a-z0-9_]*)+$`)
	tag := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	seen := map[string]bool{}
	for _, d := range metrics.Definitions() {
		t.Run(d.Name, func(t *testing.T) {
			if !name.MatchString(d.Name) || seen[d.Name] {
				t.Errorf("the name is a duplicate, or not one of words and dots")
			}
			seen[d.Name] = true
			for _, one := range d.Tags {
				if !tag.MatchString(one) {
					t.Errorf("the tag %q is not a word", one)
				}
			}
			if !strings.HasSuffix(d.Help, ".") {
				t.Errorf("the help is %q, want a sentence", d.Help)
			}
		})
	}
	if len(seen) < 20 {
		t.Errorf("%d metrics are defined, want those of all packages", len(seen))
	}
}
