package conformance

import (
	"fmt"
	"regexp"
	"strings"

	"mosn.io/moe/e2e/client"
)

// logScenarios are about what plugins log: what a line says, and how much of it a configuration asks for.
func logScenarios() []Scenario {
	return []Scenario{
		{Name: "log: what a line is of", Run: logIDs},
		{Name: "log: a plugin's level, by a route that changes", Run: logLevels},
		{Name: "log: lines that repeat", Run: logRepeats},
	}
}

// talking is a plugin that logs a line at debug and one at info, with the request's id.
func talking(id string) M {
	return Probe(id, "request_headers", "log debug '"+id+" fine ${req.x-id}'; log info '"+id+" plain ${req.x-id}'")
}

// line returns the line of the host's log with a message, or "".
func (b *Bed) line(message string) string {
	for l := range strings.Lines(b.HostLog().Since(b.mark)) {
		if strings.Contains(l, `msg="`+message+`"`) {
			return strings.TrimSpace(l)
		}
	}
	return ""
}

func logIDs(b *Bed) {
	ln := b.Listen(Listen{Chain: Chain(talking("a")), Routes: []M{To("up", "/", M{"name": "orders"})}})
	const trace = "0af7651916cd43dd8448eb211c80319c"
	r := ln.Do(client.Request{Header: []string{
		"x-request-id", "log-1", "traceparent", "00-" + trace + "-b7ad6b7169203331-01",
	}})
	b.WaitLog(`msg="a plain ` + regexp.QuoteMeta(r.ID) + `"`)
	line := b.line("a plain " + r.ID)
	for _, want := range []string{"plugin=a", "route=orders", "request_id=log-1", "trace_id=" + trace} {
		if !strings.Contains(line+" ", " "+want+" ") {
			b.Errorf("the line has no %s: %s", want, line)
		}
	}
}

// The routes change while Envoy runs; the plugin is the same instance all the time.
func logLevels(b *Bed) {
	routes := func(level string) M {
		return To("up", "/", b.PerRoute(M{"plugins": A{M{"id": "a", "logLevel": level}}}))
	}
	ln := b.Listen(Listen{RDS: true, Chain: Chain(talking("a"), talking("b")), Routes: []M{routes("warn")}})
	for _, c := range []struct{ level, want string }{
		{"warn", ""},
		{"debug", "fine plain"},
		{"info", "plain"},
		{"off", ""},
	} {
		if err := ln.SetRoutes(routes(c.level)); err != nil {
			b.Fatalf("SetRoutes: %v", err)
		}
		b.Poll(func() error {
			r := ln.Do(client.Request{})
			b.WaitLog(`msg="b plain ` + regexp.QuoteMeta(r.ID) + `"`) // which is logged last
			var got []string
			for _, word := range []string{"fine", "plain"} {
				if b.line("a "+word+" "+r.ID) != "" {
					got = append(got, word)
				}
			}
			if strings.Join(got, " ") != c.want {
				return fmt.Errorf("with the level %s the plugin logs %q, want %q", c.level, got, c.want)
			}
			return nil
		})
	}
}

func logRepeats(b *Bed) {
	p := Probe("a", "request_headers", "log warn same; log warn same; log warn same; log warn 'end ${req.x-id}'")
	p["logRepeats"] = 1
	ln := b.Listen(Listen{Chain: Chain(p)})
	r := ln.Do(client.Request{})
	b.WaitLog(`msg="end ` + regexp.QuoteMeta(r.ID) + `"`)
	ln.Remove() // closes the plugin, which says at the latest now what it has left out
	b.WaitLog(`msg=same plugin=a repeated=\d+ within=10s`)
}
