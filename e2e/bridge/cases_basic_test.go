package bridge

import (
	"net/http"
	"strings"
	"testing"

	"mosn.io/moe/e2e/client"
)

// named are routes with names and a virtual cluster, for what streams tell of themselves.
func named() listen {
	return listen{
		plugin: "basic",
		routes: a{to("/test", m{"name": "test-route-name"})},
		vhost: m{"virtual_clusters": a{m{
			"name": "test_vcluster", "headers": a{m{"name": "existed-header", "present_match": true}},
		}}},
	}
}

func everything(query string) func(t testing.TB, s *site) {
	return func(t testing.TB, s *site) {
		t.Helper()
		r := ask(query, "helloworld")
		r.Trailer = []string{"x-test-trailer-0", "foo", "existed-trailer", "foo", "x-test-trailer-1", "foo"}
		got := s.do(t, r)
		status(t, got, 200)
		up := s.last(t)
		equal(t, "x-test-header-0", "foo", up.Header.Get("x-test-header-0"))
		equal(t, "test-x-set-header-0", "foo", up.Header.Get("test-x-set-header-0"))
		list(t, "x-test-header-1", up.Header.Values("x-test-header-1"))
		contains(t, "local address", up.Header.Get("req-downstream-local-address"), "127.0.0.1:")
		contains(t, "remote address", up.Header.Get("req-downstream-remote-address"), "127.0.0.1:")
		equal(t, "route", "test-route-name", up.Header.Get("req-route-name"))
		equal(t, "filter state", "remembered", up.Header.Get("go-state"))
		list(t, "existed-header", up.Header.Values("existed-header"), "foo", "bar")
		list(t, "newly-added-header", up.Header.Values("newly-added-header"), "foo", "bar")
		equal(t, "body", "prepend_HELLOWORLD_append", up.body)
		list(t, "existed-trailer", up.Trailer.Values("existed-trailer"), "foo", "bar")
		list(t, "x-test-trailer-0", up.Trailer.Values("x-test-trailer-0"), "bar")
		list(t, "x-test-trailer-1", up.Trailer.Values("x-test-trailer-1"))
		list(t, "x-test-trailer-2", up.Trailer.Values("x-test-trailer-2"), "bar")

		list(t, "x-test-header-0", got.Header.Values("x-test-header-0"), "foo")
		list(t, "test-x-set-header-0", got.Header.Values("test-x-set-header-0"), "foo")
		list(t, "x-test-header-1", got.Header.Values("x-test-header-1"))
		list(t, "existed-header", got.Header.Values("existed-header"), "foo", "bar")
		list(t, "newly-added-header", got.Header.Values("newly-added-header"), "foo", "bar")
		for name, want := range map[string]string{
			"test-req-body-length": "10", "rsp-route-name": "test-route-name", "rsp-protocol": "HTTP/1.1",
			"rsp-response-code": "200", "rsp-response-code-details": "via_upstream",
			"rsp-upstream-host": strings.TrimPrefix(s.upstream.URL, "http://"), "rsp-upstream-cluster": s.name,
			"rsp-status":   "200",
			"rsp-go-state": "remembered", "test-scheme": "http", "test-method": "POST", "test-path": "/test" + query,
			"test-host": "test.com", "test-log-level": "info",
		} {
			equal(t, name, want, got.Header.Get(name))
		}
		equal(t, "body", "GOODBYE", got.Body)
	}
}

// told is a response header in which the plugin says what it knows of the stream.
func told(name, want string) func(t testing.TB, s *site) {
	return func(t testing.TB, s *site) { equal(t, name, want, s.do(t, ask("", "hello")).Header.Get(name)) }
}

func TestBasic(t *testing.T) {
	cases{
		// These two are a part of each case of upstream's below.
		"AttemptCount":       told("rsp-attempt-count", "1"),
		"VirtualClusterName": told("rsp-virtual-cluster-name", "test_vcluster"),

		"Basic":                         everything(""),
		"Async":                         everything("?async=1"),
		"DataBuffer_DecodeHeader":       everything("?databuffer=decode-header"),
		"Sleep":                         everything("?sleep=1"),
		"DataSleep":                     everything("?data_sleep=1"),
		"Async_Sleep":                   everything("?async=1&sleep=1"),
		"Async_DataSleep":               everything("?async=1&data_sleep=1"),
		"Async_DataBuffer_DecodeHeader": everything("?async=1&databuffer=decode-header"),
		"DataBuffer_DecodeData":         everything("?databuffer=decode-data"),
		"Async_DataBuffer_DecodeData":   everything("?async=1&databuffer=decode-data"),
	}.run(t, func() listen {
		l := named()
		l.answer = answers(200, someHeaders, false, "good", "bye")
		return l
	})
}

