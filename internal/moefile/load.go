package moefile

import (
	"cmp"
	"errors"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/config"
)

// Loader says how files are read and checked. The zero value reads them, and checks no plugin.
type Loader struct {
	Check Check
	Host  Host // for which plugins are checked
	// Files reads the certificates of listeners and upstreams, too, as ProvisionPlugins does.
	Files bool

	// Name is what errors call the file; by default the path given to Load.
	Name string
	// WithoutSecrets takes secrets that are not there, {env: NAME} and {file: PATH}, for present. What a plugin says about
	// one of them counts for nothing; everything else is checked.
	WithoutSecrets bool
	// Lookup returns the values of variables; nil is os.LookupEnv.
	Lookup func(name string) (string, bool)
}

// source is the text that a File was made of.
type source struct {
	name   string
	text   []byte
	node   *yaml.Node
	values []string // of variables, which errors must not show
	routes []string // their names, in order
}

// Load reads the file at path; "-" is the standard input. See [Loader.Parse].
func Load(path string, c Check, h Host) (*File, error) { return Loader{Check: c, Host: h}.Load(path) }

// Parse is [Loader.Parse] for a text without a name. Its errors have paths, but neither lines nor columns.
func Parse(text []byte, c Check, h Host) (*File, error) { return Loader{Check: c, Host: h}.Parse(text) }

// Load reads the file at path; "-" is the standard input. See [Loader.Parse].
func (l Loader) Load(path string) (*File, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(os.Stdin, config.MaxSize+1))
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	l.Name = cmp.Or(l.Name, path)
	return l.Parse(text)
}

// Parse reads a file's text, puts in the values of its variables and checks it. The error is a config.Errors with all that
// is wrong, and with the file, the line and the column of each.
func (l Loader) Parse(text []byte) (*File, error) {
	s := source{name: l.Name, text: text}
	d, err := config.ParseDocument(text)
	if err != nil {
		return nil, s.place(err)
	}
	s.node = d.Node
	v := &variables{lookup: l.Lookup}
	if v.lookup == nil {
		v.lookup = os.LookupEnv
	}
	if s.node != nil {
		v.expand(s.node, "")
	}
	if v.found {
		if d.Data, err = config.Data(s.node); err != nil {
			return nil, s.place(err)
		}
	}
	s.values = v.values
	errs := v.errs
	f := l.read(d.Data, func(path string, err error) {
		var all config.Errors
		if !errors.As(err, &all) && err != nil {
			all = config.Errors{{Msg: err.Error()}}
		}
		for _, e := range all.In(path) {
			if !v.failed[e.Path] { // nothing else is known about a value that is missing
				errs = append(errs, e)
			}
		}
	})
	if err := errs.Err(); err != nil {
		return nil, s.place(err)
	}
	f.source = s
	for _, r := range f.Routes {
		f.source.routes = append(f.source.routes, r.Name)
	}
	return f, nil
}

// Text returns what f was read from, with its variables as they are written.
func (f *File) Text() []byte { return f.source.text }

// Place returns an error about the configuration of f, whose paths may begin with a route's name as in
// routes.NAME.plugins[0], with the file, lines and columns. Other errors stay as they are.
func (f *File) Place(err error) error { return f.source.place(err) }

func (s source) place(err error) error {
	var es config.Errors
	if !errors.As(err, &es) {
		return err
	}
	placed := es.Redact(s.values)
	for i := range placed {
		placed[i].Path = s.ofFile(placed[i].Path)
	}
	if s.name == "" {
		return placed.Err()
	}
	for i := range placed {
		e := &placed[i]
		e.File = s.name
		if e.Line == 0 && s.node != nil {
			at := config.Locate(s.node, s.ofNode(e.Path))
			e.Line, e.Column = at.Line, at.Column
		}
	}
	return placed.Err()
}

// ofFile turns the name of a route in a path into its index.
func (s source) ofFile(path string) string {
	for i, name := range s.routes {
		if rest, ok := strings.CutPrefix(path, config.Key("routes", name)); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return config.Index("routes", i) + rest
		}
	}
	return path
}

// ofNode returns the path of a field in the text, which may be the list of plugins alone.
func (s source) ofNode(path string) string {
	root := s.node
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	if root.Kind == yaml.SequenceNode {
		return strings.TrimPrefix(path, "plugins")
	}
	return path
}
