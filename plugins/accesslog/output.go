package accesslog

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// Outputs other than files.
const (
	stdout = "stdout"
	stderr = "stderr"
)

// checkEvery is how often a file's name is looked up again.
const checkEvery = time.Second

// open opens an output.
func open(output string) (destination, error) {
	switch output {
	case stdout:
		return duplicate(os.Stdout)
	case stderr:
		return duplicate(os.Stderr)
	}
	f := &file{path: output}
	return f, f.open()
}

// standard is an output of the process.
type standard struct{ *os.File }

// Refresh does nothing.
func (standard) Refresh() error { return nil }

// file is a file that logrotate, for example, may move or remove at any time: then it is made again. Writes append,
// so that a file that is cut short, by logrotate's copytruncate for example, goes on at its new end.
type file struct {
	path    string
	f       *os.File
	info    os.FileInfo
	checked time.Time
}

func (x *file) open() error {
	// Without O_NONBLOCK a named pipe without a reader would stop Envoy's main thread.
	f, err := os.OpenFile(x.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	old := x.f
	x.f, x.info, x.checked = f, info, time.Now()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Refresh opens the file again if its name has come to mean another one. Where that fails the old one stays in use.
func (x *file) Refresh() error {
	now := time.Now()
	if !x.info.Mode().IsRegular() || now.Sub(x.checked) < checkEvery {
		return nil
	}
	x.checked = now
	info, err := os.Stat(x.path)
	if err == nil && os.SameFile(info, x.info) {
		return nil
	}
	if err := x.open(); err != nil {
		return fmt.Errorf("it goes on in the old file: %w", err)
	}
	return nil
}

// Write appends.
func (x *file) Write(p []byte) (int, error) { return x.f.Write(p) }

// Close closes the file.
func (x *file) Close() error { return x.f.Close() }