// TestOldSDK runs plugins that were built with the oldest SDK of those that the bridge is for.
func TestOldSDK(t *testing.T) {
	cases{
		"old sync": everything(""), "old async": everything("?async=1"), "old buffered": everything("?async=1&databuffer=decode-data"),
		"old reply": reply("?localreply=decode-data&async=1", "decode-data"), "old panic": panics("?async=1&panic=decode-header", "decode-header"),
	}.run(t, func() listen {
		l := named()
		l.library, l.answer = oldPlugins, answers(200, someHeaders, false, "good", "bye")
		return l
	})
}

func reply(query, phase string) func(t testing.TB, s *site) {
	return func(t testing.TB, s *site) {
		t.Helper()
		got := s.do(t, ask(query, "hello"))
		status(t, got, 403)
		equal(t, "body", "forbidden from go in "+phase+"\r\n", strings.ToLower(got.Body)) // it passes the plugin's own EncodeData
		list(t, "test-phase", got.Header.Values("test-phase"), phase)
		list(t, "content-type", got.Header.Values("content-type"), "text/html")
		list(t, "x-two-values", got.Header.Values("x-two-values"), "foo", "bar")
		equal(t, "the reply in the encode phase", "403", got.Header.Get("rsp-status"))
	}
}

func panics(query, phase string) func(t testing.TB, s *site) {
	return func(t testing.TB, s *site) {
		t.Helper()
		mark := s.bed.Log.Mark()
		got := s.do(t, ask(query, "hello"))
		status(t, got, 500)
		equal(t, "body", "error happened in filter\r\n", strings.ToLower(got.Body))
		if _, err := s.bed.Log.Wait(mark, "panic", patience); err != nil {
			t.Errorf("no line in the log: %v", err)
		}
	}
}

func TestReplies(t *testing.T) {
	cases{
		"LocalReply_DecodeHeader":         reply("?localreply=decode-header", "decode-header"),
		"LocalReply_DecodeHeader_Async":   reply("?async=1&localreply=decode-header", "decode-header"),
		"LocalReply_DecodeData":           reply("?localreply=decode-data", "decode-data"),
		"LocalReply_DecodeData_Async":     reply("?async=1&sleep=1&localreply=decode-data", "decode-data"),
		"PanicRecover_DecodeHeader":       panics("?panic=decode-header", "decode-header"),
		"PanicRecover_DecodeHeader_Async": panics("?async=1&panic=decode-header", "decode-header"),
		"PanicRecover_DecodeData":         panics("?panic=decode-data", "decode-data"),
		"PanicRecover_DecodeData_Async":   panics("?async=1&sleep=1&panic=decode-data", "decode-data"),
		"PanicRecover_BadAPI":             panics("?badapi=decode-data", "decode-data"),
		"a reply to the response": func(t testing.TB, s *site) {
			got := s.do(t, ask("?localreply=encode-header", "hello"))
			status(t, got, 403)
			list(t, "test-phase", got.Header.Values("test-phase"), "encode-header")
		},
	}.run(t, named)
	// The panic comes after the response's headers have gone out, or before: upstream sends 500 if they have not.
	cases{"PanicRecover_EncodeData_Async": panics("?async=1&sleep=1&panic=encode-data", "encode-data")}.run(t, func() listen {
		l := named()
		l.answer = answers(200, nil, false, "bye")
		return l
	})
}

func TestLuaRespondAfterGoHeaderContinue(t *testing.T) {
	cases{"LuaRespondAfterGoHeaderContinue": func(t testing.TB, s *site) {
		got := s.do(t, ask("", "hello"))
		status(t, got, 403)
		equal(t, "body", "FORBIDDEN FROM LUA, ORIG HEADER: FOO, GO HEADER: FOO", got.Body)
	}}.run(t, func() listen {
		l := named()
		l.after = a{lua(`
function envoy_on_request(handle)
  local h = handle:headers()
  handle:respond({[":status"] = "403"}, "forbidden from lua, orig header: " .. h:get("x-test-header-0") ..
    ", go header: " .. h:get("test-x-set-header-0"))
end`)}
		return l
	})
}

func lua(code string) m {
	return m{"name": "lua", "typed_config": m{
		"@type":               "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
		"default_source_code": m{"inline_string": code},
	}}
}

