package filewatch

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// settle returns the paths of a change that two looks have seen, or nil.
func settle(f *Files) []string {
	settled := f.Settled()
	if !settled {
		settled = f.Settled()
	}
	if !settled {
		return nil
	}
	return f.Which()
}

func TestWhich(t *testing.T) {
	dir := t.TempDir()
	first, second, third := filepath.Join(dir, "first"), filepath.Join(dir, "second"), filepath.Join(dir, "third")
	write(t, first, "one")
	write(t, second, "one")
	f := New(first, second, third)
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{name: "nothing", do: func() {}},
		{name: "one", do: func() { write(t, second, "two") }, want: []string{second}},
		{name: "two at once", do: func() { write(t, first, "two"); write(t, second, "three") }, want: []string{first, second}},
		{name: "a file comes", do: func() { write(t, third, "") }, want: []string{third}},
		{name: "a file goes", do: func() { os.Remove(second) }, want: []string{second}},
		{name: "another changes meanwhile", do: func() { write(t, first, "three") }, want: []string{first}},
		{name: "the first goes", do: func() { os.Remove(first); write(t, third, "two") }},
		{name: "the first comes", do: func() { write(t, first, "three") }, want: []string{third}},
		{name: "not taken", do: f.Again, want: []string{first, second, third}},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.do()
			if diff := cmp.Diff(step.want, settle(f)); diff != "" {
				t.Errorf("what has changed (-want +got):\n%s", diff)
			}
		})
	}
}

// A change that comes before Follow is not lost, but what Follow adds has not changed.
func TestFilesFollow(t *testing.T) {
	dir := t.TempDir()
	kept, added, dropped := filepath.Join(dir, "kept"), filepath.Join(dir, "added"), filepath.Join(dir, "dropped")
	for _, p := range []string{kept, added, dropped} {
		write(t, p, "one")
	}
	f := New(kept, dropped)
	for _, p := range []string{kept, added, dropped} {
		write(t, p, "two")
	}
	f.Follow(kept, added)
	if diff := cmp.Diff([]string{kept}, settle(f)); diff != "" {
		t.Errorf("what has changed before Follow (-want +got):\n%s", diff)
	}
	write(t, added, "three")
	write(t, dropped, "three")
	if diff := cmp.Diff([]string{added}, settle(f)); diff != "" {
		t.Errorf("what has changed after Follow (-want +got):\n%s", diff)
	}
	f.Again()
	f.Follow(kept, dropped)
	if diff := cmp.Diff([]string{kept}, settle(f)); diff != "" {
		t.Errorf("what is reported after Again and Follow (-want +got):\n%s", diff)
	}
}
