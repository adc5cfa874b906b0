// Package staticfiles serves files of the machine Envoy runs on.
//
// It shows ReplyReader: a reply of any size whose body is read as the client takes it. Opening a file can take long, on
// a network disk for ever, so that happens in Go and not on Envoy's thread. Root keeps requests within a folder, also
// where a symbolic link leads out of it.
package staticfiles

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
)

// StaticFiles serves what is under Root; what is not there goes to the upstream.
type StaticFiles struct {
	// Root is the folder.
	Root string `json:"root" validate:"required,dir"`
	// Prefix is the path that stands for it.
	Prefix string `json:"prefix" default:"/"`

	root   *os.Root
	prefix string // ends in a slash
}

func init() { filter.Register[StaticFiles]("staticfiles", filter.Transform) }

// Provision opens the folder.
func (p *StaticFiles) Provision(*filter.Env) (err error) {
	p.prefix = strings.TrimSuffix(p.Prefix, "/") + "/"
	p.root, err = os.OpenRoot(p.Root)
	return err
}

// Close closes it.
func (p *StaticFiles) Close() error { return p.root.Close() }

// OnRequestHeaders answers GET requests for files.
func (p *StaticFiles) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	name, ok := strings.CutPrefix(path.Clean(h.URL().Path), p.prefix)
	if !ok || h.Method() != http.MethodGet || hidden(name) {
		return filter.Continue
	}
	return filter.Go(func(context.Context) filter.Action { return p.serve(name) })
}

// hidden reports whether a part of the path is a dot file, as .git is.
func hidden(name string) bool { return strings.HasPrefix(name, ".") || strings.Contains(name, "/.") }

func (p *StaticFiles) serve(name string) filter.Action {
	f, err := p.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return filter.Continue
	} else if err != nil {
		return filter.Fail(err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return filter.Reply(http.StatusNotFound, "")
	}
	body := struct { // no more than was announced, if the file grows meanwhile
		io.Reader
		io.Closer
	}{io.LimitReader(f, info.Size()), f}
	return filter.ReplyReader(http.StatusOK, body,
		filter.WithHeader("content-type", cmp.Or(mime.TypeByExtension(path.Ext(name)), "application/octet-stream")),
		filter.WithHeader("x-content-type-options", "nosniff"),
		filter.WithHeader("content-length", strconv.FormatInt(info.Size(), 10)))
}