func TestDynamicMetadata(t *testing.T) {
	both := func(query string) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) {
			t.Helper()
			status(t, s.do(t, ask(query, "helloworld")), 200)
			up := s.last(t)
			for name, want := range map[string]string{
				"md-text": "t0", "md-number": "42", "md-truth": "false", // read by the plugin
				"own-text": "t", "own-number": "7", "own-truth": "true", // written and read by it
				"after": "t 7 true", // read by a filter behind it
			} {
				equal(t, name, want, up.Header.Get(name))
			}
		}
	}
	cases{
		"DynamicMetadata":             both("?dymeta=1"),
		"DynamicMetadata_Async":       both("?dymeta=1&async=1"),
		"DynamicMetadata_Async_Sleep": both("?dymeta=1&async=1&sleep=1"),
	}.run(t, func() listen {
		l := named()
		l.before = a{m{"name": "set_metadata", "typed_config": m{
			"@type":    "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
			"metadata": a{m{"metadata_namespace": "before", "value": m{"text": "t0", "number": 42, "truth": false}}},
		}}}
		l.after = a{lua(`
function envoy_on_request(handle)
  local md = handle:streamInfo():dynamicMetadata():get("golang")
  handle:headers():replace("after", md["text"] .. " " .. string.format("%d", md["number"]) .. " " .. tostring(md["truth"]))
end`)}
		return l
	})
}

func TestRouteCache(t *testing.T) {
	get := func(query string, want int) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) { status(t, s.do(t, ask(query)), want) }
	}
	cases{
		"RouteCache_noClear": get("?newPath=/not-found-path", 200),
		"RouteCache_Clear":   get("?newPath=/not-found-path&clearRoute=1", 404),
		"RefreshRouteCache": func(t testing.TB, s *site) {
			got := s.do(t, client.Request{Path: "/first/api/xx?refreshRoute=1", Host: "test.com"})
			equal(t, "the route", "second", got.Header.Get("from"))
			equal(t, "the path", "/third/api", s.last(t).URL.Path)
		},
	}.run(t, func() listen {
		l := named()
		for _, name := range []string{"first", "second", "third"} {
			l.routes = append(l.routes, to("/"+name+"/api", m{
				"response_headers_to_add": a{m{"header": m{"key": "from", "value": name}}},
			}))
		}
		l.routes[1].(m)["typed_per_filter_config"] = forRoute("basic", m{})
		return l
	})
}

func TestRouteConfig(t *testing.T) {
	get := func(host, path, set string, header0 bool) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) {
			t.Helper()
			got := s.do(t, client.Request{Path: path, Host: host})
			equal(t, "the header that is set", "test-value", got.Header.Get(set))
			if there := got.Header.Get("x-test-header-0") != ""; there != header0 {
				t.Errorf("x-test-header-0 in the response: %v", there)
			}
		}
	}
	cs := cases{
		"RouteConfig_VirtualHost": get("test.com", "/test", "bar", true),
		"RouteConfig_Route":       get("test.com", "/route-config-test", "baz", false),
	}
	onEnvoys(t, func(t *testing.T, b *bed) {
		l := listen{
			plugin: "routeconfig", config: m{"remove": "x-test-header-0", "set": "foo"}, answer: answers(200, someHeaders, false),
			vhost: m{"typed_per_filter_config": forRoute("routeconfig", m{"remove": "x-test-header-1", "set": "bar"})},
			routes: a{
				to("/test"),
				to("/route-config-test", m{"typed_per_filter_config": forRoute("routeconfig", m{"remove": "x-test-header-0", "set": "baz"})}),
			},
		}
		cs.on(t, b, l)
		l.vhost, l.routes = nil, nil
		cases{"RouteConfig_Filter": get("filter-level.com", "/test", "foo", false)}.on(t, b, l)
	})
}

func TestDrainConnectionUponCompletion(t *testing.T) {
	cases{"DrainConnectionUponCompletion": func(t testing.TB, s *site) {
		said, err := client.Raw(s.addr, "GET /test?drainConnection=1 HTTP/1.1\nHost: test\n\n", patience)
		if err != nil {
			t.Fatalf("client.Raw: %v", err) // the connection stays open
		}
		contains(t, "the response", said, "HTTP/1.1 200")
		contains(t, "the response", strings.ToLower(said), "connection: close")
	}}.run(t, named)
}

func TestSmall(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		cases{"Echo": func(t testing.TB, s *site) {
			got := s.do(t, client.Request{Method: "POST", Path: "/echo"})
			status(t, got, 403)
			equal(t, "body", "echo from go, path: /echo\r\n", got.Body)
		}}.on(t, b, listen{plugin: "echo", config: m{"echo_body": "echo from go", "match_path": "/echo"}})
		cases{"Passthrough": func(t testing.TB, s *site) {
			got := s.do(t, ask("", "hello", "world"))
			status(t, got, 200)
			equal(t, "body", "goodbye", got.Body)
			equal(t, "the request's body", "helloworld", s.last(t).body)
		}}.on(t, b, listen{plugin: "passthrough", answer: answers(200, nil, false, "good", "bye")})
		cases{"PluginNotFound": func(t testing.TB, s *site) {
			status(t, s.do(t, ask("", "hello")), http.StatusOK)
		}}.on(t, b, listen{plugin: "nobody_registered_this"})
	})
}
