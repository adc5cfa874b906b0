package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mosn.io/moe/e2e/client"
)

// pluginScenarios show each plugin of the library as its README's curl would.
func pluginScenarios() []Scenario {
	token := []M{plugin("tokenauth", "t", M{"secret": "secret"})}
	return append(rows([]row{
		{name: "tokenauth: missing token", chain: token, status: 403, body: "missing token", upNone: true},
		{
			name: "tokenauth: invalid token", chain: token, status: 403, body: "invalid token", upNone: true,
			req: client.Request{Header: []string{"token", "c64319d06364528120a9f96af62ea83e"}},
		},
		{
			name: "tokenauth: the right token", chain: append(token, Probe("p", "response_headers", "set x-seen 1")),
			req: client.Request{Path: "/", Header: []string{"token", "c64319d06364528120a9f96af62ea83d"}}, headers: []string{"x-seen", "1"},
		},
		{name: "hello", chain: []M{{"name": "hello"}}, headers: []string{"x-extproc-hello", "Hello from ext_proc"}},
		{
			name: "hello: with a header and value of one's own", chain: []M{plugin("hello", "h", M{"header": "x-hi", "value": "hi"})},
			headers: []string{"x-hi", "hi", "x-extproc-hello", "-"},
		},
		{
			name: "hello: on the reply of a plugin behind it", chain: append([]M{{"name": "hello"}}, Probe("p", "request_headers", "reply 403 no")),
			status: 403, headers: []string{"x-extproc-hello", "Hello from ext_proc"},
		},
		{
			name: "passthrough: over HTTP/2, body and trailers", neutral: true, chain: []M{{"name": "passthrough"}},
			req: client.Request{H2: true, Body: "body", Trailer: []string{"x-got", "1"}, Path: "/mirror"}, upBody: "body", body: "body",
			upTrailer: []string{"x-got", "1"},
		},
		{
			name: "headermutation: request and response", chain: []M{plugin("headermutation", "m", M{
				"request": M{
					"removePrefix": A{"x-internal-"}, "set": M{"x-client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "x-new": "%REQ(x-old)%"},
					"remove": A{"x-old"}, "add": M{"x-multi": "2"},
				},
				"response": M{"removeRegexp": A{"x-up.*"}, "add": M{"x-code": "%RESPONSE_CODE%"}, "set": M{"x-path": "%REQ(:path)%"}},
			})},
			req:     client.Request{Header: []string{"x-internal-role", "admin", "x-old", "v", "x-multi", "1"}},
			up:      []string{"x-internal-role", "-", "x-old", "-", "x-new", "v", "x-client", "127.0.0.1", "x-multi", "1|2"},
			headers: []string{"x-upstream", "-", "x-upstream-path", "-", "x-code", "200", "x-path", "/echo"},
		},
		{
			name: "headermutation: trailers", chain: []M{plugin("headermutation", "m", M{
				"requestTrailers": M{"set": M{"x-got": "new"}}, "responseTrailers": M{"remove": A{"x-t"}, "add": M{"x-u": "%TRAILER(x-t)%"}},
			})},
			req:       client.Request{Body: "b", Trailer: []string{"x-got", "1"}, Path: "/echo?t=x-t:1", H2: true},
			upTrailer: []string{"x-got", "new"}, trailer: []string{"x-t", "-", "x-u", "1"},
		},
		{
			name: "headermutation: the route follows", listen: Listen{Routes: []M{To("other", "/echo/moved"), To("up", "/")}},
			chain:   []M{plugin("headermutation", "m", M{"clearRouteCache": true, "request": M{"set": M{":path": "/echo/moved"}}})},
			headers: []string{"x-upstream-path", "/echo/moved"},
		},
	}), Scenario{Name: "accesslog", Run: accessLog}, Scenario{Name: "accesslog: rotation", Run: accessLogRotation})
}

func logLines(b *Bed, path string, n int) []map[string]any {
	b.Helper()
	var lines []map[string]any
	b.Poll(func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		lines = nil
		for s := bufio.NewScanner(f); s.Scan(); {
			var m map[string]any
			if err := json.Unmarshal(s.Bytes(), &m); err != nil {
				return fmt.Errorf("%q: %w", s.Text(), err)
			}
			lines = append(lines, m)
		}
		if len(lines) < n {
			return fmt.Errorf("%d lines in %s, want %d", len(lines), path, n)
		}
		return nil
	})
	return lines
}

func accessLog(b *Bed) {
	path := filepath.Join(b.Envoy.Dir, "plugin.log")
	ln := b.Listen(Listen{Chain: Chain(plugin("accesslog", "a", M{
		"output": path, "redact": A{"x-api-key"},
		"fields": M{"tenant": "%REQ(x-tenant)%"},
	}),
		Probe("p", "request_headers", "if ${has.x-no} true; reply 403 no"))})
	ln.Do(client.Request{Path: "/echo?t=x-t:1", Body: "body", H2: true, Trailer: []string{"x-got", "1"}, Header: []string{
		"authorization", "Bearer hush", "x-api-key", "hush", "cookie", "hush=1", "x-tenant", "ten", "x-two", "1", "x-two", "2",
	}})
	logLines(b, path, 1) // out of process, the end of the next stream may come before this one's
	ln.Do(client.Request{Header: []string{"x-no", "1"}})
	lines := logLines(b, path, 2)
	text, _ := json.Marshal(lines)
	if strings.Contains(string(text), "hush") {
		b.Errorf("a secret in the log: %s", text)
	}
	request, _ := lines[0]["request"].(map[string]any)
	response, _ := lines[0]["response"].(map[string]any)
	for what, pair := range map[string][2]string{
		"method": {fmt.Sprint(lines[0]["method"]), "POST"}, "path": {fmt.Sprint(lines[0]["path"]), "/echo?t=x-t:1"},
		"status": {fmt.Sprint(lines[0]["status"]), "200"}, "complete": {fmt.Sprint(lines[0]["complete"]), "true"},
		"protocol": {fmt.Sprint(lines[0]["protocol"]), "HTTP/2"}, "fields": {fmt.Sprint(lines[0]["fields"]), "map[tenant:ten]"},
		"bytes": {fmt.Sprint(request["bytes"]), "4"}, "trailers": {fmt.Sprint(request["trailers"]), "map[x-got:[1]]"},
		"response trailers": {fmt.Sprint(response["trailers"]), "map[x-t:[1]]"},
		"second status":     {fmt.Sprint(lines[1]["status"]), "403"},
	} {
		Equal(b, what, pair[0], pair[1])
	}
	headers, _ := request["headers"].(map[string]any)
	Equal(b, "authorization", fmt.Sprint(headers["authorization"]), "[[redacted]]")
	Equal(b, "two values", fmt.Sprint(headers["x-two"]), "[1 2]")
}

func accessLogRotation(b *Bed) {
	path := filepath.Join(b.Envoy.Dir, "rotated.log")
	ln := b.Listen(Listen{Chain: Chain(plugin("accesslog", "a", M{"output": path}))})
	ln.Do(client.Request{})
	logLines(b, path, 1)
	if err := os.Rename(path, path+".1"); err != nil {
		b.Fatal(err)
	}
	b.Poll(func() error {
		ln.Do(client.Request{})
		_, err := os.Stat(path)
		return err
	})
	logLines(b, path, 1)
}
