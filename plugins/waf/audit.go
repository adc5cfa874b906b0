package waf

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/corazawaf/coraza/v3/types"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/redact"
)

// Audit has a record of requests written to Envoy's log, as JSON. Values in which plugins of the process look for credentials
// are hidden in it, as accesslog does.
type Audit struct {
	// Only says of which requests: blocked ones (with shadow, those that would be), matched ones, about which a rule has something
	// to say, or all.
	Only string `json:"only" default:"matched" enum:"blocked,matched,all"`
	// Values has the values that rules have matched written, of which 200 bytes at most: clients have sent them.
	Values bool `json:"values"`
	// Redact lists headers whose values are hidden, besides authorization, proxy-authorization, cookie, set-cookie and those in
	// which plugins look for credentials.
	Redact []string `json:"redact" merge:"append"`
	// RedactQuery lists parameters, of the query or of a form, whose values are hidden.
	RedactQuery []string `json:"redactQuery" merge:"append"`
	// RedactPatterns lists regular expressions (RE2): what they match is replaced in all that is written.
	RedactPatterns []*regexp.Regexp `json:"redactPatterns" merge:"append"`

	hide redact.Rules
}

func (a *Audit) check() (errs []error) {
	if a == nil {
		return nil
	}
	a.hide.Headers, a.hide.Queries, a.hide.Patterns = map[string]bool{}, map[string]bool{}, a.RedactPatterns
	for _, name := range redact.Always {
		a.hide.Headers[name] = true
	}
	for i, name := range a.Redact {
		if err := fieldname.Check(name); err != nil {
			errs = append(errs, fmt.Errorf("audit.redact[%d]: %w", i, err))
		}
		a.hide.Headers[strings.ToLower(name)] = true
	}
	for i, name := range a.RedactQuery {
		if name == "" {
			errs = append(errs, fmt.Errorf("audit.redactQuery[%d]: must not be empty", i))
		}
		a.hide.Queries[name] = true
	}
	for i, re := range a.RedactPatterns {
		if re.MatchString("") {
			errs = append(errs, fmt.Errorf("audit.redactPatterns[%d]: matches the empty text", i))
		}
	}
	return errs
}

// record is what is written of a request.
type record struct {
	ID              string              `json:"id"`
	Time            time.Time           `json:"time"`
	Client          string              `json:"client,omitempty"`
	Method          string              `json:"method"`
	Host            string              `json:"host"`
	Path            string              `json:"path"`
	Protocol        string              `json:"protocol,omitempty"`
	Status          int                 `json:"status,omitempty"`
	Decision        string              `json:"decision"` // pass, block or shadow
	Direction       string              `json:"direction,omitempty"`
	Rule            int                 `json:"rule,omitempty"`
	Score           float64             `json:"score"`
	RequestHeaders  map[string][]string `json:"request_headers"`
	ResponseHeaders map[string][]string `json:"response_headers,omitempty"`
	Matches         []match             `json:"matches"`
	Left            int                 `json:"matches_left_out,omitempty"`
}

// match is a rule that has matched.
type match struct {
	Rule     int      `json:"rule"`
	Message  string   `json:"message,omitempty"`
	Severity string   `json:"severity"`
	Tags     []string `json:"tags,omitempty"`
	At       []place  `json:"at,omitempty"`
}

// place is where it has.
type place struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// Bounds of a record.
const (
	maxMatches = 64
	maxPlaces  = 16 // of a match
	maxText    = 200
)

// begin notes what only the stream's own thread can tell. It is called when the stream is complete.
func (a *Audit) begin(s filter.Stream) *record {
	hide, q := a.hide.Now(), s.RequestHeaders()
	r := &record{
		Time: time.Now().UTC(), Method: q.Method(), Host: q.Host(), Path: hide.Path(q.Path()), Status: s.ResponseHeaders().Status(),
		RequestHeaders: a.fields(hide, q.Headers), ResponseHeaders: a.fields(hide, s.ResponseHeaders().Headers),
	}
	if c := s.RemoteAddr(); c.IsValid() {
		r.Client = c.String()
	}
	return r
}

