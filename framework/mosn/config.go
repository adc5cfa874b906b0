package mosn

import (
	"errors"
	"maps"
	"reflect"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
)

// Filters runs MOSN's stream filters, from a list as a listener has it in mosn_config.json.
type Filters struct {
	// StreamFilters are the filters, in the order in which MOSN runs them.
	StreamFilters []StreamFilter `json:"stream_filters" validate:"required"`
	// Body says which bodies are collected for the filters: by default those that their types read.
	Body Body `json:"body,omitempty" validate:"omitempty,oneof=none request response both"`
	// PerFilterConfig is what filters find as the configuration of the route, by their types. It belongs to a route's
	// configuration; the most specific one replaces that of the same type.
	PerFilterConfig map[string]any `json:"per_filter_config,omitempty"`

	shared  *factories
	reports *reports
	slow    *filter.Tagged[*filter.Counter]
	pace    *pace
	env     *filter.Env
}

// StreamFilter is one entry of MOSN's stream_filters.
type StreamFilter struct {
	// Type is the name under which the filter is registered.
	Type string `json:"type" validate:"required"`
	// Config is the filter's own, as the filter defines it.
	Config map[string]any `json:"config,omitempty"`
	// Blocking says whether the filter may block: wait for a network, a lock or a timer, or compute for long. A list
	// without such filters runs on Envoy's thread, which is quicker. The default is what is declared of the type, and true
	// where nothing is.
	Blocking *bool `json:"blocking,omitempty"`
}

func init() {
	internals.Register(&filter.Registration{
		Registration: extension.Registration{
			Name: "mosn", Config: reflect.TypeFor[Filters](), New: func() any { return new(Filters) },
		},
		Stage: filter.Access, Handler: reflect.TypeFor[*stream](),
		PerStream: func(f any, s filter.Stream) any { return newStream(f.(*Filters), s) },
	}, nil)
}

// SkipsPhase is that of filter.PhaseSkipper. All lists have the request's headers, for what filters of the response ask
// about the request.
func (f *Filters) SkipsPhase(method string) bool {
	switch shape := f.shared.shape; method {
	case "OnRequest", "OnRequestTrailers":
		return !shape.receives || !f.wants().request()
	case "OnResponseHeaders":
		return !shape.sends
	case "OnResponse", "OnResponseTrailers":
		return !shape.sends || !f.wants().response()
	}
	return false
}

// Provision makes the filters' factories, or takes those that another configuration has made of the same list: two routes
// that differ in per_filter_config alone share them, and so share what the filters count.
func (f *Filters) Provision(env *filter.Env) error {
	f.env = env
	f.reports = newReports(env)
	f.slow = env.Tag("type").Counter("slow_calls")
	prepareVariables()
	logTo(env.Log())
	var err error
	f.shared, err = acquireFactories(f.StreamFilters)
	if err != nil {
		return err
	}
	route, err := generic(f.PerFilterConfig)
	if err != nil {
		f.shared.release()
		return errors.New("per_filter_config: " + err.Error())
	}
	f.PerFilterConfig = route
	f.pace = newPace(f.shared.blocks)
	return nil
}

// Close lets the factories go.
func (f *Filters) Close() error {
	f.shared.release()
	return nil
}

// Merge replaces the list of filters, and the route's configuration filter by filter: MOSN does not merge what a route
// gives a filter with what the listener gives it.
func (*Filters) Merge(parent, child map[string]any) (map[string]any, error) {
	merged := maps.Clone(parent)
	if merged == nil {
		merged = map[string]any{}
	}
	for key, value := range child {
		over, isObject := value.(map[string]any)
		under, wasObject := merged[key].(map[string]any)
		if key == "per_filter_config" && isObject && wasObject {
			both := maps.Clone(under)
			maps.Copy(both, over)
			value = both
		}
		merged[key] = value
	}
	return merged, nil
}

// wants says which bodies are collected for the filters.
func (f *Filters) wants() Body {
	if f.Body != "" {
		return f.Body
	}
	return f.shared.body
}
