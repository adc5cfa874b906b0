package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"mosn.io/moe/internal/moefile"
)

// entered is held where the working directory becomes a file's for a while and other goroutines may do the same.
var entered sync.Mutex

// load reads a moe.yaml. Relative paths in it start from its folder.
func load(name string, l moefile.Loader) (*moefile.File, error) {
	entered.Lock()
	defer entered.Unlock()
	path, leave, err := enter(name)
	if err != nil {
		return nil, missingFile(err)
	}
	defer leave()
	l.Name = name
	file, err := l.Load(path)
	return file, missingFile(err)
}

func missingFile(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w; name another with -c FILE", err)
	}
	return err
}

// folder returns the folder of a moe.yaml, where the relative paths in it start; "" is the working directory.
func folder(file string) (string, error) {
	if file == "-" {
		return "", nil
	}
	abs, err := filepath.Abs(file)
	return filepath.Dir(abs), err
}

// enter makes the folder of a file the working directory, until leave is called, and returns the file's path from there.
func enter(file string) (path string, leave func(), err error) {
	dir, err := folder(file)
	if err != nil || dir == "" {
		return file, func() {}, err
	}
	before, err := os.Getwd()
	if err != nil {
		return "", nil, err
	}
	f, err := os.Open(file) // its error has the path as given
	if err != nil {
		return "", nil, err
	}
	f.Close()
	if err := os.Chdir(dir); err != nil {
		return "", nil, err
	}
	return filepath.Base(file), func() { _ = os.Chdir(before) }, nil
}
