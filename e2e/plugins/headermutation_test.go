package plugins

func init() {
	add("headermutation: path, query, substitutions", func(b *bed) {
		ln := b.listen(`plugins: [{name: headermutation, config: {rewrite: [{pattern: '^/v1/(\w+)', replace: '/echo/$1'}],
			query: {remove: [secret], set: {user: "%REQ(x-user)%"}, add: {tag: "a b"}},
			request: {set: {x-was: "%PATH(NQ)%", x-query: "%QUERY_PARAMS%", x-cel: "%CEL(request.method + '!')%", x-trace: "%TRACE_ID%"}},
			response: {set: {x-duration: "%DURATION%", x-bytes: "%BYTES_RECEIVED%"}}}}]`,
			route{"/v1/more", `plugins: [{name: headermutation, config: {query: {remove: [other]}}}]`})
		const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		r := ln.post("/v1/x%20y?a=%41&secret=1&user=eve", "12345", "x-user", "ann", "traceparent", trace)
		seen := b.upstream(r)
		if want := "/echo/x%20y?a=%41&user=ann&tag=a+b"; seen.Path != want {
			b.Errorf("the upstream sees %q, want %q", seen.Path, want)
		}
		for name, want := range map[string]string{
			"x-was": "/v1/x%20y", "x-query": "a=%41&secret=1&user=eve", "x-cel": "POST!", "x-trace": "0af7651916cd43dd8448eb211c80319c",
		} {
			if got := seen.Header.Get(name); got != want {
				b.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if r.Header.Get("x-duration") == "" || r.Header.Get("x-bytes") != "5" {
			b.Errorf("got x-duration: %q, x-bytes: %q; want a number and 5", r.Header.Get("x-duration"), r.Header.Get("x-bytes"))
		}
		if got, want := b.upstream(ln.get("/v1/more?secret=1&other=2&x=3")).Path, "/echo/more?x=3&tag=a+b"; got != want {
			b.Errorf("by the route: the upstream sees %q, want %q", got, want)
		}
	})
}
