package plugins

import (
	"strings"

	"github.com/google/uuid"
)

func init() {
	add("requestid: replaced, trusted, by route", func(b *bed) {
		ln := b.listen(`plugins: [{name: requestid, config: {header: x-correlation-id}}, {name: keyauth}]`,
			route{"/body/", `plugins: [{name: requestid, config: {trust: true, hideFromClient: true}}, {name: keyauth, disabled: true}]`})
		// A plugin after it refuses; the client has the id nevertheless.
		r := ln.get("/echo", "x-correlation-id", "mine")
		id, err := uuid.Parse(r.Header.Get("x-correlation-id"))
		if r.Status != 401 || err != nil || id.Version() != 7 {
			b.Errorf("got %d with the id %q, want 401 with a UUID of version 7", r.Status, r.Header.Get("x-correlation-id"))
		}
		for _, c := range []struct {
			sent string
			keep bool
		}{{sent: "mine", keep: true}, {sent: "not mine"}, {sent: strings.Repeat("x", 129)}} {
			r := ln.get("/body/x", "x-correlation-id", c.sent)
			got := b.upstream(r).Header.Values("x-correlation-id")
			if len(got) != 1 || (got[0] == c.sent) != c.keep || r.Header.Get("x-correlation-id") != "" {
				b.Errorf("%.20q: the upstream sees %.40q, the client %q; want one id, kept: %v, and none",
					c.sent, got, r.Header.Get("x-correlation-id"), c.keep)
			}
		}
	})
}
