package manifest

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
	Path string // in the object, such as `spec.plugins[1].config.rate`; "" is the whole object
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

// Errors is everything that is wrong with the input, in the order of files and lines, without duplicates.
type Errors []Error

// Error joins the first ten errors to one line; print the elements to see all of them.
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

// maxErrors bounds how many errors are collected; a broken generator of manifests repeats itself.
const maxErrors = 1000

// Problems collects errors, or warnings. The zero value is ready to use.
type Problems struct {
	list Errors
	seen map[Error]bool
}

// Add adds an error unless it is known already.
func (p *Problems) Add(e Error) {
	if p.seen == nil {
		p.seen = map[Error]bool{}
	}
	if !p.seen[e] && len(p.list) < maxErrors {
		p.seen[e] = true
		p.list = append(p.list, e)
	}
}

// At adds an error about the field of an object at a path.
func (p *Problems) At(o *Object, path, format string, args ...any) {
	p.Add(Error{File: o.File, Line: o.LineOf(path), Path: path, Msg: fmt.Sprintf(format, args...)})
}

// AddConfig adds the errors of package config about the part of an object at a path.
func (p *Problems) AddConfig(o *Object, path string, err error) {
	var es config.Errors
	if !errors.As(err, &es) {
		if err != nil {
			p.At(o, path, "%v", err)
		}
		return
	}
	for _, e := range es.In(path) {
		msg := e.Msg
		if e.Plugin != "" {
			msg += " (" + e.Plugin + ")"
		}
		p.At(o, e.Path, "%s", msg)
	}
}

// Len returns the number of errors so far.
func (p *Problems) Len() int { return len(p.list) }

// Err returns what was collected as [Errors], nil if there is nothing.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	return p.Sorted()
}

// Sorted returns what was collected, in the order of files and lines.
func (p *Problems) Sorted() Errors {
	slices.SortStableFunc(p.list, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Msg, b.Msg))
	})
	return p.list
}
