package extauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/outbound"
)

// maxAnswer is how long the body of an answer that denies may be.
const maxAnswer = 1 << 20

// request makes what the service is sent: the request's method, host and path after the prefix, and headers of it.
func (p *ExtAuth) request(h filter.RequestHeaders, b body) (*http.Request, error) {
	if h.Method() == http.MethodConnect {
		return nil, errors.New("the service cannot be asked about CONNECT")
	}
	q, err := http.NewRequest(h.Method(), p.URL.String(), bytes.NewReader(b.data))
	if err != nil {
		return nil, errors.New("the request has an invalid method") // err quotes it
	}
	q.URL, q.Host = p.target(h.Path()), h.Host()
	header := http.Header{"User-Agent": nil} // nil: none, unless it is to be sent
	for name, value := range h.All() {
		if (name == "authorization" || p.send.has(name)) && !isOurs(name) {
			header.Add(name, value)
		}
	}
	for name, value := range p.Add {
		header.Set(name, value.Reveal())
	}
	if p.RequestBody != nil {
		header.Set("X-Envoy-Auth-Partial-Body", fmt.Sprint(b.partial))
	}
	q.Header = header
	return q, nil
}

// target is the URL of a request's path. It is sent byte by byte as it came: another spelling may be another resource.
func (p *ExtAuth) target(path string) *url.URL {
	u := &url.URL{Scheme: p.URL.Scheme, Host: p.URL.Host}
	path = p.prefix + escape(path)
	if !strings.HasPrefix(path, "//") {
		u.Opaque = path
		return u
	}
	// net/url takes such an opaque text for a host.
	path, query, asked := strings.Cut(path, "?")
	u.Path, u.RawQuery, u.ForceQuery = path, query, asked && query == ""
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = plain, path
	}
	return u
}

// escape encodes what cannot be in the first line of a request.
func escape(path string) string {
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f {
			var b strings.Builder
			for j := range len(path) {
				if c := path[j]; c <= ' ' || c >= 0x7f {
					fmt.Fprintf(&b, "%%%02X", c)
				} else {
					b.WriteByte(c)
				}
			}
			return b.String()
		}
	}
	return path
}

// call asks the service.
func (p *ExtAuth) call(ctx context.Context, q *http.Request) (d decision, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout) // for all tries together
	defer cancel()
	var resp *http.Response
	err = p.again(ctx, func() (again bool, err error) {
		try := q.Clone(ctx)
		if q.GetBody != nil {
			if try.Body, err = q.GetBody(); err != nil {
				return false, err
			}
		}
		if resp, err = p.client.Do(try); err != nil {
			return ctx.Err() == nil, err
		}
		if resp.StatusCode == http.StatusServiceUnavailable {
			resp.Body.Close()
			return true, errUnavailable
		}
		return false, nil
	})
	if err != nil {
		return d, outbound.Plain(err)
	}
	defer resp.Body.Close()
	answer, err := fields(resp.Header)
	if err != nil {
		return d, err
	}
	for _, f := range answer {
		d.size += len(f.name) + len(f.value)
	}
	d.note = func(s filter.Stream) { p.note(s, answer) }
	switch status := resp.StatusCode; {
	case status == http.StatusOK:
		// Its end is waited for, so that the connection can be used again, and because an answer that breaks off is not a decision.
		// A long one is not worth it.
		if _, err := outbound.ReadAll(resp.Body, 64<<10); err != nil && !errors.Is(err, outbound.ErrTooLong) {
			return d, outbound.Plain(err)
		}
		d.allowed, d.apply = true, func(s filter.Stream, h filter.RequestHeaders) { p.apply(s, h, answer) }
		return d, nil
	case status < 300 || status >= 500:
		return d, fmt.Errorf("the service answers %d", status)
	default:
		text, err := outbound.ReadAll(resp.Body, maxAnswer)
		if err != nil {
			return d, outbound.Plain(err)
		}
		d.size += len(text)
		d.reply, d.reason = p.denied(status, string(text), answer), fmt.Sprintf("the service answers %d", status)
		return d, nil
	}
}

