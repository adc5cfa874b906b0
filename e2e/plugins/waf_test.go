package plugins

import (
	"strings"

	"mosn.io/moe/e2e/client"
)

const (
	injection = "/echo?id=1%27%20or%201=1--%20"
	urlForm   = "application/x-www-form-urlencoded"
)

func init() {
	add("waf: the Core Rule Set, by filter, route and consumer", func(b *bed) {
		ln := b.listen(`
plugins:
- {name: keyauth}
- {name: waf, config: {requestBody: {limit: 64KiB}}}
consumers:
- {name: alice, credentials: {keyauth: {key: a}}}
- name: tester
  credentials: {keyauth: {key: t}}
  plugins: [{name: waf, config: {shadow: true}}]
`, route{"/body/", `plugins: [{name: waf, config: {exclusions: [{tags: [attack-sqli]}]}}]`})
		browser := []string{"x-api-key", "a", "user-agent", "Mozilla/5.0 Firefox/128.0", "accept", "text/html"}
		if r := ln.get("/echo?id=1", browser...); r.Status != 200 {
			b.Errorf("a harmless request gets %d %s, want 200", r.Status, r.Body)
		}
		r := ln.get(injection, browser...)
		if r.Status != 403 || b.reached(r) || b.Access(r.ID)["details"] != "moe.waf.blocked" {
			b.Errorf("an injection gets %d, want 403 by moe.waf.blocked", r.Status)
		}
		post := func(path, body string) *client.Response {
			return ln.post(path, body, append([]string{"content-type", urlForm}, browser...)...)
		}
		if r := post("/echo", "comment=harmless"); r.Status != 200 || !strings.Contains(r.Body, "comment=harmless") {
			b.Errorf("a harmless form gets %d %q, want 200 and the form", r.Status, r.Body)
		}
		if r := post("/echo", "comment=<script>alert(1)</script>"); r.Status != 403 || b.reached(r) {
			b.Errorf("a script in a form gets %d, want 403", r.Status)
		}
		if r := post("/echo", "a="+strings.Repeat("x", 64<<10)); r.Status != 413 || b.reached(r) {
			b.Errorf("a form over the limit gets %d, want 413", r.Status)
		}
		if r := post("/body/x", "id=1' or 1=1-- "); r.Status != 200 {
			b.Errorf("an injection on the route that excludes its rules gets %d, want 200", r.Status)
		}
		browser[1] = "t"
		if r := ln.get(injection, browser...); r.Status != 200 {
			b.Errorf("an injection by the consumer with shadow gets %d, want 200", r.Status)
		}
		b.WaitMetric("moe.waf.shadow_blocked", "request", 1)
	})

	add("waf: rules of one's own, responses", func(b *bed) {
		ln := b.listen(`
plugins:
- name: waf
  config:
    withoutCoreRuleSet: true
    response: {inspect: body, types: [text/plain]}
    directives: |
      SecRule REQUEST_HEADERS:x-bad "@streq yes" "id:1,phase:1,deny,status:418"
      SecRule REQUEST_URI "@beginsWith /away" "id:2,phase:1,redirect:https://away.example/"
      SecRule RESPONSE_BODY "@contains leak" "id:3,phase:4,deny,status:502"
`)
		if r := ln.get("/echo", "x-bad", "yes"); r.Status != 418 {
			b.Errorf("the status is %d, want 418", r.Status)
		}
		if r := ln.get("/away"); r.Status != 302 || r.Header.Get("location") != "https://away.example/" {
			b.Errorf("got %d to %q, want 302 to https://away.example/", r.Status, r.Header.Get("location"))
		}
		if r := ln.get("/body/harmless"); r.Status != 200 || r.Body != "harmless" {
			b.Errorf("a harmless response is %d %q, want 200 and the body", r.Status, r.Body)
		}
		if r := ln.get("/body/leak"); r.Status != 502 {
			b.Errorf("a response with a leak is %d, want 502", r.Status)
		}
		if why := b.refused(`plugins: [{name: waf, config: {directives: "Include /etc/passwd"}}]`); !strings.Contains(why, "ruleFiles") {
			b.Errorf("a directive that reads a file is refused for %q, want ruleFiles", why)
		}
	})
}
