package filewatch

import (
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
}

func TestSettled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write(t, file, "one")
	f := New(file, "", "-")
	for _, step := range []struct {
		name, text string
		want       bool
	}{
		{name: "nothing has changed", text: "one"},
		{name: "cut, to be written anew", text: ""},
		{name: "written", text: "two"},
		{name: "settled", text: "two", want: true},
		{name: "settled before", text: "two"},
		{name: "written a second time", text: "three"},
		{name: "back again before it settled", text: "two"},
		{name: "back again, settled", text: "two"}, // nothing to take
		{name: "written a third time", text: "three"},
		{name: "settled a second time", text: "three", want: true},
	} {
		t.Run(step.name, func(t *testing.T) {
			write(t, file, step.text)
			if got := f.Settled(); got != step.want {
				t.Errorf("Settled with %q: got %v, want %v", step.text, got, step.want)
			}
		})
	}
}

func TestMissingIsNoChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write(t, file, "one")
	f := New(file)
	os.Remove(file)
	if f.Changed() || f.Settled() || f.Settled() {
		t.Error("a file that cannot be read counts as changed")
	}
	write(t, file, "one")
	if f.Changed() {
		t.Error("the same bytes count as changed")
	}
}

func TestTurnedLink(t *testing.T) {
	dir := t.TempDir()
	a, b, link := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "link")
	write(t, a, "one")
	write(t, b, "two")
	if err := os.Symlink(a, link); err != nil {
		t.Fatalf("os.Symlink: %v", err)
	}
	f := New(link)
	next := link + ".next"
	if err := os.Symlink(b, next); err != nil {
		t.Fatalf("os.Symlink: %v", err)
	}
	if err := os.Rename(next, link); err != nil {
		t.Fatalf("os.Rename: %v", err)
	}
	if !f.Changed() || f.Changed() || f.Settled() {
		t.Error("a link that is turned to another file counts as one change")
	}
}

func TestAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write(t, file, "one")
	f := New(file)
	f.Again()
	if !f.Changed() || f.Changed() {
		t.Error("Again makes one change")
	}
	f.Again()
	if !f.Settled() || f.Settled() {
		t.Error("Again makes one change that has settled")
	}
}
