package assembly

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// put replaces a file by a rename.
func put(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatalf("os.Rename: %v", err)
	}
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in 20 s", what)
		}
	}
}

const sourced = `{plugins: [{name: key}, {name: limit, config: {rate: 1}}], consumerSource: {path: %q, poll: 10ms},
	consumers: [{name: inline, credentials: {key: {key: i}}}]}`

func TestSourceIsFollowed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "consumers.yaml")
	put(t, file, `[{name: alice, groups: [staff], labels: {plan: gold}, credentials: {key: {key: a}}}]`)
	a, h := fixture(t)
	f := mustFilter(t, a, fmt.Sprintf(sourced, file))
	defer f.Close()
	k := pluginOf[key](t, f, nil, 0)
	if c := k.find("a"); c == nil || c.Name != "alice" || !c.InGroup("staff") || c.Labels["plan"] != "gold" {
		t.Fatalf("key a: got %+v, want alice with her group and label", c)
	}
	if k.find("i") == nil {
		t.Error("the document's own consumers are gone")
	}
	// Whom the text makes known, by their keys; "!" is a text that is refused, with a word of the log.
	for _, step := range []struct{ name, text, want string }{
		{name: "another consumer", text: `[{name: bob, credentials: {key: {key: b}}}]`, want: "bi"},
		{
			name: "a document with a list",
			text: `consumers: [{name: bob, credentials: {key: {key: c}}}, {name: d, credentials: {key: {key: d}}}]`,
			want: "cdi",
		},
		{name: "a bracket missing", text: `[{name: bob`, want: "!line 1"},
		{
			name: "one key for two", text: `[{name: x, credentials: {key: {key: x}}}, {name: y, credentials: {key: {key: x}}}]`,
			want: "!consumers x and y have the same",
		},
		{
			name: "a name of the document's", text: `[{name: inline, credentials: {key: {key: z}}}]`,
			want: "!duplicate consumer name",
		},
		{
			name: "a key of the document's", text: `[{name: z, credentials: {key: {key: i}}}]`,
			want: "!consumers inline and z have the same credential",
		},
		{name: "a misspelt plugin", text: `[{name: z, credentials: {kye: {key: z}}}]`, want: "!did you mean"},
		{name: "a credential for a late plugin", text: `[{name: z, credentials: {limit: {key: z}}}]`, want: "!too late"},
		{
			name: "a misspelt field", text: `[{name: z, credentials: {key: {kee: hush-hush}}}]`,
			want: "!credentials.key: kee: unknown field",
		},
		{name: "no name", text: `[{credentials: {key: {key: z}}}]`, want: "!name: is required"},
		{
			name: "an early plugin", text: `[{name: z, plugins: [{name: key}]}]`,
			want: "!before it is known who the consumer is",
		},
		{
			name: "an invalid plugin", text: `[{name: z, plugins: [{id: limit, config: {rate: 0}}]}]`,
			want: "!rate: is required",
		},
		{
			name: "a plugin that fails", text: `[{name: z, plugins: [{id: limit, config: {fail: provision, secret: hush-hush}}]}]`,
			want: "!cannot reach",
		},
		{name: "not a list", text: `hush-hush`, want: "!expected a list of consumers"},
		{name: "one consumer in JSON", text: `{"name": "e", "credentials": {"key": {"key": "e"}}}`, want: "ei"},
		{name: "an empty file, which is nobody", text: ``, want: "i"},
		{name: "somebody again", text: `[{name: last, credentials: {key: {key: l}}}]`, want: "il"},
	} {
		t.Run(step.name, func(t *testing.T) {
			mark := len(h.text())
			before := keysKnown(k)
			put(t, file, step.text)
			word, refused := strings.CutPrefix(step.want, "!")
			if !refused {
				eventually(t, step.text, func() bool { return keysKnown(k) == step.want })
				return
			}
			eventually(t, step.text, func() bool { return strings.Contains(h.text()[mark:], "those from before stay") })
			if log := h.text()[mark:]; !strings.Contains(log, word) || strings.Contains(log, "hush-hush") {
				t.Errorf("the log: got %s, want %q without the secret", log, word)
			}
			if now := keysKnown(k); now != before {
				t.Errorf("the keys: got %s, want %s as before", now, before)
			}
		})
	}
	mark := len(h.text())
	remove(t, file)
	eventually(t, "the file is gone", func() bool { return strings.Contains(h.text()[mark:], "those from before stay") })
	if now := keysKnown(k); now != "il" {
		t.Errorf("without the file %s are known", now)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatalf("os.Remove: %v", err)
	}
}

