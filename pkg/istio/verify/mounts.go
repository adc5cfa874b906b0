package verify

import (
	"encoding/base64"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Mount is a Secret that policies mount into the proxies as a volume.
type Mount struct {
	Secret string // the Secret's name
	Path   string // the folder in the proxy that holds its keys
}

// placeholder is the content of mounted files that no Secret of the input provides. It is long enough for a key, and
// valid as text, hexadecimal and Base64.
const placeholder = "00000000000000000000000000000000"

// mounts maps the volumes of proxies to folders on this machine.
type mounts struct {
	dir   string
	local map[string]string // by the path in the proxy
	paths []string          // in the proxy, nested ones first
}

// newMounts makes a folder below dir for each volume and writes the keys of the Secrets among the objects into it.
func newMounts(dir string, all []Mount, objects []Object) (*mounts, error) {
	m := &mounts{dir: dir, local: map[string]string{}}
	for i, v := range all {
		if m.local[v.Path] != "" {
			continue
		}
		local := filepath.Join(dir, strconv.Itoa(i))
		m.local[v.Path] = local
		m.paths = append(m.paths, v.Path)
		if err := os.Mkdir(local, 0o700); err != nil {
			return nil, err
		}
		for key, data := range secretData(objects, v.Secret) {
			if err := os.WriteFile(filepath.Join(local, filepath.Base(key)), data, 0o600); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(m.paths, func(a, b string) int { return len(b) - len(a) })
	return m, nil
}

// secretData returns the decoded data of the first Secret of that name, by key.
func secretData(objects []Object, name string) map[string][]byte {
	keys := map[string][]byte{}
	i := slices.IndexFunc(objects, func(o Object) bool { return o.is("", "Secret") && o.Name() == name })
	if i < 0 {
		return keys
	}
	for k, v := range stringMap(objects[i]["data"]) {
		if data, err := base64.StdEncoding.DecodeString(v); err == nil {
			keys[k] = data
		}
	}
	for k, v := range stringMap(objects[i]["stringData"]) {
		keys[k] = []byte(v)
	}
	return keys
}

// redirect replaces the volumes' paths in v with the paths on this machine, and writes a placeholder for each missing
// file. It returns the placeholders' paths in the proxy.
func (m *mounts) redirect(v any) (made []string, err error) {
	replace := func(text string) (string, error) {
		for _, path := range m.paths {
			local := m.local[path]
			rest, below := strings.CutPrefix(text, strings.TrimSuffix(path, "/")+"/")
			switch {
			case text == path:
				return local, nil
			case below && filepath.IsLocal(rest):
				file := filepath.Join(local, rest)
				if _, err := os.Stat(file); err == nil {
					return file, nil
				}
				made = append(made, text)
				return file, write(file, placeholder)
			}
		}
		return text, nil
	}
	var walk func(v any) (any, error)
	walk = func(v any) (any, error) {
		var err error
		switch v := v.(type) {
		case string:
			return replace(v)
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if v[k], err = walk(v[k]); err != nil {
					return nil, err
				}
			}
		case []any:
			for i := range v {
				if v[i], err = walk(v[i]); err != nil {
					return nil, err
				}
			}
		}
		return v, nil
	}
	_, err = walk(v)
	return made, err
}

func write(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}
