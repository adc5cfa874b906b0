package extproc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/framework/host/extproc"
)

func modes(body string, more ...any) m {
	mode := m{"request_body_mode": body, "response_body_mode": body}
	if body == "FULL_DUPLEX_STREAMED" {
		mode["request_trailer_mode"], mode["response_trailer_mode"] = "SEND", "SEND"
	}
	return with(m{
		"processing_mode": mode, "message_timeout": "10s", "max_message_timeout": "60s",
		"request_attributes": a{"xds.route_name"},
	}, more...)
}

// TestModes puts the same plugins behind each body mode.
func TestModes(t *testing.T) {
	onEach(t, func(b *bed) {
		_, serve := b.probes()
		whole := serve(probe("probewhole", "request", "set x-got ${bodylen}; body append !", "response", "body append !"))
		chunks := serve(probe("probechange", "request_body", "body double", "response_body", "body double"))
		late := serve(probe("probebody", "request_body", "go; sleep 1200ms; body upper"))
		for _, c := range []struct {
			name, server string
			config       m
			status       int
			up, body     string // what the upstream and the client get
		}{
			{
				name: "whole, in full duplex", server: whole, config: modes("FULL_DUPLEX_STREAMED"),
				status: 200, up: "body!", body: "body!!",
			},
			{name: "whole, buffered", server: whole, config: modes("BUFFERED"), status: 200, up: "body!", body: "body!!"},
			{
				name: "whole, partly buffered", server: whole, config: modes("BUFFERED_PARTIAL"),
				status: 200, up: "body!", body: "body!!",
			},
			{
				name: "whole, streamed early", server: whole, config: modes("STREAMED", "send_body_without_waiting_for_header_response", true),
				status: 200, up: "body!", body: "body!!",
			},
			{name: "whole, streamed", server: whole, config: modes("STREAMED"), status: 500},
			{name: "whole, without a body", server: whole, config: modes("NONE"), status: 500},
			{
				name: "chunks, in full duplex", server: chunks, config: modes("FULL_DUPLEX_STREAMED"),
				status: 200, up: "bodybody", body: strings.Repeat("body", 4),
			},
			{
				name: "chunks, streamed", server: chunks, config: modes("STREAMED"),
				status: 200, up: "bodybody", body: strings.Repeat("body", 4),
			},
			{
				name: "chunks, buffered", server: chunks, config: modes("BUFFERED"),
				status: 200, up: "bodybody", body: strings.Repeat("body", 4),
			},
			{
				name: "chunks, partly buffered", server: chunks, config: modes("BUFFERED_PARTIAL"),
				status: 200, up: "bodybody", body: strings.Repeat("body", 4),
			},
			{
				name: "late, streamed", server: late, config: modes("STREAMED", "message_timeout", "1s"),
				status: 200, up: "BODY", body: "BODY",
			},
			{
				name: "late, buffered", server: late, config: modes("BUFFERED", "message_timeout", "1s"),
				status: 200, up: "BODY", body: "BODY",
			},
		} {
			b.Run(c.name, func(t *testing.T) {
				addr, stats := b.listen(c.config, c.server)
				r, err := client.Do(addr, client.Request{Path: "/mirror", Body: "body"})
				if err != nil {
					b.Fatalf("client.Do: %v", err)
				}
				if r.Status != c.status || c.body != "" && (r.Body != c.body || r.Err != nil) {
					b.Errorf("got %d %q (error %v), want %d %q", r.Status, r.Body, r.Err, c.status, c.body)
				}
				if c.up != "" {
					if seen, err := b.up.Wait(r.ID, 1, 5*time.Second); err != nil || seen[0].Body != c.up {
						b.Errorf("upstream saw %v (error %v), want body %q", seen, err, c.up)
					}
				}
				if all, _ := b.envoy.Stats("^" + stats); all[stats+"spurious_msgs_received"] != 0 {
					b.Errorf("spurious messages: %v", all)
				}
			})
		}
	})
}

// TestOverride has the server change modes where Envoy allows it.
func TestOverride(t *testing.T) {
	onEach(t, func(b *bed) {
		_, serve := b.probes()
		addr := serve(probe("proberequest", "request_headers", "set x-got 1"))
		for allow, messages := range map[bool]int64{true: 1, false: 4} {
			b.Run(fmt.Sprintf("allow_mode_override %t", allow), func(t *testing.T) {
				front, stats := b.listen(modes("STREAMED", "allow_mode_override", allow), addr)
				r, err := client.Do(front, client.Request{Path: "/body/x", Body: "body"})
				if err != nil || r.Status != 200 {
					b.Fatalf("client.Do: got %+v and error %v, want r.Status 200", r, err)
				}
				b.moved(stats, "streams_closed")
				all, err := b.envoy.Stats("^" + stats)
				if got := all[stats+"stream_msgs_sent"]; err != nil || allow && got != messages || !allow && got < messages {
					b.Errorf("got %d messages (error %v), want %d, or more where it is not allowed", got, err, messages)
				}
			})
		}
	})
}

// TestObservability has plugins observe requests without changing them.
func TestObservability(t *testing.T) {
	onEach(t, func(b *bed) {
		p, serve := b.probes()
		replies := probe("probe", "request_headers", "reply 403 no", "complete", "log info 'denied ${req.x-id}'")
		replies["id"] = "o"
		addr := serve(replies, probe("probe"))
		front, _ := b.listen(modes("STREAMED", "observability_mode", true, "deferred_close_timeout", "0.5s"), addr)
		r, err := client.Do(front, client.Request{Path: "/mirror", Body: "body"})
		if err != nil || r.Status != 200 || r.Body != "body" {
			b.Errorf("a plugin that only looks changes something: %v %v", r, err)
		}
		if _, err := p.log.Wait(0, "denied "+r.ID+`\b`, 10*time.Second); err != nil {
			b.Errorf("p.log.Wait: %v", err)
		}
	})
}

// TestRoutes has a route's plugins apply by its name, and by gRPC metadata.
func TestRoutes(t *testing.T) {
	binary := moe(t)
	const config = `plugins:
- name: hello
routes:
- name: only
  plugins: [{name: hello, config: {value: by name}}]
- name: other
  plugins: [{name: hello, config: {value: by metadata}}]
`
	onEach(t, func(b *bed) {
		s := startMoe(b.T, binary, config)
		greets := func(config m, want string) {
			b.Helper()
			front, _ := b.listen(config, s.addr)
			if got := b.get(front).Header.Get("x-extproc-hello"); got != want {
				b.Errorf("got %q, want %q", got, want)
			}
		}
		greets(modes("NONE"), "by name")
		greets(with(seed(), "response_attributes", a{"xds.route_name"}), "by name")
		greets(seed(), "Hello from ext_proc")
		greets(with(seed(), "metadata", a{m{"key": extproc.RouteKey, "value": "other"}}), "by metadata")
		greets(with(seed(), "metadata", a{m{
			"key":   extproc.ConfigKey,
			"value": `{"plugins": [{"name": "hello", "config": {"value": "given"}}]}`,
		}}), "given")
	})
}
