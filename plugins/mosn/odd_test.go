package mosn

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

// tolerant returns a host with one of MOSN's filters, which may be at fault.
func tolerant(t *testing.T, typ, config string) *filtertest.Host {
	t.Helper()
	h := &filtertest.Host{AllowsBugs: true}
	c := filtertest.Config{Name: "mosn", JSON: fmt.Sprintf(`{"stream_filters": [{"type": %q, "config": %s}]}`, typ, config)}
	if err := h.Load(t, c); err != nil {
		t.Fatalf("cannot load %s: %v", typ, err)
	}
	return h
}

// jwtByPath is a rule for one path. MOSN parses the request's path for it, and panics where net/url cannot.
const jwtByPath = `{"providers": {"p": {"issuer": "https://issuer.example", "localJwks": {"inlineString": "{\"keys\": []}"}}},
	"rules": [{"match": {"path": "/admin", "caseSensitive": true}, "requires": {"providerName": "p"}}]}`

// TestJWTPanics has jwt_authn panic: the request is answered, and the log says which of MOSN's filters it was.
func TestJWTPanics(t *testing.T) {
	h := tolerant(t, "jwt_authn", jwtByPath)
	for path, want := range map[string]int{"/admin": 401, "/public": 200, "/%zz": 500, "/admin/%": 500, "/public/": 200} {
		t.Run(path, func(t *testing.T) {
			r := get(h, path)
			if r.Status != want || r.Reset != "" {
				t.Errorf("status %d, reset %q; want %d", r.Status, r.Reset, want)
			}
			if reached := r.Upstream != nil; reached != (want == 200) {
				t.Errorf("the upstream was reached: %t, want %t", reached, want == 200)
			}
		})
	}
	line := regexp.MustCompile(`level=ERROR msg=panic .*plugin=mosn .*value="jwt_authn: runtime error.*jwtauthn/matcher.go`)
	if !line.MatchString(h.Log()) {
		t.Errorf("the log has no line like %s: %s", line, h.Log())
	}
}

// TestJWTFactoryPanics has a configuration with which the factory panics for each stream: MOSN's rules for a path need
// caseSensitive. The log says so when the configuration loads, and no request passes unchecked.
func TestJWTFactoryPanics(t *testing.T) {
	h := tolerant(t, "jwt_authn", strings.Replace(jwtByPath, `, "caseSensitive": true`, "", 1))
	if !strings.Contains(h.Log(), "its configuration is at fault") || !strings.Contains(h.Log(), "type=jwt_authn") {
		t.Errorf("the log does not warn of jwt_authn: %s", h.Log())
	}
	for range 2 { // each stream has filters made anew
		if r := get(h, "/public"); r.Status != 500 || r.Upstream != nil {
			t.Errorf("status %d, upstream reached: %t; want 500 and no request upstream", r.Status, r.Upstream != nil)
		}
	}
}

// odd are pieces of requests that parsers get wrong.
var odd = []string{
	"", "/", "//", "/.", "/..", "%", "%zz", "%00", "%2f", "?", "#", ";", ":", "=", "&", "a", "Bearer ", "eyJhbGciOiJIUzI1NiJ9", ".",
	"..", "\x01", "\x7f", "\xff", "é", "[::1]", "1.2.3.4", "999.1.1.1", ",", "-1", "18446744073709551616", "gzip;q=2", "{", "null", " ",
}

func oddText(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(6) {
		b.WriteString(odd[rng.IntN(len(odd))])
	}
	return b.String()
}

// TestOddRequests sends each of MOSN's filters requests that no client should send. Each has an outcome: a filter that
// panics answers 500 and is named in the log, and the next request is served.
func TestOddRequests(t *testing.T) {
	headers := []string{"authorization", "x-real-ip", "x-version", "accept-encoding", "content-type", "cookie", "host", "x-user"}
	for typ, config := range map[string]string{
		"header_to_metadata": `{"request_rules": [{"header": "x-version", "on_header_present": {"key": "v"}, "remove": true}]}`,
		"ip_access":          `{"default_action": "allow", "header": "x-real-ip", "ips": [{"action": "deny", "addrs": ["10.0.0.0/8"]}]}`,
		"payload_limit":      `{"max_entity_size ": 10, "http_status": 413}`,
		"gzip":               `{"gzip_level": 1, "content_length": 1, "content_types": ["text/html"]}`,
		"fault":              `{"abort": {"status": 503, "percentage": 50}, "headers": [{"name": "x-user", "value": "a.*", "regex": true}]}`,
		"fault_tolerance":    `{"enabled": true, "exceptionTypes": [503]}`,
		"dsl":                `{"before_router_by_dsl": "conditional((request.method == \"GET\") && (request.path == \"/a\"), ctx.rewrite_request_url(\"/b\"), ctx.rewrite_request_url(\"/c\"))"}`,
		"jwt_authn":          jwtByPath,
		"rbac": `{"version": "1", "rules": {"action": "ALLOW", "policies": {"p": {"permissions": [{"header": {"name": ":path", "exact_match": "/a"}}],
			"principals": [{"any": true}]}}}}`,
	} {
		t.Run(typ, func(t *testing.T) {
			h := tolerant(t, typ, config)
			rng := rand.New(rand.NewPCG(1, 2))
			panics := 0
			for range 500 {
				r := filtertest.NewRequest([]string{"GET", "POST"}[rng.IntN(2)], "/", oddText(rng), headers[rng.IntN(len(headers))], oddText(rng))
				r.URL = &url.URL{Opaque: "/" + oddText(rng)}
				described := fmt.Sprintf("%s %q %v", r.Method, r.URL.Opaque, r.Header)
				got := h.Do(r)
				switch {
				case got.Status == 0 && got.Reset == "":
					t.Fatalf("no outcome of %s", described)
				case got.Status == 500:
					panics++
				}
			}
			n := strings.Count(h.Log(), "msg=panic")
			least := min(panics, 100) // of a message that repeats, no more need be logged
			if n < least || n > panics || strings.Count(h.Log(), `value="`+typ+": ") != n {
				t.Errorf("%d answers were 500, and the log has %d panics; want %d at least, each with the type", panics, n, least)
			}
			t.Logf("%d panics", panics)
		})
	}
}