// keysKnown returns the keys, of one letter, that are somebody's.
func keysKnown(k *key) (s string) {
	for c := 'a'; c <= 'z'; c++ {
		if k.find(string(c)) != nil {
			s += string(c)
		}
	}
	return s
}

// A mounted Secret: files are links into ..data, a link that is turned.
func TestMountedSecret(t *testing.T) {
	dir := t.TempDir()
	version := 0
	mount := func(files map[string]string) {
		version++
		data := fmt.Sprintf("..v%d", version)
		if err := os.Mkdir(filepath.Join(dir, data), 0o755); err != nil {
			t.Fatalf("os.Mkdir: %v", err)
		}
		for name, text := range files {
			put(t, filepath.Join(dir, data, name), text)
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
				t.Fatalf("Symlink: %v", err)
			}
		}
		link := filepath.Join(dir, "..data")
		if err := os.Symlink(data, link+".new"); err != nil {
			t.Fatalf("os.Symlink: %v", err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatalf("os.Rename: %v", err)
		}
		if version > 1 {
			os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..v%d", version-1)))
		}
	}
	mount(map[string]string{"a.yaml": `{name: a, credentials: {key: {key: a}}}`, "notes.txt": "not a consumer"})
	a, _ := fixture(t)
	f := mustFilter(t, a, fmt.Sprintf(sourced, dir))
	defer f.Close()
	k := pluginOf[key](t, f, nil, 0)
	if now := keysKnown(k); now != "ai" {
		t.Fatalf("keysKnown(k) = %q, want %q", now, "ai")
	}
	mount(map[string]string{
		"a.yaml": `{name: a, credentials: {key: {key: x}}}`,
		"b.json": `[{"name": "b", "credentials": {"key": {"key": "b"}}}]`,
	})
	eventually(t, "the second version", func() bool { return keysKnown(k) == "bix" })
	remove(t, filepath.Join(dir, "a.yaml"))
	remove(t, filepath.Join(dir, "b.json"))
	eventually(t, "an empty directory", func() bool { return keysKnown(k) == "i" })
}

func TestSourceMustBeGood(t *testing.T) {
	a, _ := fixture(t)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "bad.json"), `[{"name": "a"`)
	for path, want := range map[string]string{
		filepath.Join(dir, "none"):     "consumerSource.path: ",
		filepath.Join(dir, "bad.json"): "consumerSource: ",
		"":                             "consumerSource.path",
	} {
		t.Run(want, func(t *testing.T) {
			_, err := a.Filter(ChainName, doc(t, fmt.Sprintf(sourced, path)))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: a.Filter(…): got error %v, want one with %q", path, err, want)
			}
		})
	}
	_, err := a.Filter(ChainName, doc(t, `{plugins: [{name: key}], consumerSource: {path: /x, poll: 1ms}}`))
	if err == nil || !strings.Contains(err.Error(), "consumerSource.poll: expected 10ms at least") {
		t.Errorf("a.Filter(…): got error %v, want one with %q", err, "consumerSource.poll: expected 10ms at least")
	}
}

// request sends one through the filter's own chain and tells whether it went on.
func request(f *Filter, key string) bool {
	sink := &countingSink{}
	st := f.own.chain.Start(quietHost{}, sink)
	feed(st, key)
	st.Done()
	return sink.headers == 1
}

func feed(st *chain.Stream, key string) {
	b := &st.H[core.RequestHeaders]
	b.Fields = append(b.Fields, core.Field{Name: "x-key", Value: key})
	b.Present = true
	st.Headers(core.Request, true)
}

