package istio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/config"
)

// MaxInput is how many bytes are read at most, of all files together.
const MaxInput = 256 << 20

// Object is an object of Kubernetes as it was read.
type Object struct {
	Data map[string]any // JSON's types; not to be changed
	File string         // as it was given; "-" is the standard input
	Line int            // where it begins

	node *yaml.Node
}

func (o *Object) text(keys ...string) string {
	s, _ := dig(o.Data, keys...).(string)
	return s
}

// APIVersion returns the object's apiVersion.
func (o *Object) APIVersion() string { return o.text("apiVersion") }

// Kind returns the object's kind.
func (o *Object) Kind() string { return o.text("kind") }

// Name returns the object's name.
func (o *Object) Name() string { return o.text("metadata", "name") }

// Namespace returns the object's namespace, "" if it names none.
func (o *Object) Namespace() string { return o.text("metadata", "namespace") }

// dig goes down from v by keys; nil where there is nothing.
func dig(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// Input is what was read.
type Input struct {
	objects []*Object
	bytes   int
}

// Objects returns all objects in the order in which they were read; those of a List stand for it.
func (in *Input) Objects() []*Object { return in.objects }

// Load reads files and folders; "-" is stdin. Of a folder it reads all files, also those in folders below, whose names
// end in .yaml, .yml or .json, in the order of their names; hidden ones are left out. The error is an [Errors].
func Load(stdin io.Reader, paths ...string) (*Input, error) {
	in := &Input{}
	var p problems
	for _, path := range paths {
		in.load(stdin, path, &p)
	}
	return in, p.err()
}

func (in *Input) load(stdin io.Reader, path string, p *problems) {
	if path == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, MaxInput+1))
		if err != nil {
			p.add(Error{File: "-", Msg: err.Error()})
			return
		}
		in.read(path, text, p)
		return
	}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		in.file(path, p)
		return
	}
	var files []string
	if err == nil {
		files, err = manifests(path)
	}
	if err != nil {
		p.add(Error{File: path, Msg: reason(err)})
		return
	}
	if len(files) == 0 {
		p.add(Error{File: path, Msg: "the folder has no file whose name ends in .yaml, .yml or .json"})
	}
	for _, file := range files {
		in.file(file, p)
	}
}

// manifests finds the files of a folder. WalkDir goes by name.
func manifests(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

func (in *Input) file(path string, p *problems) {
	f, err := os.Open(path)
	if err != nil {
		p.add(Error{File: path, Msg: reason(err)})
		return
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxInput+1))
	if err != nil {
		p.add(Error{File: path, Msg: reason(err)})
		return
	}
	in.read(path, text, p)
}

// reason is what went wrong with a file, without its name.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// Parse reads the objects of a text, as [Load] does those of a file of that name.
func Parse(file string, text []byte) (*Input, error) {
	in := &Input{}
	var p problems
	in.read(file, text, &p)
	return in, p.err()
}

func (in *Input) read(file string, text []byte, p *problems) {
	if in.bytes += len(text); in.bytes > MaxInput {
		p.add(Error{File: file, Msg: fmt.Sprintf("more than %d MiB of input; give fewer objects", MaxInput>>20)})
		return
	}
	// Some editors and kubectl on Windows write CR LF, which a block of text would keep.
	docs, err := config.ParseDocuments(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	if err != nil {
		var es config.Errors
		msg := err.Error()
		if errors.As(err, &es) {
			msg = es[0].Msg
		}
		line := 0
		if n, _ := fmt.Sscanf(msg, "line %d:", &line); n == 1 {
			_, msg, _ = strings.Cut(msg, ": ")
		}
		p.add(Error{File: file, Line: line, Msg: msg})
		return
	}
	for _, d := range docs {
		in.add(file, d.Data, follow(d.Node), p)
	}
}

func (in *Input) add(file string, data any, n *yaml.Node, p *problems) {
	o := &Object{File: file, Line: n.Line, node: n}
	var ok bool
	if o.Data, ok = data.(map[string]any); !ok || o.Kind() == "" || o.APIVersion() == "" {
		p.add(Error{File: file, Line: n.Line, Msg: "no object of Kubernetes: expected apiVersion, kind and metadata"})
		return
	}
	if items, ok := o.Data["items"].([]any); ok && strings.HasSuffix(o.Kind(), "List") {
		list := child(n, "items")
		for i, item := range items {
			at := n
			if list != nil && i < len(list.Content) {
				at = follow(list.Content[i])
			}
			in.add(file, item, at, p)
		}
		return
	}
	if o.Name() == "" && o.Kind() != "Kustomization" {
		p.at(o, "metadata.name", "is required")
		return
	}
	in.objects = append(in.objects, o)
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return follow(n.Content[i+1])
		}
	}
	return nil
}
