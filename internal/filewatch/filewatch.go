// Package filewatch notices that files changed, by looking at their bytes: a file that is written, one that is renamed
// over another, and a link that is turned to another file, as Kubernetes does for a mounted Secret, all count.
package filewatch

import (
	"crypto/sha256"
	"os"
)

type sum = [sha256.Size]byte

// Files are looked at again and again, by one goroutine at a time.
type Files struct {
	paths []string
	seen  sum // at the last look
	taken sum // what the caller has
}

// New takes the files as they are now for what the caller has. Make it before reading them, so that a change in between
// is noticed. An empty path, and "-", are passed over.
func New(paths ...string) *Files {
	f := &Files{paths: paths}
	f.seen, _ = f.look()
	f.taken = f.seen
	return f
}

// Changed reports, once for each change, whether the files are others than those taken last. A file that is being
// written may be seen half: the next look sees the rest. Files that cannot be read have not changed.
func (f *Files) Changed() bool {
	now, ok := f.look()
	if !ok || now == f.taken {
		return false
	}
	f.seen, f.taken = now, now
	return true
}

// Settled reports, once for each change, that the files are others than those taken last and were the same in two
// looks, so that a file that an editor is still writing is left alone until it is done.
func (f *Files) Settled() bool {
	now, ok := f.look()
	if !ok {
		return false
	}
	still := now == f.seen
	f.seen = now
	if !still || now == f.taken {
		return false
	}
	f.taken = now
	return true
}

// Again makes the next look report a change, for a caller that could not use what it took.
func (f *Files) Again() { f.taken = sum{} }

func (f *Files) look() (sum, bool) {
	h := sha256.New()
	for _, p := range f.paths {
		if p == "-" || p == "" {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return sum{}, false
		}
		h.Write(text)
		h.Write([]byte{0})
	}
	var s sum
	h.Sum(s[:0])
	return s, true
}
