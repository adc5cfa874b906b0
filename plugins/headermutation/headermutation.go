// Package headermutation changes header fields and trailers, and the path and the query of requests.
package headermutation

import (
	"embed"
	"errors"
	"fmt"
	"regexp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/format"
)

// HeaderMutation changes the headers and trailers of requests and responses.
type HeaderMutation struct {
	// Request changes the headers of requests.
	Request Mutations `json:"request"`
	// RequestTrailers changes the trailers of requests that have some.
	RequestTrailers Mutations `json:"requestTrailers"`
	// Response changes the headers of responses.
	Response Mutations `json:"response"`
	// ResponseTrailers changes the trailers of responses that have some.
	ResponseTrailers Mutations `json:"responseTrailers"`
	// Rewrite changes the path of requests, one after the other.
	Rewrite []Rewrite `json:"rewrite"`
	// Query changes the query of requests.
	Query QueryMutations `json:"query"`
	// ClearRouteCache has Envoy choose the route again after the headers of a request, or its path, have changed.
	ClearRouteCache bool `json:"clearRouteCache"`

	request, requestTrailers, response, responseTrailers program
	target                                               target

	timed   bool // some value needs to know when the stream began
	invalid *filter.Counter
}

// Mutations are carried out in this order: the removals, Set, Add, Apply. Set and Add go by name in alphabetical order.
// Every value is filled in from the headers as they were before the first of them.
type Mutations struct {
	// Remove lists headers to remove, by name.
	Remove []string `json:"remove" merge:"append"`
	// RemovePrefix removes the headers whose names begin so.
	RemovePrefix []string `json:"removePrefix" merge:"append"`
	// RemoveRegexp removes the headers whose names match one of these regular expressions as a whole.
	RemoveRegexp []*regexp.Regexp `json:"removeRegexp" merge:"append"`
	// Set gives headers one value each, in place of any that they have.
	Set map[string]string `json:"set"`
	// Add gives headers one more value each.
	Add map[string]string `json:"add"`
	// Apply is for what Set and Add cannot say.
	Apply []Mutation `json:"apply" merge:"append"`
}

// Mutation gives a header a value.
type Mutation struct {
	// Name of the header.
	Name string `json:"name" validate:"required"`
	// Value is its value, with substitutions.
	Value string `json:"value" validate:"required"`
	// Action says what to do with values that the header has.
	Action string `json:"action" default:"append_if_exists_or_add" enum:"append_if_exists_or_add,add_if_absent,overwrite_if_exists,overwrite_if_exists_or_add"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[HeaderMutation]("headermutation", filter.Transform, filter.Docs(docs)) }

// Validate compiles every mutation, to tell what is wrong with each.
func (p *HeaderMutation) Validate() error {
	var errs []error
	p.timed = false
	for _, x := range []struct {
		field     string
		mutations *Mutations
		program   *program
		pseudo    bool
	}{
		{"request", &p.Request, &p.request, true},
		{"requestTrailers", &p.RequestTrailers, &p.requestTrailers, false},
		{"response", &p.Response, &p.response, false},
		{"responseTrailers", &p.ResponseTrailers, &p.responseTrailers, false},
	} {
		*x.program = x.mutations.compile(x.pseudo, func(path string, err error) {
			errs = append(errs, fmt.Errorf("%s.%s: %w", x.field, path, err))
		})
		p.timed = p.timed || x.program.timed
	}
	p.target = compileTarget(p.Rewrite, &p.Query, func(path string, err error) { errs = append(errs, fmt.Errorf("%s: %w", path, err)) })
	p.timed = p.timed || p.target.timed
	return errors.Join(errs...)
}

// Provision declares the counter.
func (p *HeaderMutation) Provision(env *filter.Env) error {
	if p.ClearRouteCache && !env.Has(filter.CanClearRouteCache) {
		return fmt.Errorf("clearRouteCache: this host cannot have Envoy choose the route again")
	}
	p.invalid = env.Counter("invalid")
	return nil
}

// OnRequestHeaders carries out Request.
func (p *HeaderMutation) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if p.timed {
		format.Start(s)
	}
	var room [8]string
	values := p.target.values(s, room[:0])
	p.request.run(s, h.Headers, p.invalid)
	if !p.target.empty() {
		p.target.run(h, values, p.invalid)
	}
	if p.ClearRouteCache {
		if err := s.ClearRouteCache(); err != nil {
			return filter.Fail(fmt.Errorf("clear the route cache: %w", err))
		}
	}
	return filter.Continue
}

// OnRequestTrailers carries out RequestTrailers.
func (p *HeaderMutation) OnRequestTrailers(s filter.Stream, t filter.Headers) filter.Action {
	p.requestTrailers.run(s, t, p.invalid)
	return filter.Continue
}

// OnResponseHeaders carries out Response.
func (p *HeaderMutation) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	p.response.run(s, h.Headers, p.invalid)
	return filter.Continue
}

// OnResponseTrailers carries out ResponseTrailers.
func (p *HeaderMutation) OnResponseTrailers(s filter.Stream, t filter.Headers) filter.Action {
	p.responseTrailers.run(s, t, p.invalid)
	return filter.Continue
}
