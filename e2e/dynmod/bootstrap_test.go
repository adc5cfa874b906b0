package dynmod

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
)

// bootProbe is the bootstrap extension of the probes.
func bootProbe(config m) m {
	return envoytest.MoE.Bootstrap("probe", envoytest.Document(envoytest.Struct, config))
}

// TestBootstrap has Go live as long as Envoy does, on real Envoys.
func TestBootstrap(t *testing.T) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	h := &Host{}
	h.Build(t)
	for _, bin := range bins {
		t.Run(bin.Version, func(t *testing.T) {
			(&bootBed{T: t, host: h, bin: bin, dir: t.TempDir()}).run()
		})
	}
}

// bootBed is an Envoy with bootstrap extensions.
type bootBed struct {
	*testing.T
	host  *Host
	bin   envoytest.Binary
	dir   string
	envoy *envoytest.Envoy
}

func (b *bootBed) file(name string) string { return filepath.Join(b.dir, name) }

// options are how an Envoy with these extensions starts.
func (b *bootBed) options(extensions ...m) envoytest.Options {
	all := a{}
	for _, x := range extensions {
		all = append(all, x)
	}
	return envoytest.Options{
		Binary: b.bin, Dir: b.dir, Env: b.host.Env(), Bootstrap: m{"bootstrap_extensions": all},
	}
}

func (b *bootBed) run() {
	b.start()
	for _, c := range []struct {
		name string
		run  func(*bootBed)
	}{
		{"Envoy has waited", testBootWaits},
		{"pages", testBootPages},
		{"what is counted", testBootCounts},
		{"what is at work", testBootAdmin},
		{"drain and end", testBootEnds},
		{"bad configurations", testBootRefused},
	} {
		b.Run(c.name, func(t *testing.T) {
			of := *b
			of.T = t
			c.run(&of)
		})
	}
}

// start starts Envoy, which waits for a file that is made once the extension has said that it waits.
func (b *bootBed) start() {
	b.Helper()
	waits := make(chan error, 1)
	go func() {
		err := envoytest.Poll(patience, func() error {
			_, err := os.Stat(b.file("told"))
			return err
		})
		waits <- err
		if err := os.WriteFile(b.file("go"), nil, 0o600); err != nil {
			b.Errorf("os.WriteFile: %v", err)
		}
	}()
	var err error
	b.envoy, err = envoytest.Start(b.options(
		bootProbe(m{"told": b.file("told"), "wait": b.file("go")}),
		bootProbe(m{"path": "/panics", "do": "panic"}),
		bootProbe(m{"path": "/late", "do": "late", "timeout": "0.02s", "told": b.file("late")}),
		bootProbe(m{"path": "/stats"}),
		envoytest.MoE.Bootstrap("admin", nil),
	))
	if err != nil {
		b.Fatalf("envoytest.Start: %v", err)
	}
	b.Cleanup(func() {
		if b.Failed() {
			b.Log(envoytest.Tail(b.envoy.Log.Since(0), 60))
		}
		if b.envoy.Alive() == nil {
			_ = b.envoy.Stop()
		}
	})
	if err := <-waits; err != nil {
		b.Errorf("the extension has not begun: %v", err)
	}
}

// Workers begin when the extension lets them, and the others, which have failed or are late, do not hold Envoy up.
func testBootWaits(b *bootBed) {
	log := b.envoy.Log.Since(0)
	lets, begins := strings.LastIndex(log, "the probe lets Envoy go on"), strings.Index(log, "starting workers")
	if lets < 0 || begins < lets {
		b.Errorf("the extension lets Envoy go on at %d of the log, workers begin at %d", lets, begins)
	}
	for _, want := range []string{
		"OnServerInitialized panicked", "OnServerInitialized(: context deadline exceeded| has not returned within 20ms)", "panic in OnServerInitialized of the bootstrap",
		"does not take the admin page /stats",
	} {
		b.Run(want, func(t *testing.T) {
			if _, err := b.envoy.Log.Wait(0, want, patience); err != nil {
				t.Errorf("Envoy's log: %v", err)
			}
		})
	}
}

