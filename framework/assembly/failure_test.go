package assembly

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/assembly/consumers"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	files "mosn.io/moe/pkg/consumer"
)

// injection makes one step of building a chain fail. Every piece of somebody else's code that the assembly calls asks it,
// so that the steps are those that there are, not those that a test's author has thought of.
type injection struct {
	mu     sync.Mutex
	n      int    // steps so far
	failAt int    // the step that fails, from 1; 0: none
	panics bool   // it panics instead of returning an error
	failed string // the step that did
}

var inject injection

func (i *injection) step(name string) error {
	i.mu.Lock()
	i.n++
	fails, panics := i.n == i.failAt, i.panics
	if fails {
		i.failed = name
	}
	i.mu.Unlock()
	switch {
	case fails && panics:
		panic("injected at " + name)
	case fails:
		return errors.New("injected at " + name)
	}
	return nil
}

// reset begins to count again, and returns how many steps there were.
func (i *injection) reset(failAt int, panics bool) (n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	n = i.n
	i.n, i.failAt, i.panics, i.failed = 0, failAt, panics, ""
	return n
}

func (i *injection) where() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

// stepWord is a field that is decoded by code of the plugin's.
type stepWord string

func (w *stepWord) UnmarshalText(text []byte) error {
	*w = stepWord(text)
	return inject.step("decode")
}

// stepPlugin asks inject in all of its methods.
type stepPlugin struct {
	Word stepWord `json:"word"`
}

func (*stepPlugin) Validate() error { return inject.step("validate") }

func (*stepPlugin) Provision(env *filter.Env) error {
	if err := inject.step("provision"); err != nil {
		return err
	}
	env.Counter("steps")
	_, err := filter.IndexConsumers(env, func(c *credential) []string {
		if inject.step("index") != nil {
			return nil
		}
		return []string{c.Key.Reveal()}
	})
	if err != nil {
		return err
	}
	return inject.step("provisioned")
}

func (*stepPlugin) Merge(parent, child map[string]any) (map[string]any, error) {
	return child, inject.step("merge")
}

func (*stepPlugin) OnComplete(filter.Stream) {}

// stepSource is a source of consumers that changes when the test says so.
type stepSource struct {
	mu      sync.Mutex
	list    []consumers.Spec
	changed bool
}

var steps stepSource

func (s *stepSource) put(list []consumers.Spec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list, s.changed = list, true
}

func (s *stepSource) Read() ([]consumers.Spec, error) {
	err := inject.step("read the source")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = false
	return s.list, err
}

func (s *stepSource) Follow(ctx context.Context, poll time.Duration, take func([]consumers.Spec, error)) {
	for tick := time.Tick(poll); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-tick:
			s.mu.Lock()
			list, changed := s.list, s.changed
			s.changed = false
			s.mu.Unlock()
			if changed {
				take(list, nil)
			}
		}
	}
}

func init() {
	filter.Register[stepPlugin]("steps", filter.Traffic)
	internals.Register(&filter.Registration{
		Registration: extension.Registration{
			Name: "stepkey", Config: reflect.TypeFor[stepPlugin](), New: func() any { return &stepPlugin{} },
		},
		Stage: filter.Authn, Scheme: true, Handler: reflect.TypeFor[*stepPlugin](),
		PerStream: func(config any, _ filter.Stream) any { return config },
		Prepare: func(config any) any {
			if err := inject.step("prepare"); err != nil {
				panic(err)
			}
			return config
		},
	}, nil)
	consumers.Register(func(path string) consumers.Source {
		if path == "steps" {
			return &steps
		}
		return files.Open(path)
	})
}

// specOf is a consumer of a source with a plugin of its own.
func specOf(name, word string) consumers.Spec {
	return consumers.Spec{Path: "steps: " + name, Consumer: document.Consumer{
		Name: name, Credentials: map[string]map[string]any{"stepkey": {"key": name}},
		Plugins: []document.Plugin{{ID: "steps", Config: map[string]any{"word": word}}},
	}}
}

const stepFilter = `{
	plugins: [{name: stepkey, config: {word: W-k}}, {name: steps, config: {word: W-a}}, {name: steps, id: off, disabled: true, config: {word: W-o}}],
	consumers: [
		{name: alice, credentials: {stepkey: {key: alice}}, plugins: [{id: steps, config: {word: W-alice}}]},
		{name: bob, credentials: {stepkey: {key: bob}}, plugins: [{id: off, disabled: false}]}],
	consumerSource: {path: steps, poll: 10ms}}`

const stepRoute = `{
	plugins: [{id: steps, config: {word: W-r}}, {name: steps, id: more, config: {word: W-m}}],
	consumers: [{name: bob, plugins: [{id: off, config: {word: W-b}}]}, {name: eve, credentials: {stepkey: {key: eve}}}]}`

// nothingLeft waits until the assembly holds nothing and as many goroutines run as before.
func nothingLeft(t *testing.T, what string, a *Assembler, goroutines int) {
	t.Helper()
	left := func() string {
		a.mu.Lock()
		filters, routes := len(a.filters[ChainName]), len(a.routes[ChainName])
		a.mu.Unlock()
		now := fmt.Sprintf("%d instances, %d consumer sets, %d consumer chains, %d filters, %d routes", alive(),
			len(consumerSets.All()), process.consumerChains.Load(), filters, routes)
		if n := runtime.NumGoroutine(); n > goroutines {
			now += fmt.Sprintf(", %d goroutines more", n-goroutines)
		}
		return now
	}
	const nothing = "0 instances, 0 consumer sets, 0 consumer chains, 0 filters, 0 routes"
	for end := time.Now().Add(10 * time.Second); left() != nothing; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: left behind: %s", what, left())
		}
	}
}