var errUnavailable = errors.New("the service answers 503")

type field struct{ name, value string }

var errField = errors.New("the service's answer has an invalid header")

// fields returns an answer's headers, by name in lower case, in no order of names.
func fields(h http.Header) ([]field, error) {
	list := make([]field, 0, len(h))
	for name, values := range h {
		name = strings.ToLower(name)
		if fieldname.Check(name) != nil {
			return nil, errField
		}
		for _, v := range values {
			if !fieldname.ValidValue(v) {
				return nil, errField
			}
			list = append(list, field{name, v})
		}
	}
	return list, nil
}

// toRemove names the headers that an answer that allows has taken off the request.
const toRemove = "x-envoy-auth-headers-to-remove"

// forClient is what an answer that allows adds to the response.
var forClient = filter.NewKey[[]field]("extauth response headers")

// apply changes the request as an answer says.
func (p *ExtAuth) apply(s filter.Stream, h filter.RequestHeaders, answer []field) {
	var response []field
	changed := false
	var who caller
	for _, f := range answer {
		if f.name != toRemove {
			continue
		}
		for name := range strings.SplitSeq(f.value, ",") {
			if name = strings.ToLower(strings.TrimSpace(name)); !isOurs(name) {
				who.lose(h, name)
				h.Del(name)
				changed = true
			}
		}
	}
	set := map[string]bool{}
	for _, f := range answer {
		if isOurs(f.name) {
			continue
		}
		switch {
		case p.upstream.has(f.name):
			if set[f.name] {
				h.Add(f.name, f.value)
			} else {
				h.Set(f.name, f.value)
			}
			who.add(f)
			set[f.name], changed = true, true
		case p.upstreamAppend.has(f.name):
			h.Add(f.name, f.value)
			who.add(f)
			changed = true
		}
		if p.clientOnSuccess.has(f.name) {
			response = append(response, f)
		}
	}
	who.tell(s)
	if changed && p.ClearRouteCache {
		if err := s.ClearRouteCache(); err != nil {
			s.Log().Error("cannot have the route chosen again", "error", err)
		}
	}
	if response != nil {
		forClient.Set(s, append(first(forClient.Get(s)), response...))
	}
}

func first[T any](v T, _ bool) T { return v }

// OnResponseHeaders adds what the answer has for the client.
func (p *ExtAuth) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if p.overGRPC() {
		list, _ := forResponse.Get(s)
		respond(h, list)
		forResponse.Set(s, nil) // another extauth of the chain would do it again
		return filter.Continue
	}
	if p.clientOnSuccess.empty() {
		return filter.Continue
	}
	fields, _ := forClient.Get(s)
	for _, f := range fields {
		h.Add(f.name, f.value)
	}
	forClient.Set(s, nil) // another extauth of the chain would add them again
	return filter.Continue
}

// denied is the reply of the service, for the client.
func (p *ExtAuth) denied(status int, text string, answer []field) *filter.Action {
	opts := []filter.ReplyOption{filter.WithDetails("moe.extauth.denied")}
	for _, f := range answer {
		switch f.name {
		case "location", "www-authenticate", "content-type":
		default:
			if isOurs(f.name) || !p.deny.empty() && !p.deny.has(f.name) {
				continue
			}
		}
		opts = append(opts, filter.WithHeader(f.name, f.value))
	}
	reply := filter.Reply(status, text, opts...)
	return &reply
}

// note puts headers of an answer into metadata. A host that cannot set it does not make the request fail.
func (p *ExtAuth) note(s filter.Stream, answer []field) {
	if p.meta.empty() || !p.metadata {
		return
	}
	for _, f := range answer {
		if p.meta.has(f.name) {
			_ = s.SetMetadata(p.namespace, f.name, f.value)
		}
	}
}
