package plugins

import "time"

func init() {
	add("breaker: by cluster, with probes", func(b *bed) {
		// Out of process the cluster's name takes request_attributes in Envoy's configuration; the path does not.
		key := "cluster"
		if b.Host.Name() == "extproc" {
			key = "path"
		}
		ln := b.listen(`plugins: [{name: breaker, id: circuit, config: {rules: [
			{consecutive: 3, errorRate: 0, open: 1s, probes: 1, key: [{from: `+key+`}]}]}}]`,
			route{"/body/", `plugins: [{name: breaker, id: circuit, disabled: true}]`})
		for i := range 3 {
			if r := ln.get("/echo?status=500"); r.Status != 500 {
				b.Fatalf("request %d: got %d, want the upstream's 500", i, r.Status)
			}
		}
		ln.finds(503, "/echo") // out of process, what is known may come a little later than the response
		r := ln.get("/echo")
		if r.Status != 503 || r.Header.Get("retry-after") != "1" || b.reached(r) || b.Access(r.ID)["details"] != "moe.breaker.open" {
			b.Errorf("got %d %v, want 503 with retry-after by the plugin", r.Status, r.Header)
		}
		if r := ln.get("/body/x"); r.Status != 200 {
			b.Errorf("a route without it: got %d, want 200", r.Status)
		}
		b.WaitMetric("moe.circuit.open", "default", 1)
		time.Sleep(time.Second)
		if r := ln.get("/echo?status=500"); r.Status != 500 {
			b.Errorf("the probe: got %d, want 500", r.Status)
		}
		ln.finds(503, "/echo")
		ln.finds(200, "/echo") // after another second
		ln.finds(200, "/echo")
		b.WaitMetric("moe.circuit.closed", "default", 1)
	})
}
