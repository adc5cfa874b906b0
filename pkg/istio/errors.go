package istio

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
)

// Error is one thing that is wrong with the input.
type Error struct {
	File string // as it was given; "-" is the standard input
	Line int    // from 1; 0 where it is not known
	Path string // in the object, as in `spec.plugins[1].config.rate`; "" is the whole of it
	Msg  string // what is wrong and what to do, without values that may be secrets
}

// Error returns "file:line: path: message".
func (e Error) Error() string {
	s := e.Msg
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	switch {
	case e.File == "":
		return s
	case e.Line > 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, s)
	}
	return e.File + ": " + s
}

// Errors is all that is wrong with the input, by file and line, and nothing twice. It is what the functions of this
// package that read or generate return, if they return an error.
type Errors []Error

// Error joins the first ten errors to one line; print the elements to see all.
func (es Errors) Error() string {
	const most = 10
	var s []string
	for _, e := range es[:min(most, len(es))] {
		s = append(s, e.Error())
	}
	if n := len(es) - most; n > 0 {
		s = append(s, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(s, "; ")
}

// maxErrors is how many errors are collected; a broken generator of policies repeats itself.
const maxErrors = 1000

// problems collects errors; the zero value is ready.
type problems struct {
	list Errors
	seen map[Error]bool
}

func (p *problems) add(e Error) {
	if p.seen == nil {
		p.seen = map[Error]bool{}
	}
	if !p.seen[e] && len(p.list) < maxErrors {
		p.seen[e] = true
		p.list = append(p.list, e)
	}
}

// at adds an error about a place of an object.
func (p *problems) at(o *Object, path, format string, args ...any) {
	p.add(Error{File: o.File, Line: o.LineOf(path), Path: path, Msg: fmt.Sprintf(format, args...)})
}

// config adds the errors of package config, whose paths are below path.
func (p *problems) config(o *Object, path string, err error) {
	var es config.Errors
	if !errors.As(err, &es) {
		if err != nil {
			p.at(o, path, "%v", err)
		}
		return
	}
	for _, e := range es.In(path) {
		msg := e.Msg
		if e.Plugin != "" {
			msg += " (" + e.Plugin + ")"
		}
		p.at(o, e.Path, "%s", msg)
	}
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Msg, b.Msg))
	})
	return p.list
}
