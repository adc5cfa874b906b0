package filewatch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func replace(t *testing.T, file, text string) {
	t.Helper()
	write(t, file+"~", text)
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatalf("os.Rename: %v", err)
	}
}

func text(files []File) string {
	var s []string
	for _, f := range files {
		s = append(s, filepath.Base(f.Path)+"="+string(f.Data))
	}
	return strings.Join(s, " ")
}

func TestTree(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	one := filepath.Join(other, "one")
	write(t, one, "1")
	mkdir := func(name string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatalf("os.Mkdir: %v", err)
		}
	}
	mkdir("sub")
	mkdir("..data")
	write(t, filepath.Join(dir, "sub", "b.x"), "b")
	write(t, filepath.Join(dir, "..data", "hidden.x"), "h")
	write(t, filepath.Join(dir, ".hidden.x"), "h")
	write(t, filepath.Join(dir, "other.y"), "y")
	if err := os.Symlink(filepath.Join(dir, "..data", "hidden.x"), filepath.Join(dir, "a.x")); err != nil {
		t.Fatalf("os.Symlink: %v", err)
	}
	tree := NewTree(func(n string) bool { return strings.HasSuffix(n, ".x") }, one, dir)
	files, err := tree.Read()
	if got := text(files); err != nil || got != "one=1 a.x=h b.x=b" {
		t.Fatalf("tree.Read: %v; text(files) = %q, want %q", err, got, "one=1 a.x=h b.x=b")
	}
	settled := func(want string) {
		t.Helper()
		for i := range 3 {
			files, changed, err := tree.Settled()
			if err != nil || changed != (i == 1 && want != "") || changed && text(files) != want {
				t.Errorf("look %d: %v %q %v", i, changed, text(files), err)
			}
		}
	}
	settled("")
	replace(t, one, "2")
	settled("one=2 a.x=h b.x=b")
	if err := os.Remove(filepath.Join(dir, "sub", "b.x")); err != nil {
		t.Fatalf("os.Remove: %v", err)
	}
	settled("one=2 a.x=h")
	write(t, filepath.Join(dir, "other.y"), "z") // is not followed
	settled("")
	// A file whose name ends where another's bytes begin is another file.
	write(t, filepath.Join(dir, "..data", "hidden.x"), "")
	settled("one=2 a.x=")
}

func TestTreeThatIsGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if _, err := NewTree(nil, file).Read(); err == nil {
		t.Error("a file that is not there is read")
	}
	write(t, file, "1")
	tree := NewTree(nil, file)
	if _, err := tree.Read(); err != nil {
		t.Fatalf("tree.Read: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatalf("os.Remove: %v", err)
	}
	for i := range 3 {
		if _, changed, err := tree.Settled(); err == nil || changed != (i == 0) {
			t.Errorf("%d: tree.Settled() succeeded, want an error; tree.Settled() = %v, want %v", i, changed, (i == 0))
		}
	}
	write(t, file, "1") // as it was
	for range 3 {
		if _, changed, err := tree.Settled(); err != nil || changed {
			t.Errorf("tree.Settled: %v; tree.Settled(): got true, want false", err)
		}
	}
}

func TestTreeThatIsALoop(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(dir, "again")); err != nil {
		t.Fatalf("os.Symlink: %v", err)
	}
	if _, err := NewTree(nil, dir).Read(); err == nil || !strings.Contains(err.Error(), "deep") {
		t.Errorf("NewTree(nil, dir).Read(): got error %v, want one with %q", err, "deep")
	}
}

func TestFollow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write(t, file, "1")
	tree := NewTree(nil, file)
	if _, err := tree.Read(); err != nil {
		t.Fatalf("Read: got error %v, want none", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	looks := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tree.Follow(ctx, 0, func(files []File, err error) {
			if err != nil {
				looks <- "error"
			} else {
				looks <- string(files[0].Data)
			}
		})
	}()
	next := func(want string) {
		t.Helper()
		select {
		case got := <-looks:
			if got != want {
				t.Fatalf("Follow: got %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("Follow: got nothing in 20 s, want %q", want)
		}
	}
	write(t, file, "2")
	next("2")
	if err := os.Remove(file); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	next("error")
	write(t, file, "3")
	next("3")
	cancel()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("Follow does not return when its context ends")
	}
}
