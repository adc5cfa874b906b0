package extauth

import (
	"fmt"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"mosn.io/moe/framework/filter"
)

// change is what an answer that allows changes.
type change struct {
	set, add    []field // headers of the request
	remove      []string
	response    []toResponse
	setQuery    []field
	removeQuery []string
}

// toResponse is a header for the response.
type toResponse struct {
	field
	how corev3.HeaderValueOption_HeaderAppendAction
}

// changes reads an answer that allows. It is refused as a whole if any of it is invalid.
func changes(ok *authv3.OkHttpResponse) (c change, err error) {
	for _, o := range ok.GetHeaders() {
		f, err := headerOf(o)
		switch {
		case err != nil:
			return c, err
		case isOurs(f.name):
		case appends(o).GetValue(): // Envoy looks at nothing else here
			c.add = append(c.add, f)
		default:
			c.set = append(c.set, f)
		}
	}
	for _, o := range ok.GetResponseHeadersToAdd() {
		f, err := headerOf(o)
		if err != nil {
			return c, err
		}
		how := o.GetAppendAction()
		if set := appends(o); set != nil {
			how = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
			if set.GetValue() {
				how = corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
			}
		}
		if !isOurs(f.name) {
			c.response = append(c.response, toResponse{f, how})
		}
	}
	c.remove = ok.GetHeadersToRemove()
	for _, q := range ok.GetQueryParametersToSet() {
		c.setQuery = append(c.setQuery, field{q.GetKey(), q.GetValue()})
	}
	c.removeQuery = ok.GetQueryParametersToRemove()
	return c, nil
}

// apply changes the request.
func (c *change) apply(s filter.Stream, h filter.RequestHeaders, clearRoute bool) {
	var who caller
	for _, f := range c.set {
		h.Set(f.name, f.value)
		who.add(f)
	}
	for _, name := range c.remove {
		if name = strings.ToLower(name); !isOurs(name) {
			who.lose(h, name)
			h.Del(name)
		}
	}
	for _, f := range c.add { // Envoy appends to what is there, and adds nothing
		if h.Has(f.name) {
			h.Add(f.name, f.value)
			who.add(f)
		}
	}
	if len(c.setQuery)+len(c.removeQuery) > 0 {
		before := h.Path()
		h.SetPath(c.path(before))
		if len(c.removeQuery) > 0 && h.Path() != before {
			who.add(field{":path", before}) // it had what is taken off
		}
	}
	who.tell(s)
	if len(c.response) > 0 {
		forResponse.Set(s, append(first(forResponse.Get(s)), c.response...))
	}
	if clearRoute && len(c.set)+len(c.add)+len(c.remove)+len(c.setQuery)+len(c.removeQuery) > 0 {
		if err := s.ClearRouteCache(); err != nil {
			s.Log().Error("cannot have the route chosen again", "error", err)
		}
	}
}

// path is the path with the query as the answer has it. Other parameters stay byte by byte. What the answer sets is taken as it
// is, as Envoy does, but for what cannot be in a parameter.
func (c *change) path(path string) string {
	path, query, _ := strings.Cut(path, "?")
	drop := map[string]bool{}
	for _, name := range c.removeQuery {
		drop[decoded(name)] = true
	}
	for _, f := range c.setQuery {
		drop[decoded(f.name)] = true
	}
	var keep []string
	for raw := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(raw, "="); raw != "" && !drop[decoded(name)] {
			keep = append(keep, raw)
		}
	}
	for _, f := range c.setQuery {
		keep = append(keep, parameter(f.name, "&#=")+"="+parameter(f.value, "&#"))
	}
	if len(keep) == 0 {
		return path
	}
	return path + "?" + strings.Join(keep, "&")
}

// decoded is the name of a parameter as an upstream reads it that leaves broken escapes as they are.
func decoded(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '+' {
			c = ' '
		}
		if c == '%' && i+2 < len(name) {
			if code, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				c, i = byte(code), i+2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// parameter is a name or a value with what would end it, or cannot be in a path, encoded.
func parameter(s, ends string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(ends, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// forResponse is what an answer that allows changes of the response.
var forResponse = filter.NewKey[[]toResponse]("extauth changes of the response")

// respond changes the response's headers.
func respond(h filter.ResponseHeaders, list []toResponse) {
	for _, f := range list {
		switch there := h.Has(f.name); {
		case f.how == corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			h.Add(f.name, f.value)
		case f.how == corev3.HeaderValueOption_ADD_IF_ABSENT && !there,
			f.how == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS && there,
			f.how == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
			h.Set(f.name, f.value)
		}
	}
}