// ask asks for a page of Envoy's admin interface.
func (b *bootBed) ask(method, target, body string) (status int, text string) {
	b.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+b.envoy.Process.Admin()+target, strings.NewReader(body))
	if err != nil {
		b.Fatalf("http.NewRequest: %v", err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatalf("asking with %s for %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Errorf("reading %s: %v", target, err)
	}
	return resp.StatusCode, string(p)
}

// page waits for a page.
func (b *bootBed) page(target string) (text string) {
	b.Helper()
	if err := envoytest.Poll(patience, func() error {
		var status int
		if status, text = b.ask(http.MethodGet, target, ""); status != http.StatusOK {
			return fmt.Errorf("%s answers %d %.200q", target, status, text)
		}
		return nil
	}); err != nil {
		b.Fatalf("waiting for a page: %v", err)
	}
	return text
}

func testBootPages(b *bootBed) {
	for _, c := range []struct {
		name, method, target string
		status               int
		text                 string // the beginning
	}{
		{
			name: "what Envoy counts", target: "/probe?who=me", status: 200,
			text: "me workers=2 initializations=1 clusters=false none=true errors=<nil>\n",
		},
		{name: "a panic", target: "/probe/panic", status: 500, text: "the page panicked"},
		{name: "no return", target: "/probe/hang", status: 503, text: "the page takes longer than 1s"},
		{name: "a long one", target: "/probe/long", status: 200, text: "xxx"},
		{name: "a status", target: "/probe/none", status: 404, text: "none"},
		{name: "a page that changes", method: "POST", target: "/probe/change?a=1", status: 200, text: "POST 1"},
		{name: "GET of a page that changes", target: "/probe/change?a=1", status: 405},
		{name: "another extension's", target: "/late?who=you", status: 200, text: "you workers=2"},
		{name: "the list of pages", target: "/help", status: 200, text: "admin commands are:"},
	} {
		b.Run(c.name, func(t *testing.T) {
			of := *b
			of.T = t
			method := c.method
			if method == "" {
				method = http.MethodGet
			}
			var status int
			var text string
			if err := envoytest.Poll(patience, func() error { // histograms are merged later
				if status, text = of.ask(method, c.target, ""); status != c.status || !strings.HasPrefix(text, c.text) {
					return fmt.Errorf("the page answers %d %.200q, want %d %q", status, text, c.status, c.text)
				}
				return nil
			}); err != nil {
				t.Errorf("waiting for %s of %s: %v", method, c.target, err)
			}
		})
	}
	if _, text := b.ask(http.MethodGet, "/help", ""); !strings.Contains(text, "/probe/hang: a probe's") {
		b.Errorf("Envoy's list of pages lacks ours:\n%s", text)
	}
}

// Metrics come to Envoy without a request that would take them along.
func testBootCounts(b *bootBed) {
	l := &logBed{b.T, b.envoy}
	l.counted(`moe\.probe\.ticks$`, 3)
	l.counted(`moe\.bootstrap\.panics;extension=probe$`, 2) // of the method and the page
	l.counted(`moe\.bootstrap\.init_failures;extension=probe$`, 2)
}

// atWork is what the page of the extension admin says in JSON, as far as it is the same on every machine.
type atWork struct {
	Version struct{ Go string }
	Filters []struct {
		Host, Name string
		Chains     []struct{ Plugins []pluginAtWork }
	}
	Instances    []instanceAtWork
	ConsumerSets []struct {
		Source    string
		Consumers int
	}
}

type (
	pluginAtWork   struct{ ID, Name, Stage string }
	instanceAtWork struct {
		Kind, Name string
		Count      int
	}
)

// The pages of the extension admin show what requests find, and no secret.
func testBootAdmin(b *bootBed) {
	const secret = "nobody-may-see-this"
	doc := m{
		"plugins":   a{m{"name": "keyauth"}, m{"name": "hello", "id": "greeting"}},
		"consumers": a{m{"name": "somebody", "credentials": m{"keyauth": m{"key": secret}}}},
	}
	filter := envoytest.MoE.HTTPFilter("moe", "moe", envoytest.Document(envoytest.Struct, doc))
	if err := b.envoy.SetClusters([]m{envoytest.Cluster("up", false, "127.0.0.1:1")}); err != nil {
		b.Fatalf("e.SetClusters: %v", err)
	}
	if err := b.envoy.SetListeners([]m{conformance.OwnListener("http", nil, filter)}); err != nil {
		b.Fatalf("e.SetListeners: %v", err)
	}
	var got, want atWork
	wanted := `{"Filters": [{"Host": "dynmod", "Name": "moe", "Chains": [{"Plugins": [
		{"ID": "keyauth", "Name": "keyauth", "Stage": "authn"}, {"ID": "greeting", "Name": "hello", "Stage": "transform"}
	]}]}], "ConsumerSets": [{"Consumers": 1}]}`
	if err := json.Unmarshal([]byte(wanted), &want); err != nil {
		b.Fatalf("json.Unmarshal: %v", err)
	}
	want.Version.Go = runtime.Version()
	text, data, stacks := b.page("/moe"), b.page("/moe?format=json"), b.page("/moe/goroutines")
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		b.Fatalf("json.Unmarshal: %v\n%s", err, data)
	}
	if of := (instanceAtWork{"bootstrap", "probe", 4}); !slices.Contains(got.Instances, of) {
		b.Errorf("the instances are %+v, want %+v among them", got.Instances, of)
	}
	got.Instances = nil
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("what is at work (-want +got):\n%s", diff)
	}
	if !strings.Contains(text, "keyauth > greeting (hello)\n") || !strings.Contains(stacks, "goroutine profile: total ") {
		b.Errorf("the pages lack what they are for:\n%s\n%.500s", text, stacks)
	}
	if strings.Contains(text+data+stacks, secret) {
		b.Error("a page shows a secret")
	}
}

