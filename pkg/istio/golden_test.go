package istio

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "mosn.io/moe/pkg/istio/envoytypes"
	_ "mosn.io/moe/plugins"

	"mosn.io/moe/pkg/istio/internal/diff"
)

var update = flag.Bool("update", false, "write the golden files anew")

func generate(t *testing.T, text string) *Result {
	t.Helper()
	in, err := Parse("in.yaml", []byte(text))
	if err == nil {
		var r *Result
		if r, err = Generate(in, Options{}); err == nil {
			return r
		}
	}
	var es Errors
	if errors.As(err, &es) {
		for _, e := range es {
			t.Errorf("Generate: got error %v, want none", e)
		}
	}
	t.Fatalf("nothing was generated of\n%s", text)
	return nil
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	if string(want) != string(got) {
		t.Errorf("%s differs; run `go test ./pkg/istio -update` and look at the difference:\n%s", file,
			diff.Unified("want", "got", string(want), string(got)))
	}
}

// TestGolden generates from every folder of testdata/golden, holds the result against out.yaml, and lets Validate look at
// it: what is generated must pass what any EnvoyFilter must.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("testdata/golden: got folders %q, error %v; want some", dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, "in.yaml"))
			if err != nil {
				t.Fatalf("os.ReadFile: %v", err)
			}
			r := generate(t, string(text))
			out, err := r.YAML()
			if err != nil {
				t.Fatalf("r.YAML: %v", err)
			}
			golden(t, filepath.Join(dir, "out.yaml"), out)
			golden(t, filepath.Join(dir, "explain.txt"), []byte(r.Explain("")))
			valid(t, out)

			// The order of the objects makes no difference, nor do the line ends of Windows.
			docs := strings.Split(string(text), "\n---\n")
			slices.Reverse(docs)
			again, err := generate(t, strings.ReplaceAll(strings.Join(docs, "\n---\n"), "\n", "\r\n")).YAML()
			if err != nil || string(again) != string(out) {
				t.Errorf("%v\n%s", err, diff.Unified("in order", "reversed, CR LF", string(out), string(again)))
			}
		})
	}
}

func valid(t *testing.T, text []byte) {
	t.Helper()
	in, err := Parse("out.yaml", text)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	warnings, err := Validate(in)
	for _, w := range warnings {
		t.Errorf("warning: %v", w)
	}
	if err != nil {
		t.Errorf("Validate: %v", err)
	}
}
