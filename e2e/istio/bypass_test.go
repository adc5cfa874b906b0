package istio

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"mosn.io/moe/e2e/envoytest"
)

// istioAuth has Istio add filters of its own to gateways and to what sidecars receive.
const istioAuth = `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: all, namespace: istio-system}
spec:
  jwtRules:
  - {issuer: nobody, jwks: '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: all, namespace: istio-system}
spec:
  rules: [{}]
`

const cors = "envoy.filters.http.cors"

// positions are all the places that a policy can ask for. cors is in every chain of Istio's, nosuch in none.
var positions = []struct {
	name, insert string
	order        order
}{
	{"default", "", order{before: router}},
	{"beforeRouter", "insert: {position: beforeRouter}\n", order{before: router}},
	{"afterAuthn", "insert: {position: afterAuthn}\n", order{
		behind: []string{"envoy.filters.http.jwt_authn", "istio_authn", "envoy.filters.http.rbac"},
	}},
	{"first", "insert: {position: first}\n", order{first: true}},
	{"before a filter", "insert: {before: " + cors + "}\n", order{before: cors}},
	{"after a filter", "insert: {after: " + cors + "}\n", order{after: cors}},
	{"before a filter that is not there", "insert: {before: nosuch}\n", order{before: router}},
	{"after a filter that is not there", "insert: {after: nosuch}\n", order{before: router}},
}

var deliveries = []string{"ecds", "inline"}

// guarded checks that requests without a token, of each kind, do not get through a door, and that one with it does.
func (d *door) guarded(host string) error {
	const path = "/private"
	for _, headers := range [][]string{nil, {"token", "wrong"}, {"token", ""}} {
		r, err := d.get(host, path, headers...)
		if err != nil {
			return err
		}
		if seen := d.m.upstream.Seen(r.id); len(seen) > 0 {
			return fmt.Errorf("a request with headers %q has reached the upstream", headers)
		}
		if r.status != 403 {
			return fmt.Errorf("a request with headers %q: status %d: %.100s", headers, r.status, r.body)
		}
	}
	return d.sees(host, path, 200, "", "", token(path)...)
}

// TestNoBypass proves for every position, delivery and kind of traffic that a request without credentials does not
// reach the upstream once a policy with an authentication plugin is in force, and that it stays so while the policy
// moves from one position to the next.
func TestNoBypass(t *testing.T) {
	onEach(t, func(t *testing.T, bin envoytest.Binary) {
		m := newMesh(t, world, services, istioAuth)
		gateway, app := m.start(bin, gatewayNode), m.start(bin, appNode)
		for _, x := range []struct {
			name, namespace, target, host string
			proxy                         *proxy
			listener, destination, serves string
		}{
			{
				name: "gateway", namespace: "istio-system", target: toGateway, host: "www.example.com", proxy: gateway,
				listener: "0.0.0.0_80", serves: "0.0.0.0_80",
			},
			{
				name: "inbound", namespace: "default", target: toApp + "traffic: [inbound]\n", host: "app", proxy: app,
				listener: "virtualInbound", destination: fmt.Sprintf("127.0.0.1:%d", m.port()), serves: "virtualInbound",
			},
			{
				name: "outbound", namespace: "default", target: toApp + "traffic: [outbound]\n", host: "echo.test", proxy: app,
				listener: "virtualOutbound", destination: "10.97.0.1:8080", serves: "0.0.0.0_8080",
			},
		} {
			t.Run(x.name, func(t *testing.T) {
				m := m.in(t)
				d := x.proxy.open(x.listener, x.destination)
				m.policies()
				m.eventually("no policy", func() error { return d.sees(x.host, "/private", 200, "", "") })
				var w *watcher
				for _, delivery := range deliveries {
					for _, p := range positions {
						p.order.some = x.name != "outbound" // where Istio authenticates nobody
						what := p.name + ", " + delivery
						m.policies(policy(x.namespace, "auth", x.target+p.insert+"delivery: "+delivery+"\nplugins: ["+auth+"]"))
						m.eventually(what, func() error {
							chains, err := x.proxy.filters(x.serves)
							if err == nil {
								err = p.order.check(chains, delivery)
							}
							if err == nil {
								err = d.guarded(x.host)
							}
							return err
						})
						if w == nil {
							w = watch(d, x.host)
							t.Cleanup(func() { w.stop() })
						}
						if leaks := w.leaks(); len(leaks) > 0 {
							t.Fatalf("up to %s, these requests without a token have reached the upstream: %s", what, leaks)
						}
					}
				}
				sent := w.stop()
				if leaks := w.leaks(); len(leaks) > 0 || sent == 0 {
					t.Errorf("of %d requests without a token, sent all the while, these have reached the upstream: %s", sent, leaks)
				}
				t.Logf("%d requests without a token, sent while the policy moved: none has reached the upstream", sent)
			})
		}
	})
}

// watcher sends requests without a token, one after the other.
type watcher struct {
	door *door
	sent atomic.Int64
	quit chan struct{}
	done chan struct{}
	once sync.Once

	mu  sync.Mutex
	ids []string
}

func watch(d *door, host string) *watcher {
	w := &watcher{door: d, quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.quit:
				return
			default:
			}
			// While listeners change, a connection may end under a request: which is not a way through.
			r, _ := d.get(host, "/private")
			w.sent.Add(1)
			if len(d.m.upstream.Seen(r.id)) > 0 {
				w.mu.Lock()
				w.ids = append(w.ids, r.id)
				w.mu.Unlock()
			}
		}
	}()
	return w
}

func (w *watcher) leaks() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.ids...)
}

// stop ends the requests and returns how many there were.
func (w *watcher) stop() int64 {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	return w.sent.Load()
}
