package bridge

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"mosn.io/moe/e2e/client"
)

// What upstream's SDK makes of the two errors.
const (
	notFound = "error: value not found"
	notText  = "error: serialization failure"
)

// TestPropertyPaths asks for what lies on the paths through maps, messages and lists. The answers are those of contrib's
// filter, Filter::getStringPropertyInternal in contrib/golang/filters/http/source/golang_filter.cc.
func TestPropertyPaths(t *testing.T) {
	want := map[string]map[string]string{
		"decode": {
			"":                             notText, // a null
			"request":                      notText,
			"request.":                     notText,
			"request.headers":              notText,
			"request.headers.":             notText,
			"request.headers.x-two":        `"1,2"`,
			"request.headers.X-Two":        `"1,2"`,
			"request.headers.x-one.":       `"1"`,
			"request.headers.x-one.more":   notFound,
			"request.headers.nothing":      notFound,
			"request.headers.nothing.more": notFound,
			"request.trailers.x-one":       notFound,
			"request..method":              notFound,
			".request.method":              notFound,
			"request.method.":              `"GET"`,
			"request.method.more":          notFound,
			"response":                     notText,
			"response.headers":             notText,
			"response.headers.x-two":       notFound,
			"response.trailers":            notText,
			"connection":                   notText,
			"connection.mtls":              `"false"`,
			"upstream":                     notText,
			"source":                       notText,
			"destination":                  notText,
			"xds":                          notText,
			"nonsense":                     notFound,
			"filter_state":                 notText,
			"filter_state.nothing":         notFound,
			"filter_state.ask":             `"kept"`,

			"metadata.nonsense":                          notFound,
			"metadata.filter_metadata":                   notText,
			"metadata.filter_metadata.nothing":           notFound,
			"metadata.filter_metadata.ns":                notText,
			"metadata.filter_metadata.ns.nothing":        notFound,
			"metadata.filter_metadata.ns.text":           `"a"`,
			"metadata.filter_metadata.ns.text.more":      notFound,
			"metadata.filter_metadata.ns.count":          `"3"`,
			"metadata.filter_metadata.ns.ratio":          `"0.333333"`,
			"metadata.filter_metadata.ns.million":        `"1e+06"`,
			"metadata.filter_metadata.ns.yes":            `"true"`,
			"metadata.filter_metadata.ns.list":           notText,
			"metadata.filter_metadata.ns.list.0":         `"b"`,
			"metadata.filter_metadata.ns.list.1":         `"2"`,
			"metadata.filter_metadata.ns.list.2":         `"false"`,
			"metadata.filter_metadata.ns.list.3":         notText,
			"metadata.filter_metadata.ns.list.4":         notFound,
			"metadata.filter_metadata.ns.list.-1":        notFound,
			"metadata.filter_metadata.ns.list.b":         notFound,
			"metadata.filter_metadata.ns.list.0.more":    notFound,
			"metadata.filter_metadata.ns.object":         notText,
			"metadata.filter_metadata.ns.null":           notText,
			"metadata.filter_metadata.ns.object.nothing": notFound,
			"metadata.typed_filter_metadata":             notText,
			"metadata.typed_filter_metadata.nothing":     notFound,

			"xds.route_metadata.filter_metadata.route.text":     `"r"`,
			"xds.cluster_metadata.filter_metadata.cluster.text": `"c"`,
			"xds.upstream_host_metadata":                        notFound,
			"xds.upstream_host_locality_metadata":               notFound,
		},
		"encode": {
			"response.headers":                                  notText,
			"response.headers.x-two":                            `"3,4"`,
			"xds.route_metadata.filter_metadata.route.text":     `"r"`,
			"xds.cluster_metadata.filter_metadata.cluster":      notText,
			"xds.cluster_metadata.filter_metadata.cluster.text": `"c"`,
			"xds.upstream_host_metadata":                        notText, // a null
			"xds.upstream_host_metadata.filter_metadata":        notFound,
		},
	}
	onEnvoys(t, func(t *testing.T, b *bed) {
		phases, settings := map[string][]string{}, m{}
		for phase, paths := range want {
			phases[phase] = slices.Sorted(maps.Keys(paths))
			settings[phase] = strings.Join(phases[phase], ",")
		}
		l := asking(settings)
		l.before = a{setMetadata("ns", m{
			"text": "a", "count": 3, "ratio": 1.0 / 3, "million": 1000000, "yes": true,
			"list": a{"b", 2, false, m{}}, "object": m{"k": "v"}, "null": nil,
		}), m{"name": "set_filter_state", "typed_config": m{
			"@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
			"on_request_headers": a{m{
				"object_key": "ask", "factory_key": "envoy.string",
				"format_string": m{"text_format_source": m{"inline_string": "kept"}},
			}},
		}}}
		got := b.serve(t, l).do(t, client.Request{Header: []string{"x-one", "1", "x-two", "1", "x-two", "2"}})
		for phase, paths := range phases {
			for i, path := range paths {
				t.Run(phase+" "+path, func(t *testing.T) {
					equal(t, "the property", want[phase][path], got.Header.Get(fmt.Sprintf("%s-%d", phase, i)))
				})
			}
		}
	})
}