// Extensions hear of the end, in order, and Envoy waits for them, within bounds.
func testBootEnds(b *bootBed) {
	if _, err := b.envoy.Post(context.Background(), "/drain_listeners?graceful"); err != nil {
		b.Errorf("POST /drain_listeners: %v", err)
	}
	if err := envoytest.Poll(patience, func() error {
		text, err := os.ReadFile(b.file("told"))
		if err != nil || !strings.Contains(string(text), "drain") {
			return fmt.Errorf("%q, %v", text, err)
		}
		return nil
	}); err != nil {
		b.Errorf("waiting for the drain: %v", err)
	}
	if err := b.envoy.Stop(); err != nil {
		b.Errorf("e.Stop: %v", err)
	}
	for _, name := range []string{"told", "late"} {
		b.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(b.file(name))
			if err != nil {
				t.Fatalf("os.ReadFile: %v", err)
			}
			// Envoy does not wait for Close.
			heard := strings.TrimSuffix(string(text), "closed\n")
			if diff := cmp.Diff("initialized\ndrain\nshutdown 2 <nil>\n", heard); diff != "" {
				t.Errorf("what the extension hears (-want +got):\n%s", diff)
			}
		})
	}
}

// Envoy does not start with a configuration that is wrong, and its log says why.
func testBootRefused(b *bootBed) {
	for _, c := range []struct {
		name, want string
		extension  m
	}{
		{"no such extension", `unknown bootstrap extension; did you mean "probe"`, envoytest.MoE.Bootstrap("prob", nil)},
		{"unknown field", "unknown field", bootProbe(m{"does": "x"})},
		{"a page that cannot be", "is not the path of a page", bootProbe(m{"path": "probe"})},
	} {
		b.Run(c.name, func(t *testing.T) {
			of := *b
			of.T, of.dir = t, t.TempDir()
			e, err := envoytest.Start(of.options(c.extension))
			if err == nil {
				_ = e.Stop()
				t.Fatal("Envoy takes the configuration")
			}
			if log := strings.ReplaceAll(e.Log.Since(0), `\"`, `"`); !strings.Contains(log, "configuration rejected") ||
				!strings.Contains(log, c.want) {
				t.Errorf("Envoy's log has not %q:\n%s", c.want, envoytest.Tail(log, 10))
			}
		})
	}
}