// TestEveryFailureIsUndone builds a filter's chain and a route's, again and again, and has one step after the other fail:
// by an error, then by a panic. Each must be reported, and leave nothing.
func TestEveryFailureIsUndone(t *testing.T) {
	a, _ := fixture(t)
	steps.put([]consumers.Spec{specOf("carl", "W-c"), specOf("dora", "W-d")})
	filterDoc, routeDoc := doc(t, stepFilter), doc(t, stepRoute)
	build := func() error {
		f, err := a.Filter(ChainName, filterDoc)
		if err != nil {
			return err
		}
		defer f.Close()
		r, err := a.Route(ChainName, routeDoc)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = f.Chain(r) // a route whose own plugin fails may be another filter's
		return err
	}
	inject.reset(0, false)
	if err := build(); err != nil {
		t.Fatalf("without a failure: got error %v", err)
	}
	n := inject.reset(0, false)
	nothingLeft(t, "without a failure", a, runtime.NumGoroutine())
	seen := map[string]int{}
	for i := 1; i <= n; i++ {
		for how, panics := range map[string]bool{"an error": false, "a panic": true} {
			t.Run(fmt.Sprintf("step %d, %s", i, how), func(t *testing.T) {
				goroutines := runtime.NumGoroutine()
				inject.reset(i, panics)
				err := build()
				where := inject.where()
				seen[where]++
				want := "injected at " + where
				switch {
				case panics || where == "prepare": // a panic's value may be a secret's, so not all are quoted
					want = "panic"
				case where == "index":
					want = "empty credential"
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got error %v, want one with %q", where, err, want)
				}
				nothingLeft(t, where, a, goroutines)
			})
		}
	}
	inject.reset(0, false)
	for _, where := range []string{"decode", "validate", "provision", "index", "provisioned", "merge", "prepare", "read the source"} {
		t.Run(where, func(t *testing.T) {
			if seen[where] == 0 {
				t.Errorf("no step was %q; the steps are %v", where, seen)
			}
		})
	}
	if err := build(); err != nil {
		t.Errorf("after all failures: got error %v", err)
	}
}

// TestEveryFailedReloadIsUndone has one step after the other of a change of consumers fail. The consumers from before and
// their chains stay, and no other.
func TestEveryFailedReloadIsUndone(t *testing.T) {
	a, h := fixture(t)
	before := []consumers.Spec{specOf("carl", "W-c")}
	after := []consumers.Spec{specOf("carl", "W-x"), specOf("dora", "W-d"), specOf("emil", "W-e")}
	steps.put(before)
	inject.reset(0, false)
	f := mustFilter(t, a, stepFilter)
	defer f.Close()
	// Its chain follows the same consumer set: what one has prepared goes when the other fails.
	r := mustRoute(t, a, `plugins: [{id: steps, config: {word: W-r}}]`)
	defer r.Close()
	var n int // the steps of the last reload
	reload := func(t *testing.T, list []consumers.Spec, failAt int, panics bool) (failed string, ok bool) {
		mark := len(h.text())
		inject.reset(failAt, panics)
		steps.put(list)
		eventually(t, "the reload", func() bool {
			log := h.text()[mark:]
			ok = strings.Contains(log, "loaded the consumers")
			return ok || strings.Contains(log, "those from before stay")
		})
		failed = inject.where()
		n = inject.reset(0, false)
		return failed, ok
	}
	live := alive()
	_, ok := reload(t, after, 0, false)
	total := n
	if _, back := reload(t, before, 0, false); !ok || !back {
		t.Fatal("without a failure: the consumers are not loaded")
	}
	eventually(t, "the chains of the second list are closed", func() bool { return alive() == live })
	if total < 10 {
		t.Errorf("got %d steps, want at least 10", total)
	}
	for step := 1; step <= total; step++ {
		for how, panics := range map[string]bool{"an error": false, "a panic": true} {
			t.Run(fmt.Sprintf("step %d, %s", step, how), func(t *testing.T) {
				failed, ok := reload(t, after, step, panics)
				if failed == "" || ok {
					t.Errorf("got a failure of %q and the consumers loaded %t, want a failure and not loaded", failed, ok)
					reload(t, before, 0, false)
				}
				eventually(t, failed+": nothing is left of the second list", func() bool { return alive() == live })
				if f.own.of("carl") == nil || f.own.of("carl").chain == nil {
					t.Errorf("%s: carl has lost the chain", failed)
				}
			})
		}
	}
	if _, ok := reload(t, after, 0, false); !ok {
		t.Error("after all failures: the consumers are not loaded")
	}
}

// TestMissingSecretsAreUndone takes away one secret after the other that a document refers to.
func TestMissingSecretsAreUndone(t *testing.T) {
	a, _ := fixture(t)
	const text = `{plugins: [{name: limit, config: {rate: 1, secret: {env: ASSEMBLY_A}}}, {name: key}],
		consumers: [{name: alice, credentials: {key: {key: {env: ASSEMBLY_B}}}, plugins: [{id: limit, config: {secret: {env: ASSEMBLY_C}}}]}]}`
	names := []string{"ASSEMBLY_A", "ASSEMBLY_B", "ASSEMBLY_C"}
	goroutines := runtime.NumGoroutine()
	for _, missing := range names {
		for _, name := range names {
			value := "secret of " + name
			if name == missing {
				value = ""
			}
			t.Setenv(name, value)
		}
		_, err := a.Filter(ChainName, doc(t, text))
		if err == nil || !strings.Contains(err.Error(), missing+" is empty") {
			t.Errorf("without %s: got error %v, want one that names it", missing, err)
		}
		nothingLeft(t, "without "+missing, a, goroutines)
	}
}
