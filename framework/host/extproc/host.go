package extproc

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/structvalue"
)

// learn keeps what a message tells beside its phase.
func (s *grpcStream) learn(m *extprocv3.ProcessingRequest) {
	meta := m.GetMetadataContext().GetFilterMetadata()
	if len(m.GetAttributes()) == 0 && len(meta) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range m.GetAttributes() {
		if s.attributes == nil {
			s.attributes = make(map[string]*structpb.Value, len(a.GetFields()))
		}
		maps.Copy(s.attributes, a.GetFields())
	}
	for ns, v := range meta {
		if s.metadata == nil {
			s.metadata = make(map[string]*structpb.Struct, len(meta))
		}
		if mine := s.changed[ns]; mine != nil && v != nil { // Envoy has not heard of these
			if v.Fields == nil {
				v.Fields = map[string]*structpb.Value{}
			}
			maps.Copy(v.Fields, mine.GetFields())
		}
		s.metadata[ns] = v
	}
}

// Attribute returns what Envoy has sent, or what the headers tell.
func (s *grpcStream) Attribute(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return "", core.ErrStreamDone
	}
	if v, ok := s.attributes[name]; ok {
		if text, ok := textOf(v); ok {
			return text, nil
		}
	}
	if text := s.ownAttribute(name); text != "" {
		return text, nil
	}
	return "", fmt.Errorf("attribute %q (is it in request_attributes or response_attributes?): %w", name, core.ErrNotFound)
}

// RouteName is that of core.RouteTeller: it is known where Envoy sends the attribute.
func (s *grpcStream) RouteName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _ := textOf(s.attributes["xds.route_name"])
	return name
}

func textOf(v *structpb.Value) (string, bool) {
	switch v := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return v.StringValue, v.StringValue != ""
	case *structpb.Value_NumberValue:
		return strconv.FormatFloat(v.NumberValue, 'f', -1, 64), true
	case *structpb.Value_BoolValue:
		return strconv.FormatBool(v.BoolValue), true
	}
	return "", false
}

// fromHeaders are attributes that a header tells.
var fromHeaders = map[string]struct {
	block int
	name  string
}{
	"request.path": {core.RequestHeaders, ":path"}, "request.host": {core.RequestHeaders, ":authority"},
	"request.method": {core.RequestHeaders, ":method"}, "request.scheme": {core.RequestHeaders, ":scheme"},
	"request.referer": {core.RequestHeaders, "referer"}, "request.useragent": {core.RequestHeaders, "user-agent"},
	"request.id": {core.RequestHeaders, "x-request-id"}, "response.code": {core.ResponseHeaders, ":status"},
}

// ownAttribute is called with s.mu held; the stream is not done.
func (s *grpcStream) ownAttribute(name string) string {
	switch name {
	case "request.duration":
		return strconv.FormatFloat(float64(time.Since(s.begun))/1e6, 'f', 3, 64)
	case "request.size":
		return strconv.FormatInt(s.dirs[core.Request].bytes.Load(), 10)
	case "response.size":
		return strconv.FormatInt(s.dirs[core.Response].bytes.Load(), 10)
	case "request.url_path", "request.query":
		path, query, _ := strings.Cut(s.ownAttribute("request.path"), "?")
		if name == "request.query" {
			return query
		}
		return path
	}
	from, ok := fromHeaders[name]
	if !ok || s.Chain == nil {
		return ""
	}
	s.Chain.Mu.Lock()
	defer s.Chain.Mu.Unlock()
	if s.Chain.Gen != s.life {
		return ""
	}
	for _, f := range s.Chain.H[from.block].Fields {
		if f.Name == from.name {
			return f.Value
		}
	}
	return ""
}

// Metadata returns what Envoy has sent of its dynamic metadata, or plugins have set.
func (s *grpcStream) Metadata(namespace, key string) (any, error) {
	namespace, key = text(namespace), text(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil, core.ErrStreamDone
	}
	if v, ok := s.metadata[namespace].GetFields()[key]; ok {
		return v.AsInterface(), nil
	}
	return nil, core.ErrNotFound // or the namespace is not among Envoy's forwarding_namespaces
}

// SetMetadata has the next answer carry the value.
func (s *grpcStream) SetMetadata(namespace, key string, value any) error {
	v, err := structvalue.Of(value)
	if err != nil {
		return fmt.Errorf("metadata %s/%s: %w", namespace, key, err)
	}
	namespace, key = text(namespace), text(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return core.ErrStreamDone
	}
	put(&s.metadata, namespace, key, v)
	put(&s.changed, namespace, key, v)
	return nil
}

func put(to *map[string]*structpb.Struct, namespace, key string, v *structpb.Value) {
	if *to == nil {
		*to = map[string]*structpb.Struct{}
	}
	ns := (*to)[namespace]
	if ns.GetFields() == nil {
		ns = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		(*to)[namespace] = ns
	}
	ns.Fields[key] = v
}

// ClearRouteCache has the next answer of the request ask for it.
func (s *grpcStream) ClearRouteCache() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return core.ErrStreamDone
	}
	s.clearRoute = true
	return nil
}

// unsupported is for what the protocol does not have.
func (s *grpcStream) unsupported() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return core.ErrStreamDone
	}
	return core.ErrUnsupported
}

// FilterState is not in the protocol.
func (s *grpcStream) FilterState(string) (string, error) { return "", s.unsupported() }

// SetFilterState is not in the protocol.
func (s *grpcStream) SetFilterState(string, string) error { return s.unsupported() }

// SetUpstreamHost is not in the protocol.
func (s *grpcStream) SetUpstreamHost(string, bool) error { return s.unsupported() }

// Secret is not in the protocol.
func (s *grpcStream) Secret(string) (string, error) { return "", s.unsupported() }

// Fetch returns nil: Envoy has no way to be asked for headers.
func (s *grpcStream) Fetch(int) []core.Field { return nil }

// BufferLimit is the server's.
func (s *grpcStream) BufferLimit() int { return s.srv.o.BufferLimit }

// TraceHeader returns what Envoy says of its own span with the call, which it makes a part of the trace; the request that it
// sends is part of the client's only. Where Envoy's tracer has sent nothing, the request's headers say it.
func (s *grpcStream) TraceHeader(name string) string { return s.told(name) }
