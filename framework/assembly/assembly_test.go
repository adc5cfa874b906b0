package assembly

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

type metric = core.Metric

// ids returns the plugins of a chain, in order.
func ids(t testing.TB, f *Filter, r *Route) string {
	t.Helper()
	return strings.Join(liveOf(t, f, r).ids(), " ")
}

func (b *live) ids() (ids []string) {
	for _, in := range b.instances {
		ids = append(ids, in.plugin.Name)
	}
	return ids
}

func liveOf(t testing.TB, f *Filter, r *Route) *live {
	t.Helper()
	c, err := f.Chain(r)
	if err != nil {
		t.Fatalf("f.Chain: %v", err)
	}
	b := f.own
	if r != nil {
		p, _ := f.pairs.Load(r)
		b = p.(*pair).live
	}
	if b.chain != c || c == nil {
		t.Fatal("Chain returns another chain")
	}
	return b
}

func pluginOf[T any](t testing.TB, f *Filter, r *Route, i int) *T {
	t.Helper()
	return liveOf(t, f, r).instances[i].plugin.Config.(*T)
}

func TestOrder(t *testing.T) {
	a, _ := fixture(t)
	for _, c := range []struct{ doc, route, want, merged string }{
		{
			`plugins: [{name: own}, {name: limit, config: {rate: 1}}, {name: key}, {name: own, id: own2}]`, ``,
			"key limit own own2", "key limit own own2",
		},
		{
			`{order: listed, plugins: [{name: own}, {name: limit, config: {rate: 1}}, {name: key}]}`, `order: stage`,
			"own limit key", "key limit own",
		},
		{
			`plugins: [{name: own}, {name: key}]`, `plugins: [{name: limit, config: {rate: 1}}, {id: key, disabled: true}]`,
			"key own", "limit own",
		},
		{
			`plugins: [{name: own}, {name: key}]`, `{order: listed, plugins: [{name: limit, config: {rate: 1}}]}`,
			"key own", "own key limit",
		},
		{`plugins: [{name: own}]`, `plugins: [{id: own, disabled: true}]`, "own", ""},
		{`plugins: [{name: own, disabled: true}]`, `plugins: [{id: own, disabled: false}]`, "", "own"},
		{`plugins: [{name: own}]`, `plugins: [{id: unknown, disabled: true}]`, "own", "own"},
	} {
		t.Run(fmt.Sprintf("%q", c.route), func(t *testing.T) {
			f := mustFilter(t, a, c.doc)
			r := mustRoute(t, a, c.route)
			if got := ids(t, f, nil); got != c.want {
				t.Errorf("%s: ids(f, nil) = %q, want %q", c.doc, got, c.want)
			}
			if got := ids(t, f, r); got != c.merged {
				t.Errorf("%s over %s: %s", c.route, c.doc, got)
			}
			r.Close()
			f.Close()
		})
	}
}

