package plugins

func init() {
	add("tokenauth: on routes", func(b *bed) {
		ln := b.listen(`plugins: [{name: tokenauth, config: {secret: secret}}]`,
			route{"/body/", `plugins: [{name: tokenauth, disabled: true}]`})
		for _, c := range []struct {
			path, token string
			status      int
		}{{"/echo", "bad", 403}, {"/body/x", "bad", 200}, {"/echo", "4cd15bc2c0b01c7eb2db2ac28c0c5cfb", 403}} {
			r := ln.get(c.path, "token", c.token)
			if r.Status != c.status || b.reached(r) != (c.status == 200) {
				b.Errorf("%s: %d %s", c.path, r.Status, r.Body)
			}
		}
		b.refused(`plugins: [{name: tokenauth}]`)
	})
}
