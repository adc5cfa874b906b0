package assembly

import (
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
)

// debug checks what a complete document says about the debug view, and returns it with its secret.
func (r *reading) debug(d *document.Debug) *debugview.Options {
	if d == nil {
		return nil
	}
	o := &debugview.Options{
		Sample: d.When.Sample, ServerTiming: d.ServerTiming, Record: d.Record, Slow: d.Slow,
	}
	asks := d.When.Token != nil || d.When.Header != nil
	switch {
	case d.Slow < 0:
		r.fail("debug.slow", "expected a duration above 0")
	case !(d.When.Sample >= 0 && d.When.Sample <= 1):
		r.fail("debug.when.sample", "expected a share from 0 to 1; 0.01 is one of a hundred requests")
	case !d.ServerTiming && !d.Record && d.Slow == 0:
		r.fail("debug", "shows nothing; set record, slow or serverTiming")
	case d.ServerTiming && !asks:
		r.fail("debug.serverTiming", "is for clients who may ask; set when.token or when.header")
	case d.Record && !asks && d.When.Sample == 0:
		r.fail("debug.when", "chooses no request; set token, header or sample")
	}
	if t := d.When.Token; t != nil {
		o.Token = r.debugToken(t)
	}
	if h := d.When.Header; h != nil {
		o.Header = &debugview.Header{Name: r.debugHeader("debug.when.header.name", h.Name), Networks: h.Networks}
		if len(h.Networks) == 0 {
			r.fail("debug.when.header.networks", "is required; list the networks that may ask, such as 10.0.0.0/8")
		}
	}
	return o
}

func (r *reading) debugToken(t *document.DebugToken) *debugview.Token {
	const at = "debug.when.token"
	into := struct {
		Key extension.Secret `json:"key"`
	}{}
	key := t.Key.Data()
	if key == nil {
		r.fail(at+".key", "is required: the secret that tokens are signed with, as {env: NAME} or {file: PATH}")
		return nil
	}
	if err := (&config.Decoder{Path: at, Reader: r.reader()}).Decode(map[string]any{"key": key}, &into); err != nil {
		r.add(err)
		return nil
	}
	if n := len(into.Key.Reveal()); n < debugview.MinKey {
		r.fail(at+".key", "expected a secret of %d bytes at least, got one of %d; `openssl rand -hex 32` makes one",
			debugview.MinKey, n)
	}
	return &debugview.Token{Header: r.debugHeader(at+".header", t.Header), Key: into.Key}
}

// debugHeader returns a header's name in lower case.
func (r *reading) debugHeader(path, name string) string {
	name = strings.ToLower(name)
	if !internals.ValidReplyField(core.Field{Name: name, Value: "x"}) || strings.HasPrefix(name, ":") {
		r.fail(path, "expected the name of a header")
	}
	return name
}

// debug writes what a document says about the debug view, and the secret that it names.
func (h hasher) debug(d *document.Debug, reader *config.SecretReader) {
	if d == nil {
		return
	}
	m, err := config.Encode(d)
	if err != nil {
		panic(err) // as of document.Document.Data
	}
	h.value(m)
	h.secrets(m, reader)
}
