package conformance

import (
	"regexp"
	"strings"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/framework/filter"
)

// row is a scenario that is one request: what to configure, what to send, what to see. Expectations that are zero
// are not checked.
type row struct {
	name    string
	needs   filter.Capability
	neutral bool

	chain  []M
	listen Listen // the rest of the listener; Chain is taken from chain
	req    client.Request

	status  int      // default 200
	headers []string // name, value … of the response; value "-" for absent
	trailer []string // likewise
	body    string   // "-" for empty
	reset   bool     // the response must break off, or never come

	up        []string // name, value … of the request's headers at the upstream
	upTrailer []string
	upBody    string // "-" for empty
	upPath    string
	upNone    bool // the request must not get there

	details string   // in Envoy's access log
	log     string   // a regular expression for the host's log
	access  []string // field, value … of the access log

	then func(b *Bed, r *client.Response) // more to check
}

func (r row) scenario() Scenario {
	return Scenario{Name: r.name, Needs: r.needs, Neutral: r.neutral, Run: r.run}
}

func rows(rs []row) []Scenario {
	var out []Scenario
	for _, r := range rs {
		out = append(out, r.scenario())
	}
	return out
}

func (r row) run(b *Bed) {
	l := r.listen
	if l.Chain == nil {
		l.Chain = Chain(r.chain...)
	}
	ln := b.Listen(l)
	resp, err := client.Do(ln.Addr, r.req)
	if r.reset {
		if err == nil && resp.Err == nil && !r.softReset(b, resp) {
			b.Errorf("a whole response %d %q, want a reset", resp.Status, resp.Body)
		}
	} else if err != nil || resp.Err != nil {
		b.Fatalf("no whole response: %v %v", err, resp.Err)
	} else {
		r.checkResponse(b, resp)
	}
	r.checkUpstream(b, resp)
	r.checkLogs(b, resp)
	if r.then != nil {
		r.then(b, resp)
	}
}

// softReset accepts a reply for a reset that comes before the response has begun.
func (r row) softReset(b *Bed, resp *client.Response) bool {
	if _, soft := b.Host.(SoftReset); !soft || resp.Status < 500 {
		return false
	}
	details, _ := b.Access(resp.ID)["details"].(string)
	return !strings.Contains(details, "after_the_response_has_begun")
}

func (r row) checkResponse(b *Bed, resp *client.Response) {
	want := r.status
	if want == 0 {
		want = 200
	}
	Equal(b, "status", resp.Status, want)
	checkFields(b, "response header", resp.Header.Values, r.headers)
	checkFields(b, "response trailer", resp.Trailer.Values, r.trailer)
	if r.body != "" {
		Equal(b, "response body", resp.Body, absent(r.body))
	}
}

func (r row) checkUpstream(b *Bed, resp *client.Response) {
	if r.upNone {
		Equal(b, "requests at the upstream", len(b.Up.Seen(resp.ID)), 0)
		return
	}
	if r.up == nil && r.upTrailer == nil && r.upBody == "" && r.upPath == "" {
		return
	}
	seen := b.Seen(resp, 1)[0]
	checkFields(b, "upstream's header", seen.Header.Values, r.up)
	checkFields(b, "upstream's trailer", seen.Trailer.Values, r.upTrailer)
	if r.upBody != "" {
		Equal(b, "upstream's body", seen.Body, absent(r.upBody))
	}
	if r.upPath != "" {
		Equal(b, "upstream's path", seen.Path, r.upPath)
	}
}

func (r row) checkLogs(b *Bed, resp *client.Response) {
	if r.log != "" {
		b.WaitLog(strings.ReplaceAll(r.log, "ID", regexp.QuoteMeta(resp.ID)+`\b`))
	}
	if r.details == "" && r.access == nil {
		return
	}
	entry := b.Access(resp.ID)
	if r.details != "" {
		Equal(b, "details in the access log", entry["details"], any(r.details))
	}
	for i := 0; i+1 < len(r.access); i += 2 {
		got, _ := entry[r.access[i]].(string)
		Equal(b, r.access[i]+" in the access log", got, r.access[i+1])
	}
}

// absent turns "-" into nothing.
func absent(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// checkFields compares header fields; several values of one name are joined by "|".
func checkFields(b *Bed, what string, get func(string) []string, want []string) {
	b.Helper()
	for i := 0; i+1 < len(want); i += 2 {
		Equal(b, what+" "+want[i], strings.Join(get(want[i]), "|"), absent(want[i+1]))
	}
}

// traceTo is a script that shows the trace at the end, for row.log; see [ended].
const traceTo = "log info 'done ${req.x-id} [${trace}]'"

// ended is the line that traceTo writes.
func ended(trace string) string { return "done ID" + ` \[` + regexp.QuoteMeta(trace) + `\]` }