func TestMerge(t *testing.T) {
	a, _ := fixture(t)
	f := mustFilter(t, a, `{timeout: 1s, plugins: [
		{name: limit, config: {rate: 1, burst: 2, words: [a], sub: {a: 1, b: 2}, secret: {env: PATH}}},
		{name: own, config: {tags: [p]}}]}`)
	defer f.Close()
	r := mustRoute(t, a, `plugins: [{id: limit, config: {burst: null, words: [b], sub: {b: 0}, secret: plain}},
		{id: own, config: {first: [c]}}]`)
	defer r.Close()
	l := pluginOf[limit](t, f, r, 0)
	if l.Rate != 1 || l.Burst != 1 || !slices.Equal(l.Words, []string{"a", "b"}) || l.Sub.A != 1 || l.Sub.B != 0 ||
		l.Secret.Reveal() != "plain" {
		t.Errorf("merged limit: got %+v, want rate 1, burst 1, words a b, sub 1 0 and the plain secret", l)
	}
	if diff := cmp.Diff([]string{"c", "p"}, pluginOf[own](t, f, r, 1).Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if p := pluginOf[limit](t, f, nil, 0); p == l || p.Burst != 2 || len(p.Words) != 1 {
		t.Errorf("the filter's own became %+v", p)
	}
}

// A configuration that is pushed again keeps its instance, and with it its counts; the last user closes it.
func TestSameInstance(t *testing.T) {
	a, h := fixture(t)
	const text = `plugins: [{name: limit, config: {rate: 1, sub: {a: 1, b: 2}}}]`
	before := closed.Load()
	f1 := mustFilter(t, a, text)
	l := pluginOf[limit](t, f1, nil, 0)
	l.hits.Add(5)

	// Written otherwise, by another Assembler for the same host.
	f2 := mustFilter(t, New(h), `{"plugins":[{"config":{"sub":{"b":2.0,"a":1},"rate":1},"name":"limit","id":"limit"}]}`)
	if pluginOf[limit](t, f2, nil, 0) != l {
		t.Fatal("the same configuration has another instance")
	}
	f1.Close()
	f1.Close()
	if l.closed.Load() != 0 {
		t.Fatal("closed while in use")
	}
	f3 := mustFilter(t, a, strings.Replace(text, "rate: 1", "rate: 2", 1))
	if pluginOf[limit](t, f3, nil, 0) == l {
		t.Fatal("a changed configuration has the same instance")
	}
	r := mustRoute(t, a, `timeout: 3s`)
	if pluginOf[limit](t, f3, r, 0) != pluginOf[limit](t, f3, nil, 0) {
		t.Fatal("a route that changes no plugin has another instance")
	}
	ms := f2.Metrics()
	hits := func(m *metric) bool { return m.Name == "moe.limit.hits" && m.Sum() == 5 }
	if !slices.ContainsFunc(ms, hits) {
		t.Error("the count is gone")
	}
	f2.Close()
	if l.closed.Load() != 1 {
		t.Fatal("not closed with its last user")
	}
	f3.Close()
	if n := closed.Load() - before; n != 2 {
		t.Errorf("%d closed, want 2", n)
	}
	if _, err := f3.Chain(r); err != errClosed {
		t.Errorf("f3.Chain(r): got error %v, want %v", err, errClosed)
	}
	r.Close()
	r.Close()
	other := New(&host{name: "another"})
	g1, g2 := mustFilter(t, a, text), mustFilter(t, other, text)
	if pluginOf[limit](t, g1, nil, 0) == pluginOf[limit](t, g2, nil, 0) {
		t.Error("two hosts share an instance")
	}
	if _, err := g1.Chain(mustRoute(t, other, ``)); err == nil {
		t.Error("another filter's route has a chain")
	}
	g1.Close()
	g2.Close()
}

// A secret that changes where it is kept is a change when the configuration is pushed again.
func TestSecretContent(t *testing.T) {
	a, _ := fixture(t)
	path := filepath.Join(t.TempDir(), "secret")
	write := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	text := fmt.Sprintf(`{plugins: [{name: limit, config: {rate: 1, secret: {file: %s}}}, {name: key}],
		consumers: [{name: alice, credentials: {key: {key: {env: ASSEMBLY_TEST}}}}]}`, path)
	write("one\n")
	t.Setenv("ASSEMBLY_TEST", "open")
	f1, f2 := mustFilter(t, a, text), mustFilter(t, a, text)
	write("two\n")
	f3 := mustFilter(t, a, text)
	t.Setenv("ASSEMBLY_TEST", "sesame")
	f4 := mustFilter(t, a, text)
	for _, f := range []*Filter{f1, f2, f3, f4} {
		defer f.Close()
	}
	for _, c := range []struct {
		name               string
		filter             *Filter
		secret, word       string
		sameLimit, sameKey bool // as the first filter's
	}{
		{name: "the first filter", filter: f1, secret: "one", word: "open", sameLimit: true, sameKey: true},
		{name: "nothing has changed", filter: f2, secret: "one", word: "open", sameLimit: true, sameKey: true},
		{name: "the file has changed", filter: f3, secret: "two", word: "open", sameKey: true},
		{name: "the environment has changed", filter: f4, secret: "two", word: "sesame"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, k := pluginOf[limit](t, c.filter, nil, 1), pluginOf[key](t, c.filter, nil, 0)
			if same := l == pluginOf[limit](t, f1, nil, 1); same != c.sameLimit || l.Secret.Reveal() != c.secret {
				t.Errorf("limit: got secret %s, the first's %t; want %s, %t", l.Secret.Reveal(), same, c.secret, c.sameLimit)
			}
			if same := k == pluginOf[key](t, f1, nil, 0); same != c.sameKey || k.find(c.word) == nil {
				t.Errorf("key: got %v consumers, the first's %t; want one with the key %s, %t", k.count(), same, c.word, c.sameKey)
			}
		})
	}
	if err := os.Remove(path); err != nil {
		t.Fatalf("os.Remove: %v", err)
	}
	if _, err := a.Filter(ChainName, doc(t, text)); err == nil || err.Error() !=
		"plugins[0].config.secret: secret file "+path+": no such file or directory (limit)" {
		t.Errorf("with a missing secret file: got error %v, want one that names it", err)
	}
}

