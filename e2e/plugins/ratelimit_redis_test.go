package plugins

import (
	"fmt"

	"mosn.io/moe/internal/redistest"
)

func init() {
	add("ratelimit: counts in Redis", func(b *bed) {
		s := redistest.Start(b)
		// Another maxKeys makes another instance, as in another Envoy: the two share nothing but Redis.
		const doc = `plugins: [{name: ratelimit, config: {rules: [{limit: 5, per: 1h, key: [{from: header, name: x-user}]}],
			redis: {addresses: ["%s"], timeout: 5s, precharge: 0}, maxKeys: %d}}]`
		first, second := b.listen(fmt.Sprintf(doc, s.Addr, 1000)), b.listen(fmt.Sprintf(doc, s.Addr, 2000))
		first.passes(3, 3, "/echo", "x-user", "a")
		second.passes(2, 4, "/echo", "x-user", "a")
		first.passes(0, 2, "/echo", "x-user", "a")
		second.passes(5, 6, "/echo", "x-user", "b")
		s.Kill() // and each goes on by its own count
		first.passes(5, 6, "/echo", "x-user", "c")
		b.WaitLog("Redis does not answer")
	})
}
