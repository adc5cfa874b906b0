package bootstrap

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// Match selects requests: all that is given must hold. At most one of path, prefix and regex may be given; none of them
// matches every path.
type Match struct {
	// Path is the whole path, without the query.
	Path string `json:"path"`
	// Prefix is what the path begins with.
	Prefix string `json:"prefix"`
	// Regex is a regular expression (RE2) for the whole path.
	Regex string `json:"regex"`
	// Host is the host without the port; *.example.com is all hosts below example.com.
	Host string `json:"host"`
	// Methods are those of which the request has one.
	Methods []string `json:"methods"`
	// Headers are exact values by name; an empty one asks only that the header is there.
	Headers map[string]string `json:"headers"`
}

// Check reports what is wrong with m.
func (m Match) Check() error {
	_, err := m.build()
	return err
}

// at reports whether a listener has r.
func (r *Route) at(listener string) bool {
	return len(r.Listeners) == 0 || slices.Contains(r.Listeners, listener)
}

func (b *builder) route(r *Route) (*routev3.Route, error) {
	m, err := r.Match.build()
	if err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	route := &routev3.Route{Name: r.Name, Match: m}
	b.action(route, r.Action)
	if r.Doc != nil && b.o.ExtProc == nil {
		config, err := b.o.perRoute(r.Doc)
		if err != nil {
			return nil, err
		}
		route.TypedPerFilterConfig = map[string]*anypb.Any{}
		for _, part := range b.o.parts() {
			route.TypedPerFilterConfig[part.Name] = pack(config)
		}
	}
	b.perRouteNatives(route, r.EnvoyFilters)
	return route, nil
}

func (m Match) build() (*routev3.RouteMatch, error) {
	match := &routev3.RouteMatch{}
	given := 0
	if m.Path != "" {
		given++
		if !strings.HasPrefix(m.Path, "/") {
			return nil, fmt.Errorf("path: %q must begin with /", m.Path)
		}
		match.PathSpecifier = &routev3.RouteMatch_Path{Path: m.Path}
	}
	if m.Regex != "" {
		given++
		if _, err := regexp.Compile(m.Regex); err != nil {
			return nil, fmt.Errorf("regex: %w", err)
		}
		match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: m.Regex}}
	}
	if m.Prefix != "" || given == 0 {
		given++
		prefix := m.Prefix
		if prefix == "" {
			prefix = "/"
		}
		if !strings.HasPrefix(prefix, "/") {
			return nil, fmt.Errorf("prefix: %q must begin with /", prefix)
		}
		match.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: prefix}
	}
	if given > 1 {
		return nil, fmt.Errorf("path: give one of path, prefix and regex")
	}
	if m.Host != "" {
		match.Headers = append(match.Headers, header(":authority", hostMatcher(m.Host)))
	}
	if len(m.Methods) > 0 {
		var alternatives []string
		for i, method := range m.Methods {
			if err := checkMethod(method); err != nil {
				return nil, fmt.Errorf("methods[%d]: %w", i, err)
			}
			alternatives = append(alternatives, regexp.QuoteMeta(method))
		}
		match.Headers = append(match.Headers, header(":method", matchRegex(strings.Join(alternatives, "|"))))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		value := m.Headers[name]
		if value == "" {
			match.Headers = append(match.Headers, &routev3.HeaderMatcher{
				Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true},
			})
			continue
		}
		match.Headers = append(match.Headers, header(name, &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value},
		}))
	}
	return match, nil
}

// standardMethods are those that HTTP defines, in RFC 9110 and 5789.
var standardMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

var methodToken = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

// checkMethod refuses what no request has as its method. Methods are case-sensitive.
func checkMethod(method string) error {
	upper := strings.ToUpper(method)
	switch {
	case method == "":
		return errors.New("must not be empty")
	case !methodToken.MatchString(method):
		return fmt.Errorf("%q is not a method; write several as [GET, POST]", method)
	case method != upper && slices.Contains(standardMethods, upper):
		return fmt.Errorf("%q meets no request, because methods are case-sensitive; did you mean %q?", method, upper)
	}
	return nil
}

// hostMatcher matches host with or without the dot that ends an absolute name, and a port.
func hostMatcher(host string) *matcherv3.StringMatcher {
	const port = `\.?(:[0-9]+)?`
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		return matchRegex(`(?i).+\.` + regexp.QuoteMeta(rest) + port)
	}
	return matchRegex(`(?i)` + regexp.QuoteMeta(host) + port)
}

func matchRegex(regex string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{
		MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regex}},
	}
}

func header(name string, m *matcherv3.StringMatcher) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: m},
	}
}
