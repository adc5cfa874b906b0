package extproc

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func textLog(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }

func TestMisuse(t *testing.T) {
	type messages []*extprocv3.ProcessingRequest
	for what, ms := range map[string]messages{
		"a second request_headers":                 {requestHeaders(false), requestHeaders(false)},
		"a second response_headers":                {responseHeaders(false), responseHeaders(false)},
		"request_headers after the request's body": {requestBody("a", false), requestHeaders(true)},
		"request_headers after the response has":   {responseHeaders(true), requestHeaders(true)},
		"request_body after the request's end":     {requestHeaders(true), requestBody("a", true)},
		"response_body after the response's end":   {responseHeaders(true), responseBody("a", true)},
		"second response_trailers":                 {responseTrailers(), responseTrailers()},
		"request_trailers after the request's end": {requestHeaders(true), requestTrailers()},
		"a message without a request":              {{}},
		"headers; at most":                         {requestHeaders(true, make([]string, 30_000)...)},
	} {
		t.Run(what, func(t *testing.T) {
			e := open(t, newServer(t, Options{}, "upper"), duplex)
			for _, m := range ms {
				e.send(m)
			}
			err := e.ended()
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: got %v", what, err)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	s := New(Options{Log: slog.DiscardHandler, Registry: &Registry{}})
	e := open(t, s, none)
	e.send(requestHeaders(true))
	if status.Code(e.ended()) != codes.Unavailable {
		t.Error("a server without a configuration serves")
	}
	mark := func(v string) any {
		return map[string]any{"plugins": []any{map[string]any{"name": "marks", "config": map[string]any{"mark": v}}}}
	}
	defer s.Close()
	if err := s.Load(Config{Doc: mark("a"), Routes: map[string]any{"r": mark("route")}}); err != nil {
		t.Fatalf("s.Load: %v", err)
	}
	old := open(t, s, none)
	got := func(e *envoy, m *extprocv3.ProcessingRequest) string {
		t.Helper()
		return strings.Join(values(e.ask(m).GetRequestHeaders().GetResponse().GetHeaderMutation(), "x-mark"), "")
	}
	equal(t, "own", got(old, requestHeaders(true)), "a")
	equal(t, "by metadata", got(open(t, s, none, RouteKey, "r"), requestHeaders(true)), "route")
	equal(t, "unknown route", got(open(t, s, none, RouteKey, "other"), requestHeaders(true)), "a")
	given := `{"plugins": [{"name": "marks", "config": {"mark": "given"}}]}`
	equal(t, "given", got(open(t, s, none, ConfigKey, given), requestHeaders(true)), "given")
	broken := open(t, s, none, ConfigKey, `{"plugins": [{"name": "nonesuch"}]}`)
	equal(t, "broken", int(broken.ask(requestHeaders(true)).GetImmediateResponse().GetStatus().GetCode()), 500)

	for name, bad := range map[string]Config{
		"a bad route": {Doc: mark("b"), Routes: map[string]any{"r": map[string]any{"plugins": 1}}}, "a number": {Doc: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Load(bad); err == nil {
				t.Error("a bad configuration is loaded")
			}
		})
	}
	if err := s.Load(Config{Doc: map[string]any{"plugins": []any{map[string]any{"name": "needscallouts"}}}}); err == nil ||
		!strings.Contains(err.Error(), "CanCallout") {
		t.Errorf("a plugin that needs CanCallout: %v", err)
	}
	secrets, _ := mark("b").(map[string]any)
	secrets["generic_secrets"] = []any{map[string]any{"name": "a"}}
	if err := s.Load(Config{Doc: secrets}); err == nil ||
		!strings.HasPrefix(err.Error(), "generic_secrets: a process outside of Envoy is not shown its secrets") {
		t.Errorf("a document with secrets: %v", err)
	}
	equal(t, "after bad ones", got(open(t, s, none), requestHeaders(true)), "a")
	if err := s.Load(Config{Doc: mark("c")}); err != nil {
		t.Fatalf("s.Load: %v", err)
	}
	equal(t, "reloaded", got(open(t, s, none), requestHeaders(true)), "c")
	equal(t, "a stream that had begun", strings.Join(values(old.ask(responseHeaders(true)).GetResponseHeaders().
		GetResponse().GetHeaderMutation(), "x-mark"), ""), "a")
}

func TestProcessingMode(t *testing.T) {
	for name, want := range map[string]string{
		"looks": "response_header_mode:SKIP request_trailer_mode:SKIP response_trailer_mode:SKIP",
		"whole": "request_body_mode:FULL_DUPLEX_STREAMED",
		"marks": "response_trailer_mode:SEND",
	} {
		t.Run(name, func(t *testing.T) {
			m := newServer(t, Options{}, name).ProcessingMode().String()
			m = strings.Join(strings.Fields(m), " ")
			for _, w := range strings.Fields(want) {
				if !strings.Contains(m, w) {
					t.Errorf("%s: %s lacks %s", name, m, w)
				}
			}
		})
	}
}

// Where Envoy's modes are known ahead, plugins are refused that could not have what they need.
func TestFits(t *testing.T) {
	plugin := func(name string) any {
		return map[string]any{"plugins": []any{map[string]any{"name": name, "id": "my-" + name}}}
	}
	mode := func(request, response modev3.ProcessingMode_BodySendMode) *modev3.ProcessingMode {
		return &modev3.ProcessingMode{RequestBodyMode: request, ResponseBodyMode: response}
	}
	for _, c := range []struct {
		name, plugin string
		o            Options
		want         string // "" is taken
	}{
		{name: "whole, modes unknown", plugin: "whole"},
		{name: "whole, full duplex", plugin: "whole", o: Options{Modes: mode(duplex, duplex)}},
		{name: "whole, buffered", plugin: "whole", o: Options{Modes: mode(buffers, partial)}},
		{
			name: "whole, no request body", plugin: "whole", o: Options{Modes: mode(none, buffers)},
			want: "request_body_mode NONE does not give: set FULL_DUPLEX_STREAMED or BUFFERED (my-whole)",
		},
		{
			name: "whole, response streamed", plugin: "whole", o: Options{Modes: mode(duplex, stream1)},
			want: "response_body_mode STREAMED",
		},
		{name: "whole, streamed early", plugin: "whole", o: Options{Modes: mode(stream1, stream1), EarlyBodies: true}},
		{
			name: "whole, no response body, with overrides", plugin: "whole",
			o: Options{Modes: mode(stream1, none), ModeOverride: true},
		},
		{
			name: "whole, full duplex without a response body, with overrides", plugin: "whole",
			o: Options{Modes: mode(duplex, none), ModeOverride: true}, want: "response_body_mode NONE",
		},
		{name: "upper, streamed", plugin: "upper", o: Options{Modes: mode(none, stream1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Log, c.o.Registry = slog.DiscardHandler, &Registry{}
			s := New(c.o)
			for where, doc := range map[string]Config{
				"":                {Doc: plugin(c.plugin)},
				"routes[\"a/b\"]": {Doc: plugin("looks"), Routes: map[string]any{"a/b": plugin(c.plugin)}},
			} {
				t.Run(fmt.Sprintf("%q", where), func(t *testing.T) {
					err := s.Load(doc)
					if c.want == "" && err != nil ||
						c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), where)) {
						t.Errorf("%s %v in %q: %v", c.plugin, c.o.Modes, where, err)
					}
				})
			}
			s.Close()
		})
	}
	s := newServer(t, Options{Modes: mode(none, none)}, "looks")
	e := open(t, s, none, ConfigKey, `{"plugins": [{"name": "whole"}]}`)
	equal(t, "a stream's own", int(e.ask(requestHeaders(false)).GetImmediateResponse().GetStatus().GetCode()), 500)
}

