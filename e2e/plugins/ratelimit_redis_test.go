package plugins

import (
	"fmt"

	"mosn.io/moe/internal/redistest"
	"mosn.io/moe/internal/testcert"
)

func init() {
	add("ratelimit: counts in Redis, over TLS", func(b *bed) {
		ca := testcert.New(b, b.TempDir())
		cert, key := ca.Issue(b, "envoy", "envoy.example")
		s := redistest.StartTLS(b, ca)
		// Another maxKeys makes another instance, as in another Envoy: the two share nothing but Redis.
		const text = `plugins: [{name: ratelimit, config: {rules: [{limit: 5, per: 1h, key: [{from: header, name: x-user}]}],
			redis: {addresses: ["%s"], tls: {caFile: "%s", certFile: "%s", keyFile: "%s"}, timeout: 5s, precharge: 0}, maxKeys: %d}}]`
		doc := func(keys int) string { return fmt.Sprintf(text, s.TLSAddr, ca.File, cert, key, keys) }
		first, second := b.listen(doc(1000)), b.listen(doc(2000))
		first.passes(3, 3, "/echo", "x-user", "a")
		second.passes(2, 4, "/echo", "x-user", "a")
		first.passes(0, 2, "/echo", "x-user", "a")
		second.passes(5, 6, "/echo", "x-user", "b")
		s.Kill() // and each goes on by its own count
		first.passes(5, 6, "/echo", "x-user", "c")
		b.WaitLog("Redis does not answer")
	})
}
