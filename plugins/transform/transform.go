// Package transform changes requests and responses: queries, paths, header fields, cookies, forms, JSON and XML.
package transform

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
)

// Transform changes requests and responses.
type Transform struct {
	// Request is what becomes of requests.
	Request *Request `json:"request"`
	// Responses are what becomes of responses: the first whose statuses have that of the response applies.
	Responses []Response `json:"responses"`
	// MaxBody is how long a body may be that is changed, before and after each step.
	MaxBody filter.Size `json:"maxBody" default:"1MiB"`
	// Budget is how long all steps and templates of a message may take together.
	Budget time.Duration `json:"budget" default:"100ms"`
	// OnError says what becomes of a message that cannot be changed: it is refused, with 400 or 502, or goes on as it came.
	OnError string `json:"onError" default:"refuse" enum:"refuse,pass"`

	name   string
	counts counts
}

// Request is what becomes of requests, in the order of the fields.
type Request struct {
	// Method is a template for the method.
	Method string `json:"method"`
	// Path is a template for the path, without the query.
	Path string `json:"path"`
	// Query changes the parameters of the query.
	Query Fields `json:"query"`
	// Headers changes header fields.
	Headers Fields `json:"headers"`
	// Cookies changes cookies.
	Cookies Fields `json:"cookies"`
	// Body are steps that change the body, one after the other.
	Body []Step `json:"body"`

	method, path *tmpl
}

// Response is what becomes of responses.
type Response struct {
	// Statuses are those that this is for, such as "404" or "500-599". Without any, all are.
	Statuses []string `json:"statuses"`
	// Status replaces the status.
	Status int `json:"status" validate:"omitempty,min=200,max=599"`
	// Headers changes header fields.
	Headers Fields `json:"headers"`
	// Body are steps that change the body, one after the other.
	Body []Step `json:"body"`

	ranges [][2]int
}

type counts struct {
	changed, failed *filter.Tagged[*filter.Counter]
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("transform", filter.Transform, (*Transform).newStream, filter.Docs(docs))
}

// SkipsPhase is that of filter.PhaseSkipper: responses pass by what does not change them.
func (p *Transform) SkipsPhase(method string) bool {
	return strings.HasPrefix(method, "OnResponse") && len(p.Responses) == 0
}

// Validate compiles everything.
func (p *Transform) Validate() error {
	var errs []error
	if p.Request == nil && len(p.Responses) == 0 {
		errs = append(errs, errors.New("request: give request or responses"))
	}
	if p.MaxBody < 1 || p.MaxBody > 1<<30 {
		errs = append(errs, errors.New("maxBody: must be between 1 and 1GiB"))
	}
	if p.Budget < time.Millisecond || p.Budget > 30*time.Second {
		errs = append(errs, errors.New("budget: must be between 1ms and 30s"))
	}
	if p.Request != nil {
		errs = append(errs, within("request", p.Request.compile()))
	}
	for i := range p.Responses {
		errs = append(errs, within(fmt.Sprintf("responses[%d]", i), p.Responses[i].compile()))
	}
	return errors.Join(errs...)
}

// within puts a field before an error, and before each of several that are joined.
func within(field string, err error) error {
	if err == nil {
		return nil
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, err := range list.Unwrap() {
			errs = append(errs, within(field, err))
		}
		return errors.Join(errs...)
	}
	return fmt.Errorf("%s.%w", field, err)
}

func (r *Request) compile() (err error) {
	var errs []error
	text := func(field, source string) *tmpl {
		t, err := newTemplate(source)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
		return t
	}
	r.method, r.path = text("method", r.Method), text("path", r.Path)
	errs = append(errs, within("query", r.Query.compile(false)), within("headers", r.Headers.compile(true)),
		within("cookies", r.Cookies.compile(false)), compileSteps(r.Body))
	return errors.Join(errs...)
}

func (r *Response) compile() error {
	var errs []error
	for i, text := range r.Statuses {
		from, to, err := statuses(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("statuses[%d]: %w", i, err))
		}
		r.ranges = append(r.ranges, [2]int{from, to})
	}
	errs = append(errs, within("headers", r.Headers.compile(true)), compileSteps(r.Body))
	return errors.Join(errs...)
}

// statuses reads a status or a range of statuses.
func statuses(text string) (from, to int, err error) {
	if _, err := fmt.Sscanf(text+" ", "%d-%d ", &from, &to); err != nil {
		if _, err := fmt.Sscanf(text+" ", "%d ", &from); err != nil {
			return 0, 0, errors.New("expected a status such as 404, or a range such as 500-599")
		}
		to = from
	}
	if from < 100 || to > 599 || from > to {
		return 0, 0, errors.New("expected a status between 100 and 599, or a range of them")
	}
	return from, to, nil
}

func (r *Response) applies(status int) bool {
	for _, x := range r.ranges {
		if x[0] <= status && status <= x[1] {
			return true
		}
	}
	return len(r.ranges) == 0
}

// Provision declares the counters.
func (p *Transform) Provision(env *filter.Env) error {
	p.name = env.Plugin
	tag := env.Tag("direction")
	p.counts = counts{tag.Counter("changed"), tag.Counter("failed")}
	return nil
}
