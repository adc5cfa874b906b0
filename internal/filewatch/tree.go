package filewatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// MaxTree is how many bytes a [Tree] reads in all; more is an error, so that a wrong path cannot exhaust the memory.
const MaxTree = 256 << 20

// File is a file as it was at one look. Path begins with the path that was given to [NewTree].
type File struct {
	Path string
	Data []byte
}

// Tree looks at files and directories again and again, by one goroutine at a time, and hands over the bytes that it
// has seen: what a caller takes is what was there at one moment.
type Tree struct {
	accept func(name string) bool
	paths  []string
	seen   sum // at the last look
	taken  sum // what the caller has
	failed string
	stamp  sum       // of sizes and times
	since  time.Time // when the stamp was first seen
}

// NewTree follows paths. Of a directory it takes the files in it and below whose names accept takes, or all if accept
// is nil, but none whose name, or whose directory's name, begins with a dot (Kubernetes keeps its copies there).
// A file that is named itself need not be accepted.
func NewTree(accept func(name string) bool, paths ...string) *Tree {
	return &Tree{accept: accept, paths: paths}
}

// Read returns the files in the order of the paths, those of a directory by name, and takes them.
func (t *Tree) Read() ([]File, error) {
	files, now, err := t.look()
	if err != nil {
		return nil, err
	}
	t.seen, t.taken, t.failed = now, now, ""
	return files, nil
}

// Settled returns the files, once for each change, when they are others than those taken last and were the same in two
// looks. changed is false while there is nothing to take. Where they cannot be read, changed is true with the error,
// once for each error: what the caller has still holds.
//
// Files whose sizes and times have been the same for a while are not read again: a large set costs little to follow.
func (t *Tree) Settled() (files []File, changed bool, err error) {
	if t.unchanged() {
		return nil, false, nil
	}
	files, now, err := t.look()
	if err != nil {
		again := t.failed == err.Error()
		t.failed = err.Error()
		return nil, !again, err
	}
	t.failed = ""
	still := now == t.seen
	t.seen = now
	if !still || now == t.taken {
		return nil, false, nil
	}
	t.taken = now
	return files, true, nil
}

// MinPoll bounds what looking at files costs.
const MinPoll = 10 * time.Millisecond

// Follow calls take with the files whenever they are others than those taken last and have settled, and with the error
// where they cannot be read, once for each. It looks at them every poll, but at most every [MinPoll], and returns when ctx
// ends. What the caller has still holds after an error.
func (t *Tree) Follow(ctx context.Context, poll time.Duration, take func([]File, error)) {
	tick := time.NewTicker(max(poll, MinPoll))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if files, changed, err := t.Settled(); changed {
			take(files, err)
		}
	}
}

// quiet is how long times must have been the same until they are trusted: those of a file that is written twice in a
// moment may not tell.
const quiet = 3 * time.Second

// unchanged reports whether sizes and times say that there is nothing new since what was taken.
func (t *Tree) unchanged() bool {
	h := sha256.New()
	err := t.walkAll(func(path string, info fs.FileInfo) error {
		fmt.Fprintf(h, "%q %d %d %d\n", path, info.Size(), info.ModTime().UnixNano(), inode(info))
		return nil
	})
	if err != nil {
		return false
	}
	now, before := time.Now(), t.stamp
	h.Sum(t.stamp[:0])
	if t.stamp != before {
		t.since = now
	}
	return t.seen == t.taken && t.failed == "" && now.Sub(t.since) > quiet
}

func (t *Tree) walkAll(visit func(path string, info fs.FileInfo) error) error {
	for _, p := range t.paths {
		if err := t.walk(p, 0, visit); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) look() (files []File, now sum, err error) {
	left := int64(MaxTree)
	err = t.walkAll(func(path string, info fs.FileInfo) error {
		f, err := read(path, info.Size(), &left)
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, sum{}, err
	}
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q %d\n", f.Path, len(f.Data))
		h.Write(f.Data)
	}
	h.Sum(now[:0])
	return files, now, nil
}

// maxDepth bounds directories in directories, so that a link to a directory above is an error and no endless walk.
const maxDepth = 12

// walk visits the file path, or those below it. Links are followed.
func (t *Tree) walk(path string, depth int, visit func(path string, info fs.FileInfo) error) error {
	named := depth == 0
	if depth > maxDepth {
		return fmt.Errorf("%s: more than %d directories deep", path, maxDepth)
	}
	info, err := os.Stat(path)
	if err != nil {
		if !named && errors.Is(err, fs.ErrNotExist) { // removed since its directory was read
			return nil
		}
		return err
	}
	if !info.IsDir() {
		if !named && t.accept != nil && !t.accept(path) {
			return nil
		}
		return visit(path, info)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, n := range names {
		if err := t.walk(filepath.Join(path, n), depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}

func read(path string, size int64, left *int64) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	var b bytes.Buffer
	b.Grow(int(min(max(size, 0), *left)) + bytes.MinRead) // once, for a file that does not grow meanwhile
	if _, err := b.ReadFrom(io.LimitReader(f, *left+1)); err != nil {
		return File{}, err
	}
	data := b.Bytes()
	if *left -= int64(len(data)); *left < 0 {
		return File{}, fmt.Errorf("%s: the files are larger than %d MiB", path, MaxTree>>20)
	}
	return File{path, data}, nil
}
