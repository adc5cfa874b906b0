package authz

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"mosn.io/moe/framework/filter"
)

// Request is a request as rules see it. What costs something is found out when it is asked for. The methods read the
// stream: the phase that made the Request, and a function of filter.Go that it returns, may call them.
type Request struct {
	Stream  filter.Stream
	Headers filter.RequestHeaders
	Path    string // as Path.Read returns it, in UTF-8
	Query   string // without the question mark, not decoded
}

// Request returns the request of a stream. The error is that of [Path.Read]; the Request is complete nevertheless.
func (p Path) Request(s filter.Stream, h filter.RequestHeaders) (Request, error) {
	path, query, err := p.Read(h.Path())
	return Request{Stream: s, Headers: h, Path: valid(path), Query: query}, err
}

// Method returns the method as the client has sent it: "GET".
func (r *Request) Method() string { return r.Headers.Method() }

// Host returns the host that the client asked for: in lower case, without a port and a dot at its end.
func (r *Request) Host() string {
	host := r.Headers.Host()
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 &&
		(host[0] == '[' || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	for i := range len(host) {
		if c := host[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
			return strings.ToLower(host)
		}
	}
	return host
}

// RawPath returns the path with the query, as Envoy has it.
func (r *Request) RawPath() string { return valid(r.Headers.Path()) }

// Segments returns what is between the slashes of Path, without the empty one after a slash at the end.
func (r *Request) Segments() []string {
	path := strings.TrimSuffix(strings.TrimPrefix(r.Path, "/"), "/")
	if path == "" {
		return []string{}
	}
	return strings.Split(path, "/")
}

// Parameters returns the parameters of the query, each with all its values in order. A name or a value that is not
// well encoded is there as the client sent it: the rules see all that the upstream may see.
func (r *Request) Parameters() map[string][]string {
	m := map[string][]string{}
	for p := range strings.SplitSeq(r.Query, "&") {
		if p == "" {
			continue
		}
		name, value, _ := strings.Cut(p, "=")
		name, value = unescape(name), unescape(value)
		m[name] = append(m[name], value)
	}
	return m
}

func unescape(s string) string {
	if v, err := url.QueryUnescape(s); err == nil {
		return valid(v)
	}
	return valid(s)
}

// valid returns s with invalid UTF-8 replaced, because languages of rules know no other text.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Header returns the values of a header, joined by commas as HTTP allows, and whether there is one.
func (r *Request) Header(name string) (string, bool) {
	switch values := r.Headers.Values(name); len(values) {
	case 0:
		return "", false
	case 1:
		return valid(values[0]), true
	default:
		return valid(strings.Join(values, ",")), true
	}
}

// HeaderMap returns all headers by their names in lower case, as [Request.Header] does each. Of Envoy's pseudo-headers
// there is only host.
func (r *Request) HeaderMap() map[string]string {
	m := make(map[string]string, r.Headers.Len())
	for name, value := range r.Headers.All() {
		if name == ":authority" {
			name = "host"
		} else if strings.HasPrefix(name, ":") {
			continue
		}
		if before, ok := m[name]; ok {
			value = before + "," + value
		}
		m[name] = valid(value)
	}
	return m
}

// Source returns the client's address as Envoy determines it, the zero AddrPort if it has none.
func (r *Request) Source() netip.AddrPort { return r.Stream.RemoteAddr() }

// Principal returns the URI in the client's certificate, such as spiffe://…, or "".
func (r *Request) Principal() string {
	v, _ := r.Stream.Attr(filter.AttrPeerURISAN) // it is empty where the client has none or the host cannot tell
	return v
}

var noConsumer filter.Consumer

// Consumer returns who the caller is; one without a name if that is not known.
func (r *Request) Consumer() *filter.Consumer {
	if c := r.Stream.Consumer(); c != nil {
		return c
	}
	return &noConsumer
}

// Metadata names a value of Envoy's dynamic metadata that rules may see.
type Metadata struct {
	// Namespace is that of the filter that sets it, such as moe.jwtauth.
	Namespace string `json:"namespace" validate:"required"`
	// Key is the name of the value in it.
	Key string `json:"key" validate:"required"`
}

// Metadata returns the values of names that the stream has, by namespace and key.
func (r *Request) Metadata(names []Metadata) (map[string]map[string]any, error) {
	m := map[string]map[string]any{}
	for _, n := range names {
		v, err := r.Stream.Metadata(n.Namespace, n.Key)
		if errors.Is(err, filter.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("metadata %s of %s: %w", n.Key, n.Namespace, err)
		}
		if m[n.Namespace] == nil {
			m[n.Namespace] = map[string]any{}
		}
		m[n.Namespace][n.Key] = v
	}
	return m, nil
}

// Tree returns all of the request as JSON has it: what Rego calls input. The client's address is source: that of
// [Mode.Source] for rules that may decide by it.
func (r *Request) Tree(source netip.AddrPort, names []Metadata) (map[string]any, error) {
	meta, err := r.Metadata(names)
	if err != nil {
		return nil, err
	}
	namespaces := make(map[string]any, len(meta))
	for ns, values := range meta {
		namespaces[ns] = values
	}
	headers := r.HeaderMap()
	c := r.Consumer()
	address := ""
	if source.IsValid() {
		address = source.Addr().String()
	}
	return map[string]any{
		"request": map[string]any{
			"method": r.Method(), "scheme": r.Headers.Scheme(), "host": r.Host(),
			"path": r.Path, "raw_path": r.RawPath(),
			"segments": list(r.Segments()), "query": lists(r.Parameters()), "headers": object(headers),
		},
		"source": map[string]any{"address": address, "port": int(source.Port()), "principal": r.Principal()},
		"consumer": map[string]any{
			"name": c.Name, "groups": list(c.Groups), "labels": object(c.Labels), "attributes": attributes(c),
		},
		"metadata": namespaces,
	}, nil
}

func attributes(c *filter.Consumer) map[string]any {
	if c.Attributes == nil {
		return map[string]any{}
	}
	return c.Attributes
}

func list(l []string) []any {
	out := make([]any, len(l))
	for i := range l {
		out[i] = valid(l[i])
	}
	return out
}

func lists(m map[string][]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = list(v)
	}
	return out
}

func object(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