// Consumers of a source have plugins, which change with it, and go with the last stream that uses them.
func TestSourcedPlugins(t *testing.T) {
	file := filepath.Join(t.TempDir(), "consumers.json")
	put(t, file, `[{"name": "alice", "credentials": {"key": {"key": "a"}}, "plugins": [{"id": "limit", "config": {"rate": 9}}]},
		{"name": "bob", "credentials": {"key": {"key": "b"}}, "plugins": [{"id": "limit", "disabled": true}]},
		{"name": "carol", "credentials": {"key": {"key": "c"}}, "plugins": [{"id": "limit", "config": {"rate": 9}}]}]`)
	a, _ := fixture(t)
	f := mustFilter(t, a, fmt.Sprintf(sourced, file))
	defer f.Close()
	j := f.own.consumers
	if j.count() != 3 || len(j.all()) != 2 || f.own.of("alice") != f.own.of("carol") {
		t.Fatalf("%d consumers with plugins, %d chains", j.count(), len(j.all()))
	}
	alice := f.own.of("alice").instances[1].plugin.Config.(*limit)
	for _, key := range []string{"a", "b", "c", "i", "nobody's"} {
		t.Run(key, func(t *testing.T) {
			if !request(f, key) {
				t.Error(key, "does not pass")
			}
		})
	}
	if n := shared.Sum(alice.hits); n != 2 {
		t.Errorf("%d requests on the limit of alice and carol", n)
	}
	if n := shared.Sum(f.own.instances[1].plugin.Config.(*limit).hits); n != 2 {
		t.Errorf("%d requests on the common limit", n)
	}

	// A stream under way keeps its chain.
	st := f.own.chain.Start(quietHost{}, &countingSink{})
	feed(st, "a")
	grown := f.MetricsVersion(nil)
	put(t, file, `[{"name": "alice", "credentials": {"key": {"key": "a"}}, "plugins": [{"id": "limit", "config": {"rate": 10}}]}]`)
	eventually(t, "another rate", func() bool {
		return f.own.of("alice").instances[1].plugin.Config.(*limit).Rate == 10
	})
	if f.MetricsVersion(nil) == grown {
		t.Error("MetricsVersion is the same with a new chain")
	}
	if alice.closed.Load() != 0 {
		t.Error("closed while a stream uses it")
	}
	st.Done()
	eventually(t, "the old limit is closed", func() bool { return alice.closed.Load() == 1 })
	put(t, file, `[{"name": "alice", "credentials": {"key": {"key": "a"}}}]`)
	eventually(t, "no plugins", func() bool { return j.count() == 0 && len(j.all()) == 0 })
}

