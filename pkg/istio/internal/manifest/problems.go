package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"mosn.io/moe/framework/config"
)

// Error is one thing that is wrong with the input: File is as it was given ("-" is the standard input), and Path is in
// the object.
type Error = config.Error

// Errors is everything that is wrong with the input, in the order of files and lines, without duplicates.
type Errors = config.Errors

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
	at := o.position(path)
	p.Add(Error{File: o.File, Line: at.Line, Column: at.Column, Path: path, Msg: fmt.Sprintf(format, args...)})
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
		at := o.position(e.Path)
		e.File, e.Line, e.Column = o.File, at.Line, at.Column
		p.Add(e)
	}
}

// Len returns the number of errors so far.
func (p *Problems) Len() int { return len(p.list) }

// Err returns what was collected as [Errors], nil if there is nothing.
func (p *Problems) Err() error { return p.Sorted().Err() }

// Sorted returns what was collected, in the order of files and lines.
func (p *Problems) Sorted() Errors {
	slices.SortStableFunc(p.list, func(a, b Error) int { return cmp.Compare(a.Msg, b.Msg) })
	_ = p.list.Err() // sorts by the rest
	return p.list
}
