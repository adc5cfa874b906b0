// Package filewatch notices that files changed, by looking at their bytes: a file that is written, one that is renamed
// over another, and a link that is turned to another file, as Kubernetes does for a mounted Secret, all count.
package filewatch

import (
	"crypto/sha256"
	"maps"
	"os"
)

type sum = [sha256.Size]byte

// Files are looked at again and again, by one goroutine at a time. The first of them must be there: while it cannot be
// read, nothing has changed. Any other may be missing; that it goes, and that it comes, are changes like others.
type Files struct {
	paths   []string
	seen    map[string]sum // at the last look, by path
	taken   map[string]sum // what the caller has
	changed []string       // at the last change
}

// New takes the files as they are now for what the caller has. Make it before reading them, so that a change in between
// is noticed. An empty path, and "-", are passed over.
func New(paths ...string) *Files {
	f := &Files{}
	f.Follow(paths...)
	return f
}

// Follow has Files look at these paths from now on. It takes those that are new as they are now; a change of another that
// has not been reported yet is reported later.
func (f *Files) Follow(paths ...string) {
	f.paths = nil
	for _, p := range paths {
		if p != "-" && p != "" {
			f.paths = append(f.paths, p)
		}
	}
	now, _ := f.look()
	seen, taken := maps.Clone(now), maps.Clone(now)
	for p, old := range f.seen {
		if _, ok := now[p]; !ok {
			continue
		}
		seen[p] = old
		if old, ok := f.taken[p]; ok {
			taken[p] = old
		} else {
			delete(taken, p)
		}
	}
	f.seen, f.taken = seen, taken
}

// Changed reports, once for each change, whether the files are others than those taken last. A file that is being
// written may be seen half: the next look sees the rest.
func (f *Files) Changed() bool {
	now, ok := f.look()
	if !ok || maps.Equal(now, f.taken) {
		return false
	}
	f.take(now)
	f.seen = now
	return true
}

// Settled reports, once for each change, that the files are others than those taken last and were the same in two
// looks, so that a file that an editor is still writing is left alone until it is done.
func (f *Files) Settled() bool {
	now, ok := f.look()
	if !ok {
		return false
	}
	still := maps.Equal(now, f.seen)
	f.seen = now
	if !still || maps.Equal(now, f.taken) {
		return false
	}
	f.take(now)
	return true
}

// Which returns the paths of the change that Changed or Settled has reported last, in the order given.
func (f *Files) Which() []string { return f.changed }

// Again makes the next look report a change, for a caller that could not use what it took.
func (f *Files) Again() { f.taken = nil }

func (f *Files) take(now map[string]sum) {
	f.changed = nil
	for _, p := range f.paths {
		if old, ok := f.taken[p]; !ok || old != now[p] {
			f.changed = append(f.changed, p)
		}
	}
	f.taken = now
}

// look returns the sums of the files, zero for one that cannot be read, and whether the first of them can be.
func (f *Files) look() (now map[string]sum, ok bool) {
	now, ok = map[string]sum{}, true
	for i, p := range f.paths {
		text, err := os.ReadFile(p)
		if err != nil {
			now[p], ok = sum{}, ok && i > 0
			continue
		}
		now[p] = sha256.Sum256(text)
	}
	return now, ok
}
