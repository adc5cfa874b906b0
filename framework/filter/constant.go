package filter

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// HeaderSetter is an optional interface of a plugin's configuration, for one that sets the same headers in all its streams.
// SetsHeaders is asked after Provision, perhaps more than once, and returns the same each time: the values that replace
// those of a name, in requests and in responses. A name without values is removed.
//
// It has the effect of an OnRequestHeaders and an OnResponseHeaders that set these, at the plugin's place among the others:
// the response of a request that the plugin has not passed on is not changed. Where the plugin has such a phase too, it
// comes afterwards; it needs none. Where plugins have no phase for the headers of a direction, only such values, Envoy does
// not enter Go for these headers on a host that can set them by itself.
//
// A configuration is refused that sets what [Headers.Set] would report, or a pseudo-header, a request's host,
// content-length or transfer-encoding: what those may be depends on the message.
type HeaderSetter interface {
	SetsHeaders() (request, response http.Header)
}

// Constants returns what config does to the headers of all streams, by direction. With an error they are those that are
// allowed.
func (internals) Constants(config any) (all [core.Directions][]core.Constant, err error) {
	setter, ok := config.(HeaderSetter)
	if !ok {
		return all, nil
	}
	request, response := setter.SetsHeaders()
	var errs []error
	for dir, h := range [...]http.Header{core.Request: request, core.Response: response} {
		for _, name := range slices.Sorted(maps.Keys(h)) {
			list, err := constant(core.Direction(dir), lower(name), h[name])
			if err != nil {
				errs = append(errs, fmt.Errorf("SetsHeaders: %s: %w", [...]string{"request", "response"}[dir], err))
			}
			all[dir] = append(all[dir], list...)
		}
	}
	return all, errors.Join(errs...)
}

// constant returns what gives a header of a direction these values.
func constant(dir core.Direction, name string, values []string) (all []core.Constant, err error) {
	switch {
	case name == "content-length", name == "transfer-encoding", name == "host" && dir == core.Request, name != "" && name[0] == ':':
		return nil, fmt.Errorf("%s depends on the message: set it in a phase", name)
	case !valid(name, ""):
		return nil, fmt.Errorf("%s is not a valid header name", strconv.Quote(name))
	}
	for _, v := range values {
		if v = trim(v); !valid(name, v) {
			return nil, fmt.Errorf("the value of %s has a control character", name)
		} else if v != "" {
			all = append(all, core.Constant{Field: core.Field{Name: name, Value: v}, Add: len(all) > 0})
		}
	}
	if len(all) == 0 {
		all = []core.Constant{{Field: core.Field{Name: name}}}
	}
	return all, nil
}

// Phases returns the phases that a plugin's configurations may take part in: those of its handler, and those whose place
// constants may take.
func (internals) Phases(r *Registration) phase.Set {
	s := phase.Of(r.Handler)
	if setsHeaders(r) {
		s |= phase.SetOf(phase.OnRequestHeaders, phase.OnResponseHeaders)
	}
	return s
}

var headerSetter = reflect.TypeFor[HeaderSetter]()

func setsHeaders(r *Registration) bool { return reflect.PointerTo(r.Config).Implements(headerSetter) }

// checkSetter reports a method that has the name of HeaderSetter's, and is none.
func checkSetter(r *Registration) error {
	want := headerSetter.Method(0)
	if m, ok := reflect.PointerTo(r.Config).MethodByName(want.Name); ok && !setsHeaders(r) {
		return fmt.Errorf("*%v.%s must be %v", r.Config, m.Name, want.Type)
	}
	return nil
}
