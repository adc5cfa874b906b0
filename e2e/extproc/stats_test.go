package extproc

import (
	"io"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// seed is the smallest configuration: the server sees response headers only, and requests are served without it if need be.
func seed() m {
	return m{
		"failure_mode_allow": true,
		"processing_mode":    m{"request_header_mode": "SKIP", "response_header_mode": "SEND"},
	}
}

func with(config m, more ...any) m {
	for i := 0; i+1 < len(more); i += 2 {
		config[more[i].(string)] = more[i+1]
	}
	return config
}

const hello = "plugins:\n- name: hello\n"

// TestHello is the first example: hello behind ext_proc.
func TestHello(t *testing.T) {
	binary := moe(t)
	onEach(t, func(b *bed) {
		s := startMoe(b.T, binary, hello)
		addr, stats := b.listen(seed(), s.addr)
		r := b.get(addr)
		if got := r.Header.Get("x-extproc-hello"); got != "Hello from ext_proc" || r.Status != 200 || r.Body != "x" {
			b.Errorf("%d %q with x-extproc-hello: %q", r.Status, r.Body, got)
		}
		b.moved(stats, "streams_started", "stream_msgs_sent", "stream_msgs_received", "streams_closed")
		all, err := b.envoy.Stats("^" + stats)
		if err != nil {
			b.Fatalf("b.envoy.Stats: %v", err)
		}
		if all[stats+"stream_msgs_sent"] != 1 || all[stats+"stream_msgs_received"] != 1 {
			b.Errorf("more messages than one each way: %v", all)
		}
		s.kill()
		b.poll(func() error {
			if r := b.get(addr); r.Status != 200 {
				b.Fatalf("%d without the server", r.Status)
			}
			return nil
		})
		b.moved(stats, "streams_failed", "failure_mode_allowed")
	})
}

// answering is a server that gives the same answers to each message.
func answering(t *testing.T, answers ...*extprocv3.ProcessingResponse) string {
	return raw(t, func(g extprocv3.ExternalProcessor_ProcessServer) error {
		for {
			if _, err := g.Recv(); err != nil {
				return nil
			}
			for _, r := range answers {
				if err := g.Send(r); err != nil {
					return err
				}
			}
		}
	})
}

func responseAnswer(c *extprocv3.CommonResponse) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseHeaders{
		ResponseHeaders: &extprocv3.HeadersResponse{Response: c},
	}}
}

func requestAnswer(c *extprocv3.CommonResponse) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{
		RequestHeaders: &extprocv3.HeadersResponse{Response: c},
	}}
}

// TestStatistics makes each of ext_proc's statistics move: by plugins where MoE's servers can move it, and by a faulty
// server otherwise.
func TestStatistics(t *testing.T) {
	requests := m{"processing_mode": m{"request_header_mode": "SEND", "response_header_mode": "SKIP"}}
	onEach(t, func(b *bed) {
		_, serve := b.probes()
		server := func(script string) string {
			b.Helper()
			return serve(probe("proberequest", "request_headers", script))
		}
		config := func(more ...any) m {
			c := m{}
			for k, v := range requests {
				c[k] = v
			}
			return with(c, more...)
		}

		addr, stats := b.listen(config(), server("set :authority other.test; set x-ok 1"))
		b.get(addr)
		b.moved(stats, "rejected_header_mutations")

		addr, stats = b.listen(config("message_timeout", "0.1s", "failure_mode_allow", true), server("go; sleep 1s"))
		if r := b.get(addr); r.Status != 200 {
			b.Errorf("after a timeout: %d", r.Status)
		}
		b.moved(stats, "message_timeouts", "failure_mode_allowed")

		addr, stats = b.listen(config("message_timeout", "0.1s"), server("go; sleep 1s"))
		if r := b.get(addr); r.Status != 504 {
			b.Errorf("after a timeout, with failure_mode_allow off: %d", r.Status)
		}
		b.moved(stats, "message_timeouts", "immediate_responses_sent")

		addr, stats = b.listen(config("message_timeout", "1s", "max_message_timeout", "60s"), server("go; sleep 1500ms"))
		if r := b.get(addr); r.Status != 200 {
			b.Errorf("of a plugin that takes longer than message_timeout: %d", r.Status)
		}
		b.moved(stats, "override_message_timeout_received")

		addr, stats = b.listen(config("message_timeout", "1s", "max_message_timeout", "2s"), server("go; sleep 700ms"))
		b.get(addr)
		b.moved(stats, "override_message_timeout_ignored")

		addr, stats = b.listen(config(), server("reply 403 no"))
		if r := b.get(addr); r.Status != 403 {
			b.Errorf("a reply: %d", r.Status)
		}
		b.moved(stats, "immediate_responses_sent")

		addr, stats = b.listen(config("disable_clear_route_cache", true), server("set x-a 1; clearroute"))
		b.get(addr)
		b.moved(stats, "clear_route_cache_disabled")

		addr, stats = b.listen(config(), answering(b.T, requestAnswer(&extprocv3.CommonResponse{ClearRouteCache: true})))
		b.get(addr)
		b.moved(stats, "clear_route_cache_ignored")

		addr, stats = b.listen(config(), answering(b.T, responseAnswer(&extprocv3.CommonResponse{})))
		b.get(addr)
		b.moved(stats, "spurious_msgs_received")

		addr, stats = b.listen(config(), raw(b.T, func(g extprocv3.ExternalProcessor_ProcessServer) error {
			g.Recv()
			return status.Error(codes.Internal, "broken")
		}))
		if r := b.get(addr); r.Status != 500 {
			b.Errorf("of a server that fails: %d", r.Status)
		}
		b.moved(stats, "streams_failed", "server_half_closed")

		addr, stats = b.listen(config(), raw(b.T, func(g extprocv3.ExternalProcessor_ProcessServer) error {
			if _, err := g.Recv(); err == io.EOF {
				return nil
			}
			return nil
		}))
		b.get(addr)
		b.moved(stats, "streams_started", "stream_msgs_sent", "streams_closed", "server_half_closed")

		addr, stats = b.listen(config(), server("set x-a 1"))
		b.get(addr)
		b.moved(stats, "stream_msgs_received")

		all, err := b.envoy.Stats("^" + stats)
		if err != nil || len(all) < len(b.did) {
			b.Fatalf("b.envoy.Stats: got %v and error %v, want at least %d", all, err, len(b.did))
		}
		for name := range all {
			switch name = strings.TrimPrefix(name, stats); name {
			case "clear_route_cache_upstream_ignored": // of filters before an upstream, which have no route cache
			case "http_not_ok_resp_received": // of servers that are asked over plain HTTP
			default:
				if !b.did[name] {
					b.Errorf("no server makes %s move", name)
				}
			}
		}
	})
}
