// Package consumer reads who may call from files: one file, or a directory such as a mounted Secret of Kubernetes.
//
// A file is JSON or YAML: a consumer, a list of consumers, or an object with the list `consumers`; of JSON also several
// of these, one after the other. A consumer is what `consumers` of a chain's document lists. Of a directory, the files
// in it and below whose names end with .json, .yaml or .yml count, but for those that begin with a dot.
package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/assembly/consumers"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/filewatch"
)

// Spec is a consumer as it is written.
type Spec = consumers.Spec

func init() { consumers.Register(func(path string) consumers.Source { return Open(path) }) }

// suffixes are of the files that count in a directory.
var suffixes = []string{".json", ".yaml", ".yml"}

// Source is the consumers in the files of a path. It implements [consumers.Source].
type Source struct{ tree *filewatch.Tree }

// Open returns the source at path, a file or a directory, which need not exist yet.
func Open(path string) *Source {
	return &Source{filewatch.NewTree(func(name string) bool {
		return slices.Contains(suffixes, strings.ToLower(filepath.Ext(name)))
	}, path)}
}

// Read returns the consumers of the files as they are now, in the order of the files. The error tells the file and the
// place in it; it quotes no values.
func (s *Source) Read() ([]Spec, error) {
	files, err := s.tree.Read()
	if err != nil {
		return nil, err
	}
	return Parse(files)
}

// Follow calls take with the consumers whenever the files have changed and settled, or with the error where they cannot be
// read. It looks at them every poll, and returns when ctx ends.
func (s *Source) Follow(ctx context.Context, poll time.Duration, take func([]Spec, error)) {
	s.tree.Follow(ctx, poll, func(files []filewatch.File, err error) {
		if err != nil {
			take(nil, err)
			return
		}
		take(Parse(files))
	})
}

// Parse returns the consumers of files, in their order. An empty file has none. The error is a config.Errors with the
// file and the place in it; it quotes no values.
func Parse(files []filewatch.File) (all []Spec, err error) {
	defer func() { // it runs in the background, where nobody else catches a panic of a parser
		if v := recover(); v != nil {
			all, err = nil, fmt.Errorf("panic: %v", v)
		}
	}()
	for _, f := range files {
		specs, err := parse(f)
		if err != nil {
			return nil, err
		}
		all = append(all, specs...)
	}
	return all, nil
}

func parse(f filewatch.File) ([]Spec, error) {
	text := bytes.TrimLeft(bytes.TrimPrefix(f.Data, []byte("\ufeff")), " \t\r\n")
	if len(text) == 0 {
		return nil, nil
	}
	if strings.EqualFold(filepath.Ext(f.Path), ".json") || (text[0] == '[' || text[0] == '{') && json.Valid(text) {
		return parseJSON(f.Path, text)
	}
	if len(f.Data) > config.MaxSize {
		return nil, fail(f.Path, "a YAML file has %d bytes at most; write JSON, or several files in a directory",
			config.MaxSize)
	}
	doc, err := config.Parse(f.Data)
	if err != nil {
		return nil, in(f.Path, err)
	}
	return decode(f.Path, doc)
}

// decode takes what YAML said.
func decode(file string, doc any) ([]Spec, error) {
	at := ""
	switch d := doc.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		if _, ok := d["name"]; ok {
			doc = []any{d}
			break
		}
		var list struct {
			Consumers []any `json:"consumers"`
		}
		if err := config.Decode(d, &list); err != nil {
			return nil, in(file, err)
		}
		doc, at = list.Consumers, "consumers"
	case []any:
	default:
		return nil, fail(file, "expected a list of consumers")
	}
	list, _ := doc.([]any)
	specs := make([]Spec, len(list))
	for i, v := range list {
		path := config.Index(at, i)
		d := &config.Decoder{Path: path, Partial: true}
		if err := d.Decode(v, &specs[i]); err != nil {
			return nil, in(file, err)
		}
		specs[i].Path = file + ": " + path
	}
	return check(specs)
}

// parseJSON reads a stream of JSON, however long: a set of 100,000 consumers has many megabytes.
func parseJSON(file string, text []byte) ([]Spec, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	var specs []Spec
	one := func() error {
		s := Spec{Path: file + ": " + config.Index("", len(specs))}
		if err := d.Decode(&s); err != nil {
			return err
		}
		tidySpec(&s)
		specs = append(specs, s)
		return nil
	}
	for {
		rest := bytes.TrimLeft(text[d.InputOffset():], " \t\r\n")
		var err error
		switch {
		case len(rest) == 0:
			return check(specs)
		case rest[0] == '[':
			err = list(d, one)
		case rest[0] == '{' && bytes.HasPrefix(bytes.TrimLeft(rest[1:], " \t\r\n"), []byte(`"consumers"`)):
			err = wrapped(d, one)
		default:
			err = one()
		}
		if err != nil {
			return nil, jsonError(file, text, d.InputOffset(), len(specs), err)
		}
	}
}

// list reads the elements of a JSON list one by one.
func list(d *json.Decoder, one func() error) error {
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('[') {
		return errors.New("expected a list of consumers")
	}
	for d.More() {
		if err := one(); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// wrapped reads {"consumers": […]}.
func wrapped(d *json.Decoder, one func() error) error {
	for range 2 { // the brace and the key
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	if err := list(d, one); err != nil {
		return err
	}
	if d.More() {
		return errors.New(`an object with "consumers" has no other fields`)
	}
	_, err := d.Token()
	return err
}

// jsonError says what is wrong without a value: encoding/json's errors quote some.
func jsonError(file string, text []byte, offset int64, n int, err error) error {
	early := errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
	if early {
		offset = int64(len(text))
	}
	line := 1 + bytes.Count(text[:min(int(offset), len(text))], []byte("\n"))
	at := fmt.Sprintf("line %d, consumer %d", line, n+1)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case early:
		return fail(file, "%s: the JSON ends too early", at)
	case errors.As(err, &syntax):
		return fail(file, "%s: not valid JSON", at)
	case errors.As(err, &typ):
		return fail(file, "%s: %s: expected another type than %s", at, typ.Field, strings.Fields(typ.Value)[0])
	}
	return fail(file, "%s: %s", at, strings.TrimPrefix(err.Error(), "json: "))
}

func fail(path, format string, args ...any) error {
	return config.Errors{{Path: path, Msg: fmt.Sprintf(format, args...)}}
}

func in(file string, err error) error {
	var all config.Errors
	if errors.As(err, &all) {
		moved := slices.Clone(all)
		for i := range moved {
			moved[i].Msg, moved[i].Path = config.Error{Path: moved[i].Path, Msg: moved[i].Msg}.Error(), file
		}
		return moved
	}
	return fail(file, "%v", err)
}

// check looks at what every consumer needs.
func check(specs []Spec) ([]Spec, error) {
	for i := range specs {
		if s := &specs[i]; s.Name == "" {
			return nil, fail(s.Path, "name: is required")
		}
	}
	return specs, nil
}

// tidySpec gives numbers the types that config.Parse gives them.
func tidySpec(s *Spec) {
	for k, v := range s.Attributes {
		s.Attributes[k] = tidy(v)
	}
	for _, c := range s.Credentials {
		for k, v := range c {
			c[k] = tidy(v)
		}
	}
	for i := range s.Plugins {
		tidy(s.Plugins[i].Config)
	}
}

func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = tidy(e)
		}
	case []any:
		for i, e := range v {
			v[i] = tidy(e)
		}
	case json.Number:
		return number(string(v))
	}
	return v
}

func number(s string) any {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return u
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return s // which no field of a number takes
	}
	return f
}
