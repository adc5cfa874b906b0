package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadCounts(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	write("out.7.1-01", "version: 1\nevents: Ir\nsummary: 300\n\nfn=(1) a\n1 300\ntotals: 300\n")
	write("out.7.1-02", "totals: 5000\n")
	write("out.7.1-03", "totals: 200\n")
	write("out.7.2-01", "totals: 999999\n") // of another dump
	worker, others, err := readCounts(filepath.Join(dir, "out.7.1-*"))
	if err != nil || worker != (totals{instructions: 5000}) || others != 500 {
		t.Errorf("readCounts: got worker %v, others %v and error %v, want 5000 and 500", worker, others, err)
	}
	if _, _, err := readCounts(filepath.Join(dir, "none-*")); err == nil {
		t.Error("no files are counts")
	}
	write("out.7.1-04", "events: Ir\n")
	if _, _, err := readCounts(filepath.Join(dir, "out.7.1-*")); err == nil {
		t.Error("a file without totals is accepted")
	}
}

func TestParseTotals(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want totals
		bad  bool
	}{
		"instructions alone": {text: "events: Ir\ntotals: 300\n", want: totals{instructions: 300}},
		"caches": {
			text: "events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw\ntotals: 300 9 9 5 6 7 1 2 3\n",
			want: totals{instructions: 300, misses: &misses{Code: 5, Data: 13, Last: 6}},
		},
		"zeros at the end": {
			text: "events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw\ntotals: 300 9 9 5\n",
			want: totals{instructions: 300, misses: &misses{Code: 5}},
		},
		"more numbers than events": {text: "events: Ir\ntotals: 300 1\n", bad: true},
		"no number":                {text: "events: Ir\ntotals: x\n", bad: true},
		"no totals":                {text: "events: Ir\n", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseTotals([]byte(c.text))
			if (err != nil) != c.bad {
				t.Fatalf("parseTotals: error %v, want one: %t", err, c.bad)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(totals{})); diff != "" {
				t.Errorf("parseTotals (-want +got):\n%s", diff)
			}
		})
	}
}