// More overlays than are kept ready: chains are made when they are asked for, in the place of others.
func TestConsumerChainsAreBounded(t *testing.T) {
	const n = maxReady + 50
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"name": "c%d", "credentials": {"key": {"key": "k%d"}}, `+
			`"plugins": [{"id": "limit", "config": {"rate": %d}}]}`+"\n", i, i, i+2)
	}
	file := filepath.Join(t.TempDir(), "consumers.json")
	put(t, file, b.String())
	a, _ := fixture(t)
	f := mustFilter(t, a, fmt.Sprintf(sourced, file))
	defer f.Close()
	if got := len(f.own.consumers.all()); got != maxReady {
		t.Fatalf("%d chains are ready", got)
	}
	for i := range n {
		sink := &postSink{posts: make(chan func(), 8)}
		st := f.own.chain.Start(quietHost{}, sink)
		feed(st, fmt.Sprintf("k%d", i))
		for sink.headers == 0 {
			select {
			case f := <-sink.posts:
				f()
			case <-time.After(20 * time.Second):
				t.Fatalf("consumer %d waits for ever", i)
			}
		}
		st.Done()
	}
	if got := len(f.own.consumers.all()); got != maxReady {
		t.Errorf("%d chains are kept", got)
	}
	if alive() > maxReady+10 {
		eventually(t, "what was evicted is closed", func() bool { return alive() <= maxReady+10 })
	}
}

type postSink struct {
	countingSink
	posts chan func()
}

func (s *postSink) Post(f func()) { s.posts <- f }

// consumersText writes n consumers, some with plugins.
func consumersText(n int) string {
	var b strings.Builder
	b.WriteString("[\n")
	for i := range n {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `{"name": "consumer-%d", "labels": {"plan": "p%d"}, "groups": ["g%d", "all"], "credentials": `+
			`{"key": {"key": "6f1ed002ab5595859014ebf0951522d9-%d"}}`, i, i%3, i%100, i)
		if i%10 == 0 {
			fmt.Fprintf(&b, `, "plugins": [{"id": "limit", "config": {"rate": %d}}]`, i%100+1)
		}
		b.WriteString("}")
	}
	b.WriteString("\n]\n")
	return b.String()
}

// TestScale reports what 100,000 consumers cost. It fails only far beyond that, as machines differ and are shared.
func TestScale(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n /= 10
	}
	file := filepath.Join(t.TempDir(), "consumers.json")
	put(t, file, consumersText(n))
	a, _ := fixture(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	start := time.Now()
	f := mustFilter(t, a, strings.Replace(fmt.Sprintf(sourced, file), "10ms", "1h", 1))
	took := time.Since(start)
	defer f.Close()
	grown := int64(heap() - before)
	t.Logf("%d consumers, loaded in %v, hold %d MiB", n, took.Round(time.Millisecond), grown>>20)
	k := pluginOf[key](t, f, nil, 0)
	for _, i := range []int{0, 1, n / 2, n - 1} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if c := k.find(fmt.Sprintf("6f1ed002ab5595859014ebf0951522d9-%d", i)); c == nil || c.Name != fmt.Sprintf("consumer-%d", i) {
				t.Errorf("consumer %d: %+v", i, c)
			}
		})
	}
	if grown > 300<<20 {
		t.Errorf("they hold %d MiB", grown>>20)
	}
	if took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
}

// BenchmarkLoad is the time of 100,000 consumers.
func BenchmarkLoad(b *testing.B) {
	file := filepath.Join(b.TempDir(), "consumers.json")
	put(b, file, consumersText(100_000))
	a := New(&host{name: b.Name()})
	for b.Loop() {
		mustFilter(b, a, fmt.Sprintf(sourced, file)).Close()
	}
}

// BenchmarkConsumer is a request whose consumer has plugins of its own, beside one whose consumer has none.
func BenchmarkConsumer(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		file := filepath.Join(b.TempDir(), "consumers.json")
		put(b, file, consumersText(n))
		a := New(&host{name: b.Name()})
		f := mustFilter(b, a, fmt.Sprintf(sourced, file))
		for _, c := range []struct {
			name string
			i    int
		}{{"own plugins", 0}, {"none", 1}} {
			word := fmt.Sprintf("6f1ed002ab5595859014ebf0951522d9-%d", c.i)
			b.Run(fmt.Sprintf("%d/%s", n, c.name), func(b *testing.B) {
				sink := &countingSink{}
				b.ReportAllocs()
				for b.Loop() {
					st := f.own.chain.Start(quietHost{}, sink)
					feed(st, word)
					st.Done()
				}
			})
		}
		f.Close()
	}
}

// A consumer's merged chain costs no allocation once it is there.
func TestConsumersAllocateNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "consumers.json")
	put(t, file, consumersText(20))
	a, _ := fixture(t)
	f := mustFilter(t, a, fmt.Sprintf(sourced, file))
	defer f.Close()
	sink := &countingSink{}
	for name, i := range map[string]int{"a consumer with plugins": 0, "a consumer without plugins": 1} {
		t.Run(name, func(t *testing.T) {
			word := fmt.Sprintf("6f1ed002ab5595859014ebf0951522d9-%d", i)
			allocs := testing.AllocsPerRun(1000, func() {
				st := f.own.chain.Start(quietHost{}, sink)
				feed(st, word)
				st.Done()
			})
			if allocs >= 1 { // the pool of streams is emptied now and then, by the collector
				t.Errorf("got %v allocations for a request, want none", allocs)
			}
		})
	}
	var none *filter.Consumer
	if none.InGroup("") {
		t.Error("nobody is in a group")
	}
}
