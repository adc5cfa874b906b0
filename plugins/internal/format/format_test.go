package format

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/cel"
	"mosn.io/moe/plugins/internal/plugintest"
)

func of(t *testing.T, text string) string {
	t.Helper()
	f, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	got := ""
	h := filtertest.New(t, &plugintest.Probe{Response: func(s filter.Stream, _ filter.ResponseHeaders) {
		if err := s.SetMetadata("ns", "key", "v"); err != nil {
			t.Errorf("s.SetMetadata: %v", err)
		}
		if err := s.SetMetadata("ns", "tree", map[string]any{"a": map[string]any{"b": 1.5}, "c": true}); err != nil {
			t.Errorf("s.SetMetadata: %v", err)
		}
		s.SetConsumer(&filter.Consumer{Name: "tom"})
		got = f.Of(s)
	}})
	h.FilterState = map[string]string{"user": "tom"}
	h.Attrs = map[filter.Attr]string{
		filter.AttrSourceAddress: "192.0.2.1:123", "destination.address": "[2001:db8::1]:443", filter.AttrProtocol: "HTTP/2",
		filter.AttrRouteName: "main", filter.AttrClusterName: "backend", filter.AttrUpstreamAddress: "/run/socket",
		filter.AttrDuration: "12.345", filter.AttrRequestSize: "3", filter.AttrResponseSize: "4", "upstream.request_attempt_count": "2",
	}
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("x-two", "1")
		w.Header().Add("x-two", "2")
		w.Header().Set("grpc-status", "3")
		w.WriteHeader(418)
	})
	h.Get("/path?q=a%20b&empty=", "x-user", "tom@example.com", "x-empty", "",
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	return got
}

