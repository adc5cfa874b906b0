package moefile

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
)

// lentSecrets are the places of secrets that are not there, for which others have been lent. For nil there are none.
type lentSecrets struct {
	paths   []string
	plugins map[string]bool // names and ids of the plugins that they are for
}

// lendSecrets returns a copy of f in which every secret has a value. Where a file of consumers is missing, it has none.
func (f *File) lendSecrets() (*File, *lentSecrets) {
	l := &lentSecrets{plugins: map[string]bool{}}
	lent := *f
	lent.Filter = l.document("", f.Filter)
	lent.Routes = slices.Clone(f.Routes)
	for i, r := range lent.Routes {
		lent.Routes[i].Doc = l.document(config.Index("routes", i), r.Doc)
	}
	return &lent, l
}

func (l *lentSecrets) document(path string, doc any) map[string]any {
	data, _ := l.lend(path, config.Clone(doc)).(map[string]any)
	if source, ok := data["consumerSource"].(map[string]any); ok {
		if file, ok := source["path"].(string); ok && missing(file) {
			delete(data, "consumerSource")
		}
	}
	return data
}

// lend replaces the references to missing secrets in v, which is at path.
func (l *lentSecrets) lend(path string, v any) any {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			v[i] = l.lend(config.Index(path, i), e)
		}
	case map[string]any:
		if isMissing(v) {
			l.paths = append(l.paths, path)
			return placeholder(path)
		}
		before := len(l.paths)
		for k, e := range v {
			at := len(l.paths)
			v[k] = l.lend(config.Key(path, k), e)
			if strings.HasSuffix(path, ".credentials") && len(l.paths) > at {
				l.plugins[k] = true
			}
		}
		for _, k := range []string{"name", "id"} { // if it is a plugin's entry
			if name, ok := v[k].(string); ok && v["config"] != nil && len(l.paths) > before {
				l.plugins[name] = true
			}
		}
	}
	return v
}

// isMissing reports whether v is {env: NAME} or {file: PATH} of what is not there.
func isMissing(v map[string]any) bool {
	if len(v) != 1 {
		return false
	}
	if name, ok := v["env"].(string); ok {
		return name != "" && os.Getenv(name) == ""
	}
	path, ok := v["file"].(string)
	return ok && path != "" && missing(path)
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// placeholder is long enough for a key, base64, and no other secret's.
func placeholder(path string) string {
	sum := sha256.Sum256([]byte(path))
	return base64.StdEncoding.EncodeToString(append(sum[:], sum[:16]...))
}

// without returns f with the plugins off whose configurations have lent secrets: they cannot be set up.
func (f *File) without(l *lentSecrets) *File {
	if l == nil {
		return f
	}
	off := *f
	off.Filter = l.disable("", f.Filter)
	off.Routes = slices.Clone(f.Routes)
	for i, r := range off.Routes {
		off.Routes[i].Doc = l.disable(config.Index("routes", i), r.Doc)
	}
	return &off
}

func (l *lentSecrets) disable(path string, doc any) map[string]any {
	data, _ := config.Clone(doc).(map[string]any)
	list, _ := data["plugins"].([]any)
	for i, p := range list {
		at := config.Errors{{Path: config.Index("plugins", i)}}.In(path)[0].Path
		entry, ok := p.(map[string]any)
		if ok && slices.ContainsFunc(l.paths, func(lent string) bool { return within(lent, at) }) {
			entry["disabled"] = true
		}
	}
	return data
}

// drop returns what of err, which is about the document at path, is not about a secret that was lent.
func (l *lentSecrets) drop(path string, err error) error {
	var es config.Errors
	if l == nil || !errors.As(err, &es) {
		return err
	}
	return slices.DeleteFunc(slices.Clone(es), func(e config.Error) bool {
		at := config.Errors{e}.In(path)[0].Path
		return at != "" && slices.ContainsFunc(l.paths, func(p string) bool { return within(p, at) || within(at, p) })
	}).Err()
}

// dropProvision drops what plugins say that were set up with a secret that was lent.
func (l *lentSecrets) dropProvision(err error) error {
	var es config.Errors
	if l == nil || !errors.As(err, &es) {
		return err
	}
	return slices.DeleteFunc(slices.Clone(es), func(e config.Error) bool { return l.plugins[e.Plugin] }).Err()
}

// within reports whether path is outer or a place in it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
