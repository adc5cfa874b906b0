// Package mock answers requests in place of an upstream.
package mock

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/format"
	"mosn.io/moe/plugins/internal/match"
	"mosn.io/moe/plugins/internal/reload"
)

// Mock answers requests with responses that the operator has written.
type Mock struct {
	// Responses are tried in order. The first that is for a request answers it; requests without one pass.
	Responses []Response `json:"responses" validate:"min=1,max=1000"`
	// Header is a header of responses that says that they are mocked; "" for none.
	Header string `json:"header" default:"x-mock"`
	// MaxDelayed is how many requests may wait for their delay at a time. Others are answered at once.
	MaxDelayed int64 `json:"maxDelayed" default:"1000" validate:"min=0,max=1000000"`
	reload.Files

	path           authz.Path
	delayed        atomic.Int64
	mocked         *filter.Tagged[*filter.Counter]
	failed, missed *filter.Counter
}

// Response is the answer to some requests.
type Response struct {
	// Name tells responses apart in metrics, and is the value of the header that says that a response is mocked.
	Name string `json:"name" default:"default"`
	// Match says which requests it is for.
	Match match.Match `json:"match"`
	// Status is that of the response.
	Status int `json:"status" default:"200" validate:"min=200,max=599"`
	// Headers are those of the response. Values have substitutions, if template is set.
	Headers map[string]string `json:"headers"`
	// Body is the body, as text.
	Body string `json:"body"`
	// JSON is the body, as a value that is written as JSON.
	JSON any `json:"json"`
	// File has the body. It is read again when it changes. Its ending says the content-type, if headers do not.
	File string `json:"file"`
	// Template has substitutions in headers and the body filled in, such as %REQ(x-user)%.
	Template bool `json:"template"`
	// GRPCStatus is the grpc-status of the response to a request of gRPC; body is its grpc-message. By default it is
	// what Envoy makes of status.
	GRPCStatus *int `json:"grpcStatus" validate:"omitempty,min=0,max=16"`
	// Delay is how long the response takes.
	Delay time.Duration `json:"delay"`
	// Jitter is how much longer it takes at most, by chance.
	Jitter time.Duration `json:"jitter"`

	headers []field
	content atomic.Pointer[content]
}

// field is a header of a response.
type field struct {
	name  string
	value *format.Format
	plain string // in place of value, without template
}

// content is a body: text, or with substitutions.
type content struct {
	text     string
	template *format.Format
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[Mock]("mock", filter.Transform, filter.Docs(docs)) }

// longest is how long a response may take: less than a chain's time-out by default.
const longest = 20 * time.Second

// largest is how large a file may be.
const largest = 16 << 20

// Validate checks the responses.
func (p *Mock) Validate() error {
	errs := []error{p.Files.Validate()}
	if p.Header != "" {
		if err := fieldname.Check(p.Header); err != nil {
			errs = append(errs, fmt.Errorf("header: %w", err))
		}
	}
	for i := range p.Responses {
		r := &p.Responses[i]
		at := fmt.Sprintf("responses[%d]", i)
		errs = append(errs, match.Within(at+".match", r.Match.Validate()), match.Within(at, r.validate()))
	}
	return errors.Join(errs...)
}

func (r *Response) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if fieldname.Check(r.Name) != nil || len(r.Name) > 64 {
		bad("name: must be 1 to 64 letters, digits and the marks -_.")
	}
	bodies := 0
	for _, set := range []bool{r.Body != "", r.JSON != nil, r.File != ""} {
		if set {
			bodies++
		}
	}
	if bodies > 1 {
		bad("body, json and file are mutually exclusive")
	}
	if r.Delay < 0 || r.Jitter < 0 || r.Delay > longest || r.Jitter > longest || r.Delay+r.Jitter > longest {
		bad("delay: delay and jitter together must be 0s to %v", longest)
	}
	r.headers = nil
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		f, err := r.header(name, r.Headers[name])
		if err != nil {
			bad("headers.%s: %w", name, err)
		}
		r.headers = append(r.headers, f)
	}
	body, kind := r.Body, ""
	if r.JSON != nil {
		text, err := json.Marshal(r.JSON)
		if err != nil {
			bad("json: %w", err)
		}
		body, kind = string(text), "application/json"
	}
	if r.File != "" {
		kind = kinds[strings.ToLower(filepath.Ext(r.File))]
	}
	if kind != "" && !slices.ContainsFunc(r.headers, func(f field) bool { return f.name == "content-type" }) {
		r.headers = append(r.headers, field{name: "content-type", plain: kind})
	}
	if err := r.set(body); err != nil {
		bad("body: %w", err)
	}
	return errors.Join(errs...)
}