// TestPropertyMessages asks for whole messages, which arrive in their wire format.
func TestPropertyMessages(t *testing.T) {
	text := func(ns, v string) string { return fmt.Sprintf(`{"filter_metadata": {%q: {"text": %q}}}`, ns, v) }
	messages := []struct{ phase, path, want string }{
		{phase: "decode", path: "metadata", want: `{"filter_metadata": {
			"empty": {}, "ns": {"text": "a", "count": 3, "yes": true, "list": ["b", 2, false]}}}`},
		{phase: "decode", path: "xds.route_metadata", want: text("route", "r")},
		{phase: "decode", path: "xds.cluster_metadata", want: text("cluster", "c")},
		{phase: "encode", path: "xds.route_metadata", want: text("route", "r")},
		{phase: "encode", path: "xds.cluster_metadata", want: text("cluster", "c")},
	}
	onEnvoys(t, func(t *testing.T, b *bed) {
		l := asking(m{"decode": "metadata,xds.route_metadata,xds.cluster_metadata", "encode": "xds.route_metadata,xds.cluster_metadata"})
		l.before = a{
			setMetadata("ns", m{"text": "a", "count": 3, "yes": true, "list": a{"b", 2, false}}), setMetadata("empty", m{}),
		}
		got := b.serve(t, l).do(t, client.Request{})
		at := map[string]int{}
		for _, c := range messages {
			name := fmt.Sprintf("%s-%d", c.phase, at[c.phase])
			at[c.phase]++
			t.Run(c.phase+" "+c.path, func(t *testing.T) {
				raw, err := strconv.Unquote(got.Header.Get(name))
				if err != nil {
					t.Fatalf("strconv.Unquote: %v: %q", err, got.Header.Get(name))
				}
				message, want := &corev3.Metadata{}, &corev3.Metadata{}
				if err := protojson.Unmarshal([]byte(c.want), want); err != nil {
					t.Fatalf("protojson.Unmarshal: %v", err)
				}
				if err := proto.Unmarshal([]byte(raw), message); err != nil {
					t.Fatalf("proto.Unmarshal: %v: %q", err, raw)
				}
				if diff := cmp.Diff(want, message, protocmp.Transform()); diff != "" {
					t.Errorf("the message (-want +got):\n%s", diff)
				}
			})
		}
	})
}

// asking runs plugin ask, with metadata of a route and a cluster.
func asking(settings m) listen {
	of := func(ns, v string) m { return m{"metadata": m{"filter_metadata": m{ns: m{"text": v}}}} }
	return listen{
		plugin: "ask", config: settings, routes: a{to("/", of("route", "r"))}, cluster: of("cluster", "c"),
		answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["X-Two"] = []string{"3", "4"}
		},
	}
}

func setMetadata(ns string, v m) m {
	return m{"name": "set_metadata", "typed_config": m{
		"@type":    "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
		"metadata": a{m{"metadata_namespace": ns, "value": v}},
	}}
}
