package filewatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Files that have been quiet are not read, and a change ends that.
func TestQuietFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write(t, file, "one")
	tree := NewTree(nil, file)
	if _, err := tree.Read(); err != nil {
		t.Fatalf("tree.Read: %v", err)
	}
	if tree.unchanged() {
		t.Error("times are trusted at once")
	}
	tree.since = time.Now().Add(-time.Hour)
	if !tree.unchanged() {
		t.Error("a file that has been quiet is read again")
	}
	// Another file of the same size and time in its place.
	info, err := os.Stat(file)
	if err != nil {
		t.Fatalf("os.Stat: %v", err)
	}
	write(t, file+".new", "two")
	if err := os.Chtimes(file+".new", info.ModTime(), info.ModTime()); err != nil {
		t.Fatalf("os.Chtimes: %v", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatalf("os.Rename: %v", err)
	}
	var got []File
	for range 3 {
		files, changed, err := tree.Settled()
		if err != nil {
			t.Fatalf("tree.Settled: %v", err)
		}
		if changed {
			got = append(got, files...)
		}
	}
	if len(got) != 1 || string(got[0].Data) != "two" {
		t.Errorf("got %d files, want one with %q", len(got), "two")
	}
	tree.since = time.Now().Add(-time.Hour)
	if err := os.Remove(file); err != nil {
		t.Fatalf("os.Remove: %v", err)
	}
	if _, changed, err := tree.Settled(); !changed || err == nil {
		t.Error("got no error for a file that is gone")
	}
}