func TestConsumers(t *testing.T) {
	a, _ := fixture(t)
	f := mustFilter(t, a, `{plugins: [{name: key}, {name: limit, config: {rate: 1}}, {name: own, disabled: true}],
		consumers: [
			{name: alice, attributes: {team: x}, credentials: {key: {key: a}},
				plugins: [{id: limit, config: {rate: 100}}, {id: own, disabled: false}]},
			{name: bob, credentials: {key: {key: b}}, plugins: [{id: limit, disabled: true}]},
			{name: carol, credentials: {key: {key: c}}}]}`)
	defer f.Close()
	r := mustRoute(t, a, `{plugins: [{id: limit, config: {burst: 7}}],
		consumers: [{name: bob, attributes: {vip: true}, plugins: [{id: limit, disabled: false, config: {rate: 3}}]}]}`)
	defer r.Close()
	own := liveOf(t, f, nil)
	k := own.instances[0].plugin.Config.(*key)
	if k.count() != 3 || k.find("a").Name != "alice" || k.find("a").Attributes["team"] != "x" {
		t.Fatalf(`k.count() = %d, want 3; k.find("a").Name = %q, want %q; k.find("a").Attributes["team"] = %v, want %v`,
			k.count(), k.find("a").Name, "alice", k.find("a").Attributes["team"], "x")
	}
	if own.instances[0].plugin.Env.ID != "key" || own.consumers.count() != 2 {
		t.Fatalf("own.instances[0].plugin.Env.ID = %q, want %q; own.consumers.count() = %d, want 2",
			own.instances[0].plugin.Env.ID, "key", own.consumers.count())
	}
	if diff := cmp.Diff([]string{"key", "limit", "own"}, own.of("alice").ids()); diff != "" {
		t.Errorf("alice's plugins (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"key"}, own.of("bob").ids()); diff != "" {
		t.Errorf("bob's plugins (-want +got):\n%s", diff)
	}
	if own.of("alice").instances[0] != own.instances[0] {
		t.Error("a consumer has an authenticator of its own")
	}
	merged := liveOf(t, f, r)
	alice := merged.of("alice").instances[1].plugin.Config.(*limit)
	bob := merged.of("bob").instances[1].plugin.Config.(*limit)
	if alice.Rate != 100 || alice.Burst != 7 || bob.Rate != 3 || bob.Burst != 7 {
		t.Errorf("got %+v for alice and %+v for bob, want rates 100 and 3 with the route's burst 7", alice, bob)
	}
	mk := merged.instances[0].plugin.Config.(*key)
	if mk.find("b").Attributes["vip"] != true || mk.find("a") == nil {
		t.Error(mk.find("b"))
	}
	for _, c := range []struct{ doc, want string }{
		{`consumers: [{name: a, credentials: {key: {}}}]`, `plugins[0]: consumer a: credentials.key: key: is required (key)`},
		{
			`consumers: [{name: a, credentials: {key: {kee: hush-hush}}}]`,
			`plugins[0]: consumer a: credentials.key: kee: unknown field; did you mean "key"? (key)`,
		},
		{
			`consumers: [{name: a, credentials: {key: {key: x}}}, {name: b, credentials: {key: {key: x}}}]`,
			`plugins[0]: consumers a and b have the same credential for key (key)`,
		},
	} {
		t.Run(fmt.Sprintf("%.40q", c.doc), func(t *testing.T) {
			_, err := a.Filter(ChainName, doc(t, "plugins: [{name: key}]\n"+c.doc))
			if err == nil || err.Error() != c.want {
				t.Errorf("%s:\n got %v\nwant %s", c.doc, err, c.want)
			}
		})
	}
}

// A plugin that cannot be provisioned leaves none of the others behind.
func TestProvisionFails(t *testing.T) {
	a, h := fixture(t)
	p, c := provisioned.Load(), closed.Load()
	for how, want := range map[string]string{
		"provision": "plugins[2]: cannot reach [secret] (limit)",
		"panic":     "plugins[2]: its Provision panics: no luck with [secret]; the log has the stack (limit)",
	} {
		t.Run(how, func(t *testing.T) {
			text := `plugins: [{name: limit, config: {rate: 1}}, {name: limit, id: b, config: {rate: 2, fail: close}},
			{name: limit, id: c, config: {rate: 3, secret: hush-hush, fail: ` + how + `}}]`
			if _, err := a.Filter(ChainName, doc(t, text)); err == nil || err.Error() != want {
				t.Errorf("%s: a.Filter(ChainName, doc(t, text)) succeeded, want an error; got %v, want err.Error() %q",
					how, err, want)
			}
		})
	}
	if p, c := provisioned.Load()-p, closed.Load()-c; p != 4 || c != 4 {
		t.Errorf("%d provisioned, %d closed", p, c)
	}
	mustFilter(t, a, `plugins: [{name: limit, config: {rate: 1, fail: closepanic, secret: hush-hush}}]`).Close()
	log := h.text()
	for _, want := range []string{"Provision panics", "plugins_test.go", "Close fails", "Close panics", "plugin=c"} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %q: %s", want, log)
			}
		})
	}
	if strings.Contains(log, "hush") {
		t.Error("a secret is in the log: " + log)
	}
}

