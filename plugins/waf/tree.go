package waf

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"mosn.io/moe/plugins/internal/reload"
)

// ruleFileSuffixes are those of files with rules, and with data that they use.
var ruleFileSuffixes = []string{".conf", ".data"}

// tree is all that rules can read: the Core Rule Set, whose names begin with "@", and the operator's files below "own".
// The files of the system are not in it.
type tree struct{ own map[string][]byte }

var fileName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// newTree returns a tree with files, and the directives that include those with rules. Files of one folder stay together,
// because rules name their data by its name alone.
func newTree(files []reload.File) (t tree, includes string, err error) {
	t.own = map[string][]byte{}
	folders := map[string]string{}
	// The engine remembers for the whole process what it has made of a name: files that have changed need another.
	all := sha256.New()
	for _, f := range files {
		fmt.Fprintf(all, "%q %q\n", f.Path, f.Data)
	}
	version := hex.EncodeToString(all.Sum(nil))
	for _, f := range files {
		dir, base := filepath.Split(f.Path)
		if !fileName.MatchString(base) {
			return t, "", fmt.Errorf("ruleFiles: %s: the name must consist of letters, digits, '.', '_' and '-'", f.Path)
		}
		if folders[dir] == "" {
			folders[dir] = fmt.Sprintf("own/%s/%d", version, len(folders))
		}
		name := path.Join(folders[dir], base)
		if _, ok := t.own[name]; ok {
			continue // listed twice
		}
		t.own[name] = f.Data
		if !strings.HasSuffix(strings.ToLower(base), ".conf") {
			continue
		}
		if err := checkDirectives(string(f.Data)); err != nil {
			return t, "", fmt.Errorf("ruleFiles: %s: %w", f.Path, err)
		}
		includes += "Include " + name + "\n"
	}
	return t, includes, nil
}

// core reports whether name is one of the Core Rule Set, and returns it as it is known there: rules name their data by a
// path that has that of whoever included them before the "@".
func core(name string) (string, bool) {
	at := strings.IndexByte(name, '@')
	return name[max(at, 0):], at >= 0
}

// Open is that of fs.FS. The operator's files are read whole, by ReadFile.
func (t tree) Open(name string) (fs.File, error) {
	if name, ok := core(name); ok {
		return coreruleset.FS.Open(name)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadFile is that of fs.ReadFileFS.
func (t tree) ReadFile(name string) ([]byte, error) {
	if name, ok := core(name); ok {
		return fs.ReadFile(coreruleset.FS, name)
	}
	if data, ok := t.own[strings.TrimPrefix(path.Clean(name), "/")]; ok {
		return data, nil
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
}

// Glob is that of fs.GlobFS.
func (t tree) Glob(pattern string) ([]string, error) {
	if pattern, ok := core(pattern); ok {
		return fs.Glob(coreruleset.FS, pattern)
	}
	return nil, nil
}