func (a *Audit) fields(hide *redact.Hiding, h filter.Headers) map[string][]string {
	m := map[string][]string{}
	for name, value := range h.All() {
		if name != "" && name[0] != ':' {
			m[name] = append(m[name], hide.Value(name, value))
		}
	}
	return m
}

// write completes the record and writes it, if the request is one of those that it is about. Only the one that has the transaction
// may call it, before that is closed.
func (st *stream) write(r *record) {
	a, rep := st.p.Audit, &st.report
	if a.Only == "blocked" && rep.decided == nil || a.Only == "matched" && rep.decided == nil && len(rep.rules) == 0 {
		return
	}
	hide := a.hide.Now()
	r.ID, r.Protocol, r.Score, r.Decision, r.Matches = st.tx.ID(), st.protocol, st.score(), "pass", []match{}
	if d := rep.decided; d != nil {
		r.Decision, r.Direction, r.Rule = "block", rep.direction, d.RuleID
		if rep.shadow {
			r.Decision = "shadow"
		}
	}
	for _, m := range st.tx.MatchedRules() {
		switch {
		case !logs(m):
		case len(r.Matches) == maxMatches:
			r.Left++
		default:
			r.Matches = append(r.Matches, a.match(hide, m))
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		st.p.env.Log().Error("the audit record cannot be written", "error", err)
		return
	}
	st.p.counts.audited.Inc()
	record := slog.Any("record", json.RawMessage(bytes.TrimSpace(text.Bytes())))
	st.p.env.Log().LogAttrs(extension.EveryLine(context.Background()), slog.LevelInfo, "audit", record)
}

func (a *Audit) match(hide *redact.Hiding, m types.MatchedRule) match {
	out := match{
		Rule: m.Rule().ID(), Message: bounded(hide.Scrub(m.Message())), Severity: m.Rule().Severity().String(), Tags: m.Rule().Tags(),
	}
	for _, d := range m.MatchedDatas() {
		if len(out.At) == maxPlaces {
			break
		}
		at := place{Name: d.Variable().Name()}
		if key := d.Key(); key != "" {
			at.Name += ":" + bounded(hide.Scrub(key))
		}
		if a.Values {
			at.Value = bounded(a.value(hide, d))
		}
		out.At = append(out.At, at)
	}
	return out
}

// value returns what is written of a value that a rule has matched.
func (a *Audit) value(hide *redact.Hiding, d types.MatchData) string {
	key := strings.ToLower(d.Key())
	switch name := d.Variable().Name(); {
	case name == "REQUEST_HEADERS" || name == "RESPONSE_HEADERS":
		return hide.Value(key, d.Value())
	case strings.HasPrefix(name, "REQUEST_COOKIES"):
		return redact.Hidden
	case name == "ARGS_NAMES" || name == "ARGS_GET_NAMES" || name == "ARGS_POST_NAMES":
		return hide.Scrub(d.Value())
	case strings.HasPrefix(name, "ARGS"):
		for part := range strings.SplitSeq(d.Key(), ".") { // of a member of JSON: json.user.password
			if _, value, _ := strings.Cut(hide.Address("?"+part+"=x"), "="); value == redact.Hidden {
				return value
			}
		}
		return hide.Scrub(d.Value())
	case name == "TX": // copies of anything
		return redact.Hidden
	case name == "QUERY_STRING":
		return strings.TrimPrefix(hide.Path("?"+d.Value()), "?")
	case name == "REQUEST_BODY" || name == "XML" || name == "JSON":
		return redact.Hidden // whole, so that nobody knows what of it to hide
	}
	return hide.Path(d.Value())
}

// bounded is the beginning of a text.
func bounded(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