func TestConcurrent(t *testing.T) {
	a, _ := fixture(t)
	p, c := provisioned.Load(), closed.Load()
	docs := make([]any, 3)
	for i := range docs {
		docs[i] = doc(t, fmt.Sprintf(`plugins: [{name: limit, config: {rate: %d}}]`, i+1))
	}
	route := doc(t, `plugins: [{id: limit, config: {burst: 9}}]`)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				f, err := a.Filter(ChainName, docs[(i+j)%len(docs)])
				if err != nil {
					t.Errorf("a.Filter: %v", err)
					return
				}
				r, err := a.Route(ChainName, route)
				if err != nil {
					t.Errorf("a.Route: %v", err)
					return
				}
				if _, err := f.Chain(r); err != nil {
					t.Errorf("f.Chain: %v", err)
				}
				if j%2 == 0 {
					f.Close()
				}
				r.Close()
				f.Close()
			}
		})
	}
	wg.Wait()
	if p, c := provisioned.Load()-p, closed.Load()-c; p != c {
		t.Errorf("%d provisioned, %d closed", p, c)
	}
}

// A thousand routes on two filters load in reasonable time, and those that come to the same share a chain.
func TestManyRoutes(t *testing.T) {
	a, _ := fixture(t)
	before := provisioned.Load()
	var filters []*Filter
	for i := range 2 {
		filters = append(filters, mustFilter(t, a,
			fmt.Sprintf(`plugins: [{name: limit, config: {rate: 1, burst: %d}}, {name: own}]`, i)))
	}
	start := time.Now()
	var routes []*Route
	for i := range 1000 {
		routes = append(routes, mustRoute(t, a, fmt.Sprintf(`plugins: [{id: limit, config: {rate: %d}}]`, i%10+1)))
	}
	took := time.Since(start)
	if n := provisioned.Load() - before; n != 20 {
		t.Errorf("%d instances", n)
	}
	for _, f := range filters {
		if got := len(f.chains.All()); got != 10 {
			t.Errorf("got %d chains, want 10", got)
		}
		shared := 0
		for _, r := range routes {
			if liveOf(t, f, r) == f.own {
				shared++
			}
		}
		if shared != 100 {
			t.Errorf("got %d routes that share the filter's own chain, want 100", shared)
		}
	}
	t.Logf("1000 routes took %v", took)
	if took > 20*time.Second {
		t.Error("too slow")
	}
	for _, r := range routes {
		r.Close()
	}
	for _, f := range filters {
		if len(f.chains.All()) != 1 {
			t.Errorf("%d chains after the routes", len(f.chains.All()))
		}
		f.Close()
	}
}

// A megabyte of consumers loads, and so do routes beside it.
func TestManyConsumers(t *testing.T) {
	a, _ := fixture(t)
	var b strings.Builder
	b.WriteString(`{"plugins": [{"name": "key"}, {"name": "own"}], "consumers": [{"name": "last"}`)
	n := 1
	for ; b.Len() < 1<<20; n++ {
		fmt.Fprintf(&b, `,{"name": "consumer%d", "attributes": {"n": %d}, "credentials": {"key": {"key": "key%d"}}}`, n, n, n)
	}
	b.WriteString("]}")
	start := time.Now()
	f := mustFilter(t, a, b.String())
	defer f.Close()
	for i := range 50 {
		defer mustRoute(t, a, fmt.Sprintf(`plugins: [{id: own, config: {first: [x%d]}}]`, i)).Close()
	}
	if got := pluginOf[key](t, f, nil, 0).count(); got != n-1 {
		t.Errorf("%d consumers, want %d", got, n-1)
	}
	t.Logf("%d consumers took %v", n, time.Since(start))
}

func TestLookupAllocatesNothing(t *testing.T) {
	a, _ := fixture(t)
	f := mustFilter(t, a, `plugins: [{name: own}]`)
	defer f.Close()
	r := mustRoute(t, a, `plugins: [{id: own, config: {first: [x]}}]`)
	defer r.Close()
	if n := testing.AllocsPerRun(100, func() {
		f.Chain(nil)
		f.Chain(r)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkChain(b *testing.B) {
	a := New(&host{name: b.Name()})
	f := mustFilter(b, a, `plugins: [{name: own}]`)
	defer f.Close()
	r := mustRoute(b, a, `plugins: [{id: own, config: {first: [x]}}]`)
	defer r.Close()
	for b.Loop() {
		if _, err := f.Chain(r); err != nil {
			b.Fatalf("f.Chain: %v", err)
		}
	}
}

var _ filter.Merger = (*own)(nil)