func TestMetrics(t *testing.T) {
	id := func(plugin string) string { return fmt.Sprintf("%s-%s-%d", t.Name(), plugin, time.Now().UnixNano()) } // of no other run
	marks, up := id("marks"), id("up")
	s := newServer(t, Options{}, map[string]any{"name": "marks", "id": marks}, map[string]any{"name": "upper", "id": up})
	e := open(t, s, stream1)
	e.ask(requestHeaders(false))
	e.ask(requestBody("a", false))
	e.ask(requestBody("b", true))
	e.end()
	var page strings.Builder
	if _, err := s.o.Registry.WriteTo(&page); err != nil {
		t.Fatalf("WriteTo: %v", err)
	}
	for _, want := range []string{
		"moe_extproc_streams_started_total 1", "moe_extproc_streams_active 0",
		`moe_extproc_message_seconds_count{phase="request_headers"} 1`, "# TYPE moe_panics counter",
		"# TYPE moe_phase_duration_us histogram", "# HELP moe_phase_calls Calls of the plugin's phase.",
		`moe_phase_calls{plugin="` + marks + `",phase="OnRequestHeaders"} 1`,
		`moe_phase_active{plugin="` + marks + `",phase="OnRequestHeaders"} 0`,
		`moe_phase_duration_us_count{plugin="` + up + `",phase="OnRequestBody"} 2`,
		`moe_phase_duration_us_bucket{plugin="` + up + `",phase="OnRequestBody",le="+Inf"} 2`,
		`moe_phase_duration_us_count{plugin="` + up + `",phase="OnComplete"} 1`,
		`moe_streams_begun{chain="moe"} `, `moe_config_loads{of="filter",result="ok"} `,
	} {
		t.Run(fmt.Sprintf("%.40q", want), func(t *testing.T) {
			if !strings.Contains(page.String(), want) {
				t.Errorf("no %s in\n%s", want, page.String())
			}
		})
	}
}
