package manifest

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

// MaxInput bounds the bytes of all files together.
const MaxInput = 256 << 20

// Load reads files and folders; "-" is stdin. In a folder and those below, it reads all files whose names end in .yaml,
// .yml or .json, in the order of their names, except for hidden ones. The error is an [Errors].
func Load(stdin io.Reader, paths ...string) (*Input, error) {
	in := &Input{}
	var p Problems
	for _, path := range paths {
		in.load(stdin, path, &p)
	}
	return in, p.Err()
}

func (in *Input) load(stdin io.Reader, path string, p *Problems) {
	if path == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, MaxInput+1))
		if err != nil {
			p.Add(Error{File: "-", Msg: err.Error()})
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
		p.Add(Error{File: path, Msg: reason(err)})
		return
	}
	if len(files) == 0 {
		p.Add(Error{File: path, Msg: "the folder has no file whose name ends in .yaml, .yml or .json"})
	}
	for _, file := range files {
		in.file(file, p)
	}
}

// manifests finds the files of a folder. WalkDir visits them in the order of their names.
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

func (in *Input) file(path string, p *Problems) {
	f, err := os.Open(path)
	if err != nil {
		p.Add(Error{File: path, Msg: reason(err)})
		return
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxInput+1))
	if err != nil {
		p.Add(Error{File: path, Msg: reason(err)})
		return
	}
	in.read(path, text, p)
}

// reason returns what is wrong with a file, without repeating its name.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// Parse reads the objects of a text as [Load] would from a file of that name.
func Parse(file string, text []byte) (*Input, error) {
	in := &Input{}
	var p Problems
	in.read(file, text, &p)
	return in, p.Err()
}

func (in *Input) read(file string, text []byte, p *Problems) {
	if in.bytes += len(text); in.bytes > MaxInput {
		p.Add(Error{File: file, Msg: fmt.Sprintf("more than %d MiB of input; give fewer objects", MaxInput>>20)})
		return
	}
	// Some editors and kubectl on Windows write CR LF, which a block of text would keep.
	docs, err := config.ParseDocuments(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	if err != nil {
		es, ok := err.(config.Errors)
		if !ok {
			es = config.Errors{{Msg: err.Error()}}
		}
		es[0].File = file
		p.Add(es[0])
		return
	}
	for _, d := range docs {
		in.add(file, d.Data, d.Node.Content[0], p)
	}
}

func (in *Input) add(file string, data any, n *yaml.Node, p *Problems) {
	o := &Object{File: file, Line: n.Line, node: n}
	var ok bool
	if o.Data, ok = data.(map[string]any); !ok || o.Kind() == "" || o.APIVersion() == "" {
		p.Add(Error{File: file, Line: n.Line, Column: n.Column, Msg: "not a Kubernetes object: expected apiVersion, kind and metadata"})
		return
	}
	if items, ok := o.Data["items"].([]any); ok && strings.HasSuffix(o.Kind(), "List") {
		list := child(n, "items")
		for i, item := range items {
			at := n
			if list != nil && i < len(list.Content) {
				at = list.Content[i]
			}
			in.add(file, item, at, p)
		}
		return
	}
	if o.Name() == "" && o.Kind() != "Kustomization" {
		p.At(o, "metadata.name", "is required")
		return
	}
	in.objects = append(in.objects, o)
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			if v := n.Content[i+1]; v.Kind != yaml.AliasNode {
				return v
			}
			return n.Content[i+1].Alias
		}
	}
	return nil
}
