package waf

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authztest"
)

var recordForm = regexp.MustCompile(`msg=audit .*record=(".*")`)

// audited returns the only record in the log, nil if there is none, once the inspections have ended.
func audited(t *testing.T, h *filtertest.Host, requests int64) *record {
	t.Helper()
	authztest.Until(t, "the inspections end", func() bool { return h.Metric("inspected") == requests })
	all := recordForm.FindAllStringSubmatch(h.Log(), -1)
	if int64(len(all)) != h.Metric("audited") || len(all) > 1 {
		t.Fatalf("%d records, audited %d, want one at most:\n%.3000s", len(all), h.Metric("audited"), h.Log())
	}
	if len(all) == 0 {
		return nil
	}
	var r record
	text, err := strconv.Unquote(all[0][1]) // Envoy's log has it unquoted
	if err != nil {
		t.Fatalf("strconv.Unquote: %v", err)
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("json.Unmarshal %s: %v", text, err)
	}
	return &r
}

// TestAuditOnly: which requests have a record.
func TestAuditOnly(t *testing.T) {
	const notes = `
SecRule ARGS:a "@streq note" "id:2001,phase:2,pass,log,msg:noted,severity:WARNING"
SecRule ARGS:a "@streq bad" "id:2002,phase:2,deny,log,msg:refused"`
	for _, c := range []struct {
		name, only, more, path string
		want                   string // the decision, "" for no record
		rules                  []int
	}{
		{name: "blocked, by blocked", only: "blocked", path: "/?a=bad", want: "block", rules: []int{2002}},
		{name: "a match, by blocked", only: "blocked", path: "/?a=note"},
		{name: "a match, by matched", only: "matched", path: "/?a=note", want: "pass", rules: []int{2001}},
		{name: "nothing, by matched", only: "matched", path: "/?a=x"},
		{name: "nothing, by all", only: "all", path: "/?a=x", want: "pass"},
		{name: "a dry run", only: "blocked", more: ", shadow: true", path: "/?a=bad", want: "shadow", rules: []int{2002}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, rules(notes)+", audit: {only: "+c.only+"}"+c.more)
			h.Get(c.path)
			r := audited(t, h, 1)
			if (r == nil) != (c.want == "") {
				t.Fatalf("got the record %+v, want the decision %q", r, c.want)
			}
			if r == nil {
				return
			}
			var got []int
			for _, m := range r.Matches {
				got = append(got, m.Rule)
			}
			if diff := cmp.Diff(c.rules, got); r.Decision != c.want || diff != "" {
				t.Errorf("the decision is %q, want %q; rules (-want +got):\n%s", r.Decision, c.want, diff)
			}
			if c.want == "block" && (r.Rule != 2002 || r.Direction != "request" || r.Status != 403) {
				t.Errorf("got %+v, want that rule 2002 has refused the request with 403", r)
			}
		})
	}
}

// TestAuditHides: no credential gets into a record, nor what the operator lists; and without values, nothing that clients send in
// parameters.
func TestAuditHides(t *testing.T) {
	const log = `
SecRule ARGS|REQUEST_HEADERS|REQUEST_COOKIES|QUERY_STRING|REQUEST_URI|REQUEST_BODY "@contains geheim" "id:2001,phase:2,pass,log,msg:m"
SecRule ARGS "@contains harmless" "id:2002,phase:2,pass,log,msg:m"`
	const lists = "redact: [X-Key], redactQuery: [key], redactPatterns: ['geheim\\d+']"
	header := []string{
		"authorization", "Bearer geheim", "cookie", "s=geheim", "x-key", "geheim", "x-other", "card geheim42", "referer",
		"https://a.example/?key=geheim",
	}
	for _, c := range []struct {
		name, values, contentType, body string
		shown                           bool
	}{
		{name: "without values", contentType: form, body: "key=geheim&b=harmless"},
		{name: "with values", values: ", values: true", contentType: form, body: "key=geheim&b=harmless", shown: true},
		{
			name: "JSON", values: ", values: true", contentType: "application/json",
			body: `{"key": "geheim", "a": {"key": ["geheim"]}, "b": "harmless"}`, shown: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, rules(log)+", audit: {"+lists+c.values+"}")
			if r := h.Post("/p?key=geheim&q=harmless", c.body, append(header, "content-type", c.contentType)...); r.Status != 200 {
				t.Fatalf("the request gets %d, want that it passes", r.Status)
			}
			r := audited(t, h, 1)
			if r == nil || len(r.Matches) == 0 {
				t.Fatalf("got the record %+v, want one with matches", r)
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatalf("json.Marshal: %v", err)
			}
			if strings.Contains(string(text), "geheim") {
				t.Errorf("a secret is in the record: %s", text)
			}
			shown := false
			for _, m := range r.Matches {
				for _, at := range m.At {
					shown = shown || at.Value == "harmless"
				}
			}
			if shown != c.shown {
				t.Errorf("the value that rule 2002 has matched is there: %t, want %t: %s", shown, c.shown, text)
			}
			if got := r.RequestHeaders["authorization"]; len(got) != 1 || got[0] != "[redacted]" {
				t.Errorf("authorization is %q, want that it is there, redacted", got)
			}
		})
	}
}

// TestAuditBounds: a request that matches very often has a record of bounded size.
func TestAuditBounds(t *testing.T) {
	var text strings.Builder
	for id := range 100 {
		fmt.Fprintf(&text, "SecRule ARGS \"@contains x\" \"id:%d,phase:2,pass,log,msg:m\"\n", 1000+id)
	}
	h := host(t, rules(text.String())+", audit: {values: true}")
	h.Get("/?" + strings.Repeat("a="+strings.Repeat("x", 300)+"&", 30))
	r := audited(t, h, 1)
	if r == nil || len(r.Matches) != maxMatches || r.Left != 100-maxMatches {
		t.Fatalf("got the record %+v, want %d matches and a count of the others", r, maxMatches)
	}
	for _, m := range r.Matches {
		if len(m.At) > maxPlaces || len(m.At[0].Value) > maxText+3 {
			t.Errorf("rule %d: %d places, the first with %d bytes; want %d of %d", m.Rule, len(m.At), len(m.At[0].Value), maxPlaces, maxText)
		}
	}
}

// TestAuditOnRoutes: a route hides what the filter does, and more.
func TestAuditOnRoutes(t *testing.T) {
	parent := map[string]any{"audit": map[string]any{"only": "all", "redact": []any{"a"}, "redactQuery": []any{"q"}}}
	child := map[string]any{"audit": map[string]any{"only": "blocked", "redact": []any{"b"}}}
	want := map[string]any{"audit": map[string]any{"only": "blocked", "redact": []any{"a", "b"}, "redactQuery": []any{"q"}}}
	got, err := (&WAF{}).Merge(parent, child)
	if err != nil {
		t.Fatalf("Merge: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Merge (-want +got):\n%s", diff)
	}
}

// TestAuditChecks: a list that cannot be meant is refused.
func TestAuditChecks(t *testing.T) {
	for _, c := range []struct{ name, audit, want string }{
		{"a header that is none", "redact: ['a b']", "audit.redact[0]"},
		{"a parameter without a name", "redactQuery: ['']", "audit.redactQuery[0]"},
		{"a pattern for everything", "redactPatterns: ['x*']", "audit.redactPatterns[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{}
			err := h.Load(t, filtertest.Config{Name: "waf", JSON: "{" + own + ", audit: {" + c.audit + "}}"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("loading: %v, want an error about %s", err, c.want)
			}
		})
	}
}
