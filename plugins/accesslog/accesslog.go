// Package accesslog writes one line, of JSON or text, for each stream.
package accesslog

import (
	"embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/format"
	"mosn.io/moe/plugins/internal/match"
	"mosn.io/moe/plugins/internal/outbound"
	"mosn.io/moe/plugins/internal/redact"
)

// AccessLog logs every stream when it is complete, requests that another plugin denied and streams that were reset
// included.
type AccessLog struct {
	// Output is stdout, stderr, the path of a file, which is made if it is not there, or a server: https://… for
	// newline-delimited JSON, otlp+https://… for OpenTelemetry, kafka+tls://HOST:PORT/TOPIC, syslog+tls://HOST:PORT,
	// syslog+tcp://…, syslog+udp://… or syslog+unix:///PATH. All instances with one output share it.
	Output string `json:"output" default:"stdout"`
	// Server is how an output that is a server is reached.
	Server *Server `json:"server"`
	// Redact lists headers and trailers whose values are not to be written, besides authorization, proxy-authorization,
	// cookie, set-cookie and those in which plugins look for credentials.
	Redact []string `json:"redact" merge:"append"`
	// Reveal lists headers of these four whose values are written nevertheless.
	Reveal []string `json:"reveal"`
	// RedactQuery lists parameters of the query whose values are not to be written, be it in the path or in a header with
	// an address: referer, location, or the path before it was rewritten.
	RedactQuery []string `json:"redactQuery" merge:"append"`
	// RedactPatterns lists regular expressions (RE2). What they match is replaced in paths, headers, trailers, fields and
	// lines.
	RedactPatterns []*regexp.Regexp `json:"redactPatterns" merge:"append"`
	// Omit lists headers and trailers that are not written at all.
	Omit []string `json:"omit" merge:"append"`
	// Only lists which streams are logged: those that one of them is for. Without any, all are.
	Only []Selection `json:"only" validate:"max=100"`
	// Line is a line of text, with substitutions, that is written in place of JSON.
	Line string `json:"line"`
	// Fields are written besides what every line has: by name, text with substitutions, as %REQ(x-tenant)%.
	Fields map[string]string `json:"fields"`
	// Buffer is how much may wait to be written, by all instances with this output. Lines beyond are dropped.
	Buffer filter.Size `json:"buffer" default:"4MiB"`

	hide    redact.Rules
	omit    map[string]bool
	line    *format.Format
	extra   []extra
	sink    *sink
	release func() error // of the sink
	counts  counters
	unknown [len(attributes)]atomic.Bool // attributes that the host does not have
	streams sync.Pool
	timed   bool
}

// extra is one of Fields.
type extra struct {
	name  string
	value *format.Format
}

// counters are those of one instance; the sink adds to the first two.
type counters struct{ dropped, failed, skipped *filter.Counter }

//go:embed README.md schema.json
var docs embed.FS

// The stage is the first one, so that what is logged and counted is what the client sent and got.
func init() {
	filter.RegisterPerStream("accesslog", filter.Access, (*AccessLog).newStream, filter.Docs(docs))
}

// Validate checks the names and compiles Fields.
func (p *AccessLog) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := p.checkOutput(); err != nil {
		errs = append(errs, err)
	}
	if p.Buffer < 64<<10 {
		fail("buffer: must be 64KiB at least")
	}
	p.hide.Headers, p.hide.Reveal, p.hide.Patterns = map[string]bool{}, p.Reveal, p.RedactPatterns
	for _, name := range redact.Always {
		p.hide.Headers[name] = true
	}
	for i, name := range p.Reveal {
		name = strings.ToLower(name)
		if !slices.Contains(redact.Always, name) {
			fail("reveal[%d]: %s is written anyway, unless it is listed in redact", i, name)
		}
		delete(p.hide.Headers, name)
	}
	for i, name := range p.Redact {
		if err := fieldname.Check(name); err != nil {
			fail("redact[%d]: %w", i, err)
		}
		p.hide.Headers[strings.ToLower(name)] = true
	}
	p.hide.Queries = map[string]bool{}
	for i, name := range p.RedactQuery {
		if name == "" {
			fail("redactQuery[%d]: must not be empty", i)
		}
		p.hide.Queries[name] = true
	}
	for i, re := range p.RedactPatterns {
		if re.MatchString("") {
			fail("redactPatterns[%d]: matches the empty text", i)
		}
	}
	p.omit = map[string]bool{}
	for i, name := range p.Omit {
		if err := fieldname.Check(name); err != nil {
			fail("omit[%d]: %w", i, err)
		}
		p.omit[strings.ToLower(name)] = true
	}
	for i := range p.Only {
		if err := match.Within(fmt.Sprintf("only[%d]", i), p.Only[i].validate()); err != nil {
			errs = append(errs, err)
		}
	}
	p.extra, p.timed, p.line = nil, false, nil
	if p.Line != "" {
		f, err := format.Parse(strings.TrimSuffix(p.Line, "\n"))
		if err != nil {
			fail("line: %w", err)
		} else if p.line, p.timed = f, f.NeedsStart(); len(p.Fields) > 0 {
			fail("fields: are for JSON: write them in line")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		f, err := format.Parse(p.Fields[name])
		if err != nil {
			fail("fields.%s: %w", name, err)
		}
		p.extra = append(p.extra, extra{name, f})
		p.timed = p.timed || f.NeedsStart()
	}
	return errors.Join(errs...)
}

func (p *AccessLog) checkOutput() error {
	if p.Output == "" {
		return errors.New("output: must be stdout, stderr, the path of a file or a server")
	}
	u, err := serverOf(p.Output)
	switch {
	case err != nil:
		return fmt.Errorf("output: %w", err)
	case u == nil && p.Server != nil:
		return errors.New("server: the output is not a server")
	case u == nil:
		return nil
	case p.Server == nil:
		p.Server = &Server{Connection: outbound.Connection{Timeout: defaultTimeout}}
	}
	return p.Server.check(u)
}

// defaultTimeout is that of outbound.Connection.
const defaultTimeout = 5 * time.Second

// Provision opens the output.
func (p *AccessLog) Provision(env *filter.Env) (err error) {
	p.counts = counters{env.Counter("dropped"), env.Counter("failed"), env.Counter("skipped")}
	p.streams.New = func() any { return new(stream) }
	p.sink, p.release, err = acquire(p.Output, p.Server, env.Log())
	return err
}

// Close waits, a few seconds at most, until all lines are written.
func (p *AccessLog) Close() error {
	if p.release == nil {
		return nil
	}
	return errors.Join(p.release(), p.sink.drained())
}
