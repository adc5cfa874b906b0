// Package plugins runs the plugins in the box in a real Envoy, on every host, with what they need: files that change,
// servers that they ask.
//
// A plugin has a file here. It adds its cases in an init function, with [add]; all share one Envoy for each host. A case
// listens with a document of plugins, as in moe.yaml, and sends requests to an upstream that records them.
//
//	func init() {
//		add("keyauth: no key", func(b *bed) {
//			ln := b.listen(`plugins: [{name: keyauth}]`)
//			if r := ln.get("/echo"); r.Status != 401 {
//				b.Errorf("%d %s", r.Status, r.Body)
//			}
//		})
//	}
package plugins

import (
	"os"
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/dynmod"
	"mosn.io/moe/e2e/extproc"
	"mosn.io/moe/e2e/golang"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/framework/config"
)

type m = conformance.M

func TestMain(t *testing.M) {
	extproc.Main()
	os.Exit(t.Run())
}

var cases []conformance.Scenario

// add adds a case, for every host.
func add(name string, run func(b *bed)) {
	cases = append(cases, conformance.Scenario{Name: name, Run: func(b *conformance.Bed) { run(&bed{b}) }})
}

func TestDynmod(t *testing.T) {
	t.Parallel()
	runOn(t, &dynmod.Host{})
}

func TestGolang(t *testing.T) {
	t.Parallel()
	runOn(t, &golang.Host{})
}

func TestExtproc(t *testing.T) {
	t.Parallel()
	h := &extproc.Host{}
	t.Cleanup(h.Close)
	runOn(t, h)
}

func runOn(t *testing.T, h conformance.Host) {
	conformance.RunNewest(t, h, func() []conformance.Group {
		return []conformance.Group{{Name: "plugins", Scenarios: cases}}
	})
}

// bed is what a case runs in. Its Host.Name() is the host's; Metrics, HostLog, WaitLog, Poll and Access are
// conformance.Bed's.
type bed struct{ *conformance.Bed }

// listener is one of Envoy's with a chain in it.
type listener struct {
	*conformance.Listener
	b *bed
}

// route is a prefix of paths with a document of its own, merged over the listener's; "" is none.
type route struct{ prefix, doc string }

// listen adds a listener with a document of plugins, in YAML, and routes, tried in order before the one for all paths.
//
// The routes come in a second step: Envoy loads a listener's routes before its filters, and a route's document that
// only makes sense with a filter's is refused while there are filters of other listeners and not yet its own.
func (b *bed) listen(doc string, routes ...route) *listener {
	b.Helper()
	l := conformance.Listen{Chain: b.parse(doc)}
	ln := &listener{b.Listen(l), b}
	if len(routes) == 0 {
		return ln
	}
	for _, r := range routes {
		to := conformance.To("up", r.prefix)
		if r.doc != "" {
			to = conformance.To("up", r.prefix, b.PerRoute(b.parse(r.doc)))
		}
		l.Routes = append(l.Routes, to)
	}
	l.Routes = append(l.Routes, conformance.To("up", "/"))
	if err := ln.Update(l); err != nil {
		b.Fatalf("the routes should be good: %v", err)
	}
	return ln
}

// refused adds a listener that Envoy, or the host, is to refuse, and returns why, as the host's log has it.
func (b *bed) refused(doc string) string {
	b.Helper()
	mark := b.HostLog().Mark()
	_, err := b.TryListen(conformance.Listen{Chain: b.parse(doc)})
	if err == nil {
		b.Fatal("the configuration is not refused")
	}
	return err.Error() + b.HostLog().Since(mark)
}

func (b *bed) parse(doc string) any {
	b.Helper()
	v, err := config.Parse([]byte(doc))
	if err != nil {
		b.Fatalf("config.Parse: %v", err)
	}
	return v
}

// get sends a GET; header is name, value, …. The upstream's /echo answers 200 with the request's body.
func (l *listener) get(path string, header ...string) *client.Response {
	l.b.Helper()
	return l.Do(client.Request{Path: path, Header: header})
}

// post sends a POST.
func (l *listener) post(path, body string, header ...string) *client.Response {
	l.b.Helper()
	return l.Do(client.Request{Path: path, Body: body, Header: header, Method: "POST"})
}

// upstream returns the request as the upstream saw it, for a response that came from there.
func (b *bed) upstream(r *client.Response) upstream.Seen {
	b.Helper()
	return b.Seen(r, 1)[0]
}

// reached reports whether the upstream has seen the request. Ask it about responses that a plugin made: once such a
// response is there, the request cannot go on any more.
func (b *bed) reached(r *client.Response) bool { return len(b.Up.Seen(r.ID)) > 0 }