// kinds are content-types by the endings of files.
var kinds = map[string]string{
	".json": "application/json", ".html": "text/html; charset=utf-8", ".xml": "application/xml", ".txt": "text/plain; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".yaml": "application/yaml", ".yml": "application/yaml", ".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg",
	".pdf": "application/pdf", ".bin": "application/octet-stream",
}

// header checks a header of the response.
func (r *Response) header(name, value string) (field, error) {
	f := field{name: strings.ToLower(name), plain: value}
	if err := fieldname.Check(name); err != nil {
		return f, err
	}
	switch f.name {
	case "content-length", "transfer-encoding", "connection", "upgrade", "keep-alive", "proxy-connection":
		return f, errors.New("is Envoy's to set")
	}
	if !r.Template {
		if value == "" || !fieldname.ValidValue(value) {
			return f, errors.New("is empty, or has a line break or a zero byte")
		}
		return f, nil
	}
	var err error
	f.value, err = format.Parse(value)
	return f, err
}

// set makes text the body.
func (r *Response) set(text string) error {
	c := &content{text: text}
	if r.Template {
		var err error
		if c.template, err = format.Parse(text); err != nil {
			return err
		}
	}
	r.content.Store(c)
	return nil
}

// Provision reads the files and goes on to follow them.
func (p *Mock) Provision(env *filter.Env) error {
	p.path = authz.Path{Mode: "normalize"}
	p.mocked, p.failed, p.missed = env.Tag("response").Counter("mocked"), env.Counter("failed"), env.Counter("passed")
	var paths []string
	for i := range p.Responses {
		if f := p.Responses[i].File; f != "" && !slices.Contains(paths, f) {
			if info, err := os.Stat(f); err == nil && info.IsDir() {
				return fmt.Errorf("responses[%d].file: is a directory", i)
			}
			paths = append(paths, f)
		}
	}
	return p.Follow(env, nil, paths, p.load)
}

// load takes the bodies from files, all or none.
func (p *Mock) load(files []reload.File) error {
	next := map[*Response]*content{}
	for i := range p.Responses {
		r := &p.Responses[i]
		for _, f := range files {
			if f.Path != r.File {
				continue
			}
			if len(f.Data) > largest {
				return fmt.Errorf("%s: has %d bytes, more than %d", f.Path, len(f.Data), largest)
			}
			c := &content{text: string(f.Data)}
			if r.Template {
				var err error
				if c.template, err = format.Parse(c.text); err != nil {
					return fmt.Errorf("%s: %w", f.Path, err)
				}
			}
			next[r] = c
		}
	}
	for r, c := range next {
		r.content.Store(c)
	}
	return nil
}

// OnRequestHeaders looks for the response.
func (p *Mock) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, _ := p.path.Request(s, h) // no path is ambiguous to the mode normalize
	for i := range p.Responses {
		response := &p.Responses[i]
		is, err := response.Match.Is(&r)
		if err != nil {
			p.failed.Inc()
			s.Log().Warn("the expression when of a response fails", "response", response.Name, "error", err)
			continue
		}
		if is {
			return p.answer(s, response)
		}
	}
	p.missed.Inc()
	return filter.Continue
}

// answer replies, now or later.
func (p *Mock) answer(s filter.Stream, r *Response) filter.Action {
	p.mocked.With(r.Name).Inc()
	if r.Template {
		format.Start(s)
	}
	reply := p.reply(s, r)
	wait := r.Delay
	if r.Jitter > 0 {
		wait += rand.N(r.Jitter + 1)
	}
	if wait == 0 {
		return reply
	}
	if p.delayed.Load() >= p.MaxDelayed { // a flood costs no goroutines
		return reply
	}
	return filter.Go(func(ctx context.Context) filter.Action { // which does not run for a stream that has ended meanwhile
		defer p.delayed.Add(-1)
		if p.delayed.Add(1) > p.MaxDelayed {
			return reply
		}
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done(): // what is returned now is ignored
		}
		return reply
	})
}

// reply makes the reply.
func (p *Mock) reply(s filter.Stream, r *Response) filter.Action {
	options := make([]filter.ReplyOption, 0, len(r.headers)+3)
	options = append(options, filter.WithDetails("moe.mock.reply"))
	if p.Header != "" {
		options = append(options, filter.WithHeader(p.Header, r.Name))
	}
	if r.GRPCStatus != nil {
		options = append(options, filter.WithGRPCStatus(*r.GRPCStatus))
	}
	for i := range r.headers {
		f := &r.headers[i]
		value := f.plain
		if f.value != nil {
			value = f.value.Of(s)
		}
		if fieldname.ValidValue(value) { // an empty one is left out
			options = append(options, filter.WithHeader(f.name, value))
		}
	}
	c := r.content.Load()
	text := c.text
	if c.template != nil {
		text = c.template.Of(s)
	}
	return filter.Reply(r.Status, text, options...)
}
