package main

import (
	"os"
	"path/filepath"
	"testing"
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
	if err != nil || worker != 5000 || others != 500 {
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
