package istio

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzGenerate feeds any text to all that reads it: it must end in a result that passes Validate or in Errors that name
// the file, whatever it is given.
func FuzzGenerate(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*/*.yaml")
	if err != nil {
		f.Fatalf("filepath.Glob: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatalf("os.ReadFile: %v", err)
		}
		f.Add(text)
	}
	f.Add([]byte(policyText("a", hello+"targetRefs: [{kind: VirtualService, name: shop}]") + "---\n" + worldText))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		named := func(err error) {
			var es Errors
			if !errors.As(err, &es) || len(es) == 0 {
				t.Fatalf("an error of another type: %v", err)
			}
		}
		in, err := Parse("fuzz.yaml", text)
		if err != nil {
			named(err)
			return
		}
		if _, err := Validate(in); err != nil {
			named(err)
		}
		r, err := Generate(in, Options{})
		if err != nil {
			named(err)
			return
		}
		r.Explain("")
		out, err := r.YAML()
		if err != nil {
			t.Fatalf("r.YAML: %v", err)
		}
		again, err := Parse("out.yaml", out)
		if err != nil {
			t.Fatalf("Parse: %v\n%s", err, out)
		}
		if _, err := Validate(again); err != nil {
			t.Fatalf("Validate: %v\n%s", err, out)
		}
		if c, err := r.Diff(again); err != nil || len(c) != 0 {
			t.Fatalf("what is generated differs from itself: %v %v", c, err)
		}
	})
}