func TestFormat(t *testing.T) {
	t.Setenv("MOE_FORMAT_TEST", "from the environment")
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatalf("os.Hostname: %v", err)
	}
	for text, want := range map[string]string{
		"":           "",
		"plain":      "plain",
		"100%%":      "100%",
		"%%REQ(x)%%": "%REQ(x)%",
		`%COALESCE({"operators": [{"command": "REQ", "param": "x-none"}, {"command": "REQ", "param": "x-user", "max_length": 3}, "HOSTNAME"]})%`: "tom",
		`a-%COALESCE({"operators": [{"command": "REQ", "param": "x-empty"}, {"command": "PATH", "param": "NQ"}]}):3%`:                            "a-/pa",
		`%COALESCE({"operators": [{"command": "ENVIRONMENT", "param": "MOE_FORMAT_TEST"}]})%`:                                                    "from the environment",
		`%COALESCE({"operators": [{"command": "REQ", "param": "x-none"}]})%`:                                                                     "",
		"%PATH%": "/path?q=a%20b&empty=", "%PATH(NQ)%": "/path", "%PATH(WQ:PATH):5%": "/path", "%PATH(NQ:ORIG)%": "",
		"%QUERY_PARAMS(ORIG)%": "q=a%20b&empty=", "%QUERY_PARAMS%": "q=a%20b&empty=",
		"%TRACE_ID%-%SPAN_ID%":                     "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
		"%DURATION%|%BYTES_RECEIVED%|%BYTES_SENT%": "12|3|4", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%": "2",
		"%GRPC_STATUS%": "InvalidArgument", "%GRPC_STATUS(SNAKE_STRING)%": "INVALID_ARGUMENT",
		"%GRPC_STATUS(NUMBER)%": "3", "%GRPC_STATUS_NUMBER%": "3",
		"%CEL(request.method + '!')%": "GET!", "%CEL(1 + 2)%": "3", "%CEL(request.path == '/path')%": "true",
		"%CEL(request.query['none'][0])%":          "",
		"%RESPONSE_TRAILERS_BYTES%":                "0",
		"%REQ(x-user)%":                            "tom@example.com",
		"%REQ(X-User)%":                            "tom@example.com",
		"%REQ(X-User):3%":                          "tom",
		"%REQ(X-User):0%":                          "",
		"%REQ(X-User):99%":                         "tom@example.com",
		"%REQ(x-none?x-user)%":                     "tom@example.com",
		"%REQ(x-empty?x-user)%":                    "",
		"%REQ(x-none?:authority)%":                 "example.com",
		"%REQUEST_HEADER(:method)%":                "GET",
		"<%REQ(x-none)%>":                          "<>",
		"a%REQ(x-none)%b%REQ(:method)%c":           "abGETc",
		"%RESP(x-two)%":                            "1",
		"%RESPONSE_CODE%":                          "418",
		"%RESP(:status)%":                          "418",
		"%TRAILER(x)%":                             "",
		"%QUERY_PARAM(q)%":                         "a b",
		"%QUERY_PARAM(q):1%":                       "a",
		"%PROTOCOL%":                               "HTTP/2",
		"%ROUTE_NAME% %UPSTREAM_CLUSTER%":          "main backend",
		"%DOWNSTREAM_REMOTE_ADDRESS%":              "192.0.2.1:123",
		"%DOWNSTREAM_REMOTE_PORT%":                 "123",
		"%UPSTREAM_HOST%":                          "/run/socket",
		"%DYNAMIC_METADATA(ns:key)%":               "v",
		"%DYNAMIC_METADATA(ns:tree:a)%":            `{"b":1.5}`,
		"%DYNAMIC_METADATA(ns:tree:a:b)%":          "1.5",
		"%DYNAMIC_METADATA(ns:tree:c)%":            "true",
		"%DYNAMIC_METADATA(ns:tree:x:y)%":          "",
		"%DYNAMIC_METADATA(ns:key:x)%":             "",
		"%DYNAMIC_METADATA(other:key)%":            "",
		"%FILTER_STATE(none:PLAIN)%":               "",
		"%FILTER_STATE(user:PLAIN):2%":             "to",
		"%CONSUMER%":                               "tom",
		"%HOSTNAME%":                               hostname,
		"%ENVIRONMENT(MOE_FORMAT_TEST)%":           "from the environment",
		"%ENVIRONMENT(MOE_FORMAT_TEST):4%":         "from",
		"%ENVIRONMENT(MOE_FORMAT_NOT_THERE)%":      "",
		"%DOWNSTREAM_LOCAL_ADDRESS%":               "[2001:db8::1]:443",
		"%DOWNSTREAM_LOCAL_PORT%":                  "443",
		"%RESPONSE_FLAGS%":                         "",
		"%UPSTREAM_REMOTE_ADDRESS%":                "/run/socket",
		"%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%":  "2001:db8::1",
		"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%": "192.0.2.1",
		"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%":   "/run/socket",
	} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			if got := of(t, text); got != want {
				t.Errorf("%s: got %q, want %q", text, got, want)
			}
		})
	}
}

