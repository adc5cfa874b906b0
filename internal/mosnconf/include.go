package mosnconf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"mosn.io/moe/framework/config"
)

// ReadFolder reads the folder at path, as a configuration names it: its JSON files, sorted by name.
type ReadFolder func(path string) ([]File, error)

// File is a file in a folder.
type File struct {
	Name string
	Text []byte
}

// Below returns a ReadFolder for the folders within dirs, and for those themselves. As in MOSN, a relative path begins at the
// working directory, and what is no .json file, or is empty, counts for nothing. No link leads out of dirs.
func Below(dirs ...string) ReadFolder {
	return func(path string) ([]File, error) {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			dir, err := filepath.Abs(dir)
			if err != nil {
				return nil, err
			}
			if rel, err := filepath.Rel(dir, abs); err == nil && filepath.IsLocal(rel) {
				return readFolder(dir, filepath.ToSlash(rel))
			}
		}
		return nil, fmt.Errorf("%s is not within %s; name its folder with --include", path, strings.Join(dirs, " or "))
	}
}

func readFolder(dir, rel string) (files []File, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	folder := root.FS()
	entries, err := fs.ReadDir(folder, rel)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		name := rel + "/" + e.Name()
		info, err := fs.Stat(folder, filepath.ToSlash(filepath.Clean(name)))
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a file", name)
		}
		text, err := fs.ReadFile(folder, filepath.ToSlash(filepath.Clean(name)))
		if err != nil {
			return nil, err
		}
		if len(text) > 0 {
			files = append(files, File{e.Name(), text})
		}
	}
	return files, nil
}

// include reads the elements of a list from a folder, a file each, and returns them with their places. Beside the folder,
// the configuration may have none.
func include[T any](c *converter, at, folder, listAt string, given []T) (all []T, places []string) {
	for i := range given {
		places = append(places, index(listAt, i))
	}
	if folder == "" {
		return given, places
	}
	if len(given) > 0 {
		c.fail(at, "%s is given too, and MOSN takes one of the two only", listAt)
		return given, places
	}
	if c.read == nil {
		c.fail(at, "folders are not read here")
		return nil, nil
	}
	files, err := c.read(folder)
	if err != nil {
		c.fail(at, "%v", withoutPath(err))
		return nil, nil
	}
	for _, f := range files {
		place := at + "[" + strconv.Quote(f.Name) + "]"
		var one T
		raw, err := config.Parse(f.Text)
		if err != nil {
			c.fail(place, "%v", err)
			continue
		}
		d := config.Decoder{Path: place}
		if err := d.Decode(fold(raw, reflect.TypeOf(one)), &one); err != nil {
			c.errs = append(c.errs, err)
			continue
		}
		c.inspect(place, reflect.ValueOf(one))
		all, places = append(all, one), append(places, place)
	}
	return all, places
}

// withoutPath leaves out what a PathError says of the path within a root, where the reason is enough.
func withoutPath(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}
