// Package waf runs rules over every phase of a stream.
//
// It shows WaitPrefix: a message is held until so many bytes of its body have come, OnRequest or OnResponse looks at
// them, and the rest streams. So inspection costs a bounded amount of memory and delay whatever a client sends. It also
// shows a counter with a tag, and OnComplete for what is to be said once at the end.
//
// What is past bodyLimit, compressed, or in trailers is not looked at: a real firewall needs more rules than these.
package waf

import (
	"bytes"
	"errors"
	"net/url"
	"regexp"

	"mosn.io/moe/framework/filter"
)

// WAF blocks what a rule finds.
type WAF struct {
	// Rules are tried in order; the first that finds something blocks.
	Rules []Rule `json:"rules" merge:"append"`
	// BodyLimit is how much of a body is inspected before it goes on.
	BodyLimit filter.Size `json:"bodyLimit" default:"128KiB"`
	// DetectionOnly logs and does not block.
	DetectionOnly bool `json:"detectionOnly"`

	in   map[string][]*rule
	hits *filter.Tagged[*filter.Counter]
}

// Rule is a pattern and where to look for it.
type Rule struct {
	ID      string         `json:"id" validate:"required"`
	Pattern *regexp.Regexp `json:"pattern" validate:"required"`
	In      string         `json:"in" enum:"requestHeaders,requestBody,responseHeaders,responseBody"`
}

// rule is a Rule and its reply, made once.
type rule struct {
	Rule
	reply filter.Action
}

func init() { filter.RegisterPerStream("waf", filter.Access, (*WAF).newStream) }

// Validate refuses a limit that would not let a body through.
func (w *WAF) Validate() error {
	if w.BodyLimit < 1 || w.BodyLimit > 1<<30 {
		return errors.New("bodyLimit: must be between a byte and 1GiB")
	}
	return nil
}

// Provision sorts the rules by where they look.
func (w *WAF) Provision(env *filter.Env) error {
	w.hits = env.Tag("rule").Counter("hits")
	w.in = map[string][]*rule{}
	for _, r := range w.Rules {
		w.in[r.In] = append(w.in[r.In], &rule{r, filter.Reply(403, "", filter.WithDetails("waf."+r.ID))})
	}
	return nil
}

func (w *WAF) newStream(filter.Stream) *tx { return &tx{WAF: w} }

// tx is one stream's transaction. Request and response may be inspected at the same time, so they share nothing.
type tx struct {
	*WAF
	request, response []string // IDs of the rules that matched
}

// OnRequestHeaders inspects the headers, and has the body inspected if a rule wants it.
func (t *tx) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	return t.headers("request", h.Headers, end, &t.request)
}

// OnRequest inspects the beginning of the body.
func (t *tx) OnRequest(_ filter.Stream, _ filter.RequestHeaders, b filter.Body) filter.Action {
	return t.check("requestBody", b.Bytes(), &t.request)
}

// OnResponseHeaders is OnRequestHeaders for the response.
func (t *tx) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	return t.headers("response", h.Headers, end, &t.response)
}

// OnResponse is OnRequest for the response.
func (t *tx) OnResponse(_ filter.Stream, _ filter.ResponseHeaders, b filter.Body) filter.Action {
	return t.check("responseBody", b.Bytes(), &t.response)
}

// OnComplete logs what matched.
func (t *tx) OnComplete(s filter.Stream) {
	if matched := append(t.request, t.response...); len(matched) > 0 {
		s.Log().Warn("rules matched", "rules", matched, "path", s.RequestHeaders().Path())
	}
}

func (t *tx) headers(message string, h filter.Headers, end bool, matched *[]string) filter.Action {
	if len(t.in[message+"Headers"]) > 0 {
		if a := t.check(message+"Headers", text(h), matched); a != filter.Continue {
			return a
		}
	}
	if end || len(t.in[message+"Body"]) == 0 {
		return filter.Continue
	}
	return filter.WaitPrefix(int(t.BodyLimit))
}

func (t *tx) check(in string, p []byte, matched *[]string) filter.Action {
	for _, r := range t.in[in] {
		if !r.Pattern.Match(p) {
			continue
		}
		*matched = append(*matched, r.ID)
		t.hits.With(r.ID).Inc()
		if !t.DetectionOnly {
			return r.reply
		}
	}
	return filter.Continue
}

// text returns a header as lines, and the path without its escapes as one more, so that %65vil is evil.
func text(h filter.Headers) []byte {
	var b bytes.Buffer
	for name, value := range h.All() {
		b.WriteString(name)
		b.WriteString(": ")
		b.WriteString(value)
		b.WriteByte('\n')
		if name != ":path" {
			continue
		}
		if plain, err := url.PathUnescape(value); err == nil && plain != value {
			b.WriteString(plain)
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}