func TestTime(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	for text, layout := range map[string]string{
		"%START_TIME%":       "2006-01-02T15:04:05.000Z07:00",
		"%EMIT_TIME(%F %T)%": "2006-01-02 15:04:05",
		"%START_TIME(%Y/%m/%dT%H:%M:%S.%3f%z %Z)%":   "2006/01/02T15:04:05.000-0700 MST",
		"%START_TIME_LOCAL%":                         "2006-01-02T15:04:05.000-0700",
		"%EMIT_TIME_LOCAL(%a %d %b %y %I:%M:%S %p)%": "Mon 02 Jan 06 03:04:05 PM",
	} {
		t.Run(text, func(t *testing.T) {
			got := of(t, text)
			at, err := time.Parse(layout, got)
			if err != nil {
				t.Errorf("%s: time.Parse: %v", text, err)
			} else if strings.Contains(layout, "000") && (at.Before(before) || at.After(time.Now())) {
				t.Errorf("%s: %s, and it is %s", text, got, time.Now())
			}
		})
	}
	at := time.Date(2026, 2, 3, 4, 5, 6, 7008, time.UTC)
	for pattern, want := range map[string]string{
		"%s.%6f": "1770091506.000007", "%f": "000007008", "%1f": "0", "%9f": "000007008", "%j %e %%": "034  3 %",
		"(%R)": "(04:05)", "%D": "02/03/26",
	} {
		t.Run(pattern, func(t *testing.T) {
			verbs, err := parseTime(pattern)
			if err != nil {
				t.Fatalf("parseTime: %v", err)
			}
			var got []byte
			for _, v := range verbs {
				got = v(got, at)
			}
			if string(got) != want {
				t.Errorf("%s: got %q, want %q", pattern, got, want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"ab%":                                   "position 2: not a command",
		"50% off":                               "position 2: not a command",
		"%REQ":                                  "not a command",
		"%REQ(x%":                               "not a command",
		"%REQ(x):%":                             "not a command",
		"%REQ(x):a%":                            "not a command",
		"%req(x)%":                              "not a command",
		"a %NOPE% b":                            "position 2: unknown command NOPE; known are BYTES_RECEIVED, BYTES_SENT, CEL, COALESCE,",
		"%REQ%":                                 "REQ needs an argument",
		"%REQ()%":                               "REQ needs an argument",
		"%REQ(a b)%":                            `"a b" is not the name of a header`,
		"%REQ(a?b?c)%":                          "more than one alternative",
		"%REQ(a?)%":                             "empty",
		"%PROTOCOL(x)%":                         "takes no argument",
		"%PROTOCOL:3%":                          "takes no length",
		"%REQ(x):99999999999999999999%":         "too large",
		"%DYNAMIC_METADATA(ns)%":                "NAMESPACE:KEY",
		"%FILTER_STATE(key)%":                   "key:PLAIN",
		"%FILTER_STATE(key:TYPED)%":             "key:PLAIN",
		"%START_TIME(%Q)%":                      "unknown %Q",
		"%START_TIME(%3S)%":                     "%3f",
		"%START_TIME(a\nb)%":                    "line break",
		"%START_TIME(%Y%)%":                     "single %",
		"%COALESCE%":                            "needs an argument",
		"%COALESCE(x)%":                         "expected {",
		"%COALESCE({})%":                        "operators: must be 1 to 32",
		`%COALESCE({"operators": [], "x": 1})%`: "expected {",
		`%COALESCE({"operators": ["NOPE"]})%`:   "operators[0]: unknown command NOPE",
		`%COALESCE({"operators": ["REQ"]})%`:    "operators[0]: REQ needs an argument",
		`%COALESCE({"operators": [{"command": "PROTOCOL", "max_length": 1}]})%`:                      "operators[0]: PROTOCOL takes no length",
		`%COALESCE({"operators": [{"command": "COALESCE", "param": "x"}]})%`:                         "operators[0]: must not be COALESCE",
		`%COALESCE({"operators": ["PROTOCOL"]}{})%`:                                                  "more than one value",
		`%COALESCE({"operators": [` + strings.Repeat(`"PROTOCOL",`, maxOperators) + `"PROTOCOL"]})%`: "operators: must be 1 to 32",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := Parse(text)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %s", text, err, want)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	for attribute, want := range map[string]string{
		"": "", "-": "-", "UF,URX": "UF,URX", "0": "-", "16384": "DC", "32800": "UF,URX", "1": "LH", "536870912": "UDO",
		"1073741825": "LH,bit30", "9223372036854775808": "bit63",
	} {
		t.Run(fmt.Sprintf("%q", attribute), func(t *testing.T) {
			if got := Flags(attribute); got != want {
				t.Errorf("%s: got %s, want %s", attribute, got, want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a%%b", "%REQ(a?b):3%", "%START_TIME(%s.%3f)%", "%DYNAMIC_METADATA(a:b)%", "%(", "%A(", `%COALESCE({"operators":["PROTOCOL",{"command":"REQ","param":"a"}]}):2%`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if got := p.Of(filter.Stream{}); !strings.Contains(text, "%") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
