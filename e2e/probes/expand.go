package probes

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
)

// expand replaces each ${KIND.NAME}.
func (r *run) expand(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			break
		}
		b.WriteString(s[:i])
		b.WriteString(r.value(s[i+2 : i+j]))
		s = s[i+j+1:]
	}
	b.WriteString(s)
	return b.String()
}

// value knows
//
//	req.NAME resp.NAME reqt.NAME respt.NAME  the first value of a header or trailer
//	all.NAME                                 every value in this phase's block, with | between them
//	has.NAME len names                       of this phase's block
//	method scheme host path url cookie.NAME status remote
//	body bodylen complete end                of this phase
//	attr.NAME meta.NAMESPACE/KEY fs.KEY secret.NAME key.NAME consumer
//	trace name caps.NAME last ctx
func (r *run) value(expr string) string {
	kind, name, _ := strings.Cut(expr, ".")
	switch kind {
	case "req":
		return r.s.RequestHeaders().Get(name)
	case "resp":
		return r.s.ResponseHeaders().Get(name)
	case "reqt":
		return r.s.RequestTrailers().Get(name)
	case "respt":
		return r.s.ResponseTrailers().Get(name)
	case "all":
		return strings.Join(r.block.Values(name), "|")
	case "has":
		return strconv.FormatBool(r.block.Has(name))
	case "len":
		return strconv.Itoa(r.block.Len())
	case "names":
		return r.names()
	case "cookie":
		v, ok := r.s.RequestHeaders().Cookie(name)
		return v + map[bool]string{false: "(none)"}[ok]
	case "attr":
		return orError(r.s.Attr(filter.Attr(name)))
	case "meta":
		ns, key, _ := strings.Cut(name, "/")
		v, err := r.s.Metadata(ns, key)
		p, _ := json.Marshal(v)
		return orError(string(p), err)
	case "fs":
		return orError(r.s.FilterState(name))
	case "secret":
		v, err := r.s.Secret(name)
		return orError(v.Reveal(), err)
	case "key":
		v, _ := keyOf(name).Get(r.s)
		return v
	case "caps":
		return strconv.FormatBool(r.e.env.Has(capability(name)))
	}
	return r.plain(expr)
}

func (r *run) plain(expr string) string {
	h := r.s.RequestHeaders()
	switch expr {
	case "method":
		return h.Method()
	case "scheme":
		return h.Scheme()
	case "host":
		return h.Host()
	case "path":
		return h.Path()
	case "url":
		return h.URL().String()
	case "status":
		return strconv.Itoa(r.s.ResponseHeaders().Status())
	case "remote":
		return r.s.RemoteAddr().String()
	case "body":
		return string(r.body.Bytes())
	case "bodylen":
		return strconv.Itoa(r.body.Len())
	case "complete":
		return strconv.FormatBool(r.body.Complete())
	case "end":
		return strconv.FormatBool(r.end)
	case "consumer":
		if c := r.s.Consumer(); c != nil {
			return c.Name
		}
		return "(none)"
	case "trace":
		return traceOf(r.s).String()
	case "name":
		return r.e.name()
	case "last":
		return r.last
	case "ctx":
		return fmt.Sprint(r.s.Context().Err())
	}
	return "(unknown " + expr + ")"
}

func (r *run) names() string {
	var names []string
	for k := range r.block.All() {
		names = append(names, k)
	}
	return strings.Join(names, " ")
}

func orError(v string, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return v
}

func capability(name string) filter.Capability {
	for c := filter.Capability(1); c != 0; c <<= 1 {
		if c.String() == name {
			return c
		}
	}
	return 0
}
