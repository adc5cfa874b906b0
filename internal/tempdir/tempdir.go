// Package tempdir makes temporary folders that do not outlive their process for long: the next process that makes one
// of the same kind removes those whose makers have ended without doing so, killed for example.
package tempdir

import (
	"os"
	"path/filepath"
)

// Dir is a temporary folder of this process. It is this user's alone, because it may hold secrets.
type Dir struct {
	// Path is the folder.
	Path string
	// Lock is held for as long as the folder is in use. A child process that inherits it keeps the folder, too.
	Lock *os.File
}

// lockName is the file in each folder that its maker holds locked.
const lockName = ".lock"

// New makes a folder whose name begins with prefix, and removes folders of that prefix that nobody holds any more.
func New(prefix string) (*Dir, error) {
	sweep(filepath.Join(os.TempDir(), prefix+"*"))
	path, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: path}
	if d.Lock, err = hold(path); err != nil {
		os.RemoveAll(path)
		return nil, err
	}
	return d, nil
}

// Remove removes the folder and everything in it.
func (d *Dir) Remove() error {
	err := os.RemoveAll(d.Path)
	d.Lock.Close()
	return err
}

// hold makes the lock of a folder. The file gets its name once it is locked, so that sweep never finds one that is
// about to be.
func hold(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName+".new"), os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err = lock(f); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, lockName))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes folders of a pattern whose lock is free. A folder without a lock is left alone, and so is one of
// another user, whose lock cannot be opened.
func sweep(pattern string) {
	dirs, _ := filepath.Glob(pattern)
	for _, dir := range dirs {
		f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if lock(f) == nil {
			os.RemoveAll(dir)
		}
		f.Close()
	}
}
