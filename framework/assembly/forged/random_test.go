package forged

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/internal/core"
)

// More of them: go test ./framework/assembly/forged -run Random -inputs 1000000.
var inputs = flag.Int("inputs", 5000, "how many requests TestRandomForgeries sends")

// scene is a chain of plugins that authenticate, on a route that may disable some.
type scene struct {
	order  []scheme
	text   string
	filter *assembly.Filter
	routes []*assembly.Route // by the entry that is disabled; the first disables none
}

// scenes makes n chains of one to all schemes, in orders and modes of chance.
func scenes(t *testing.T, n int, random *rand.Rand) (all []*scene) {
	t.Helper()
	for range n {
		order := allSchemes()
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		s := &scene{order: order[:1+random.IntN(len(order))], routes: []*assembly.Route{nil}}
		s.text = chainText(s.order, random.IntN(2) == 0, random.IntN(3) == 0)
		raw, err := config.Parse([]byte(s.text))
		if err != nil {
			t.Fatalf("Parse of %s: %v", s.text, err)
		}
		a := assembly.New(bareHost{})
		if s.filter, err = a.Filter(assembly.ChainName, raw); err != nil {
			t.Fatalf("Filter of %s: %v", s.text, err)
		}
		t.Cleanup(s.filter.Close)
		for _, disabled := range s.order {
			entry := map[string]any{"id": disabled.name, "disabled": true}
			r, err := a.Route(assembly.ChainName, map[string]any{"plugins": []any{entry}})
			if err != nil {
				t.Fatalf("Route without %s: %v", disabled.name, err)
			}
			t.Cleanup(r.Close)
			s.routes = append(s.routes, r)
		}
		all = append(all, s)
	}
	return all
}

// TestRandomForgeries sends requests with credentials of any plugins, good, spoilt and several at once, through chains of
// any plugins. The upstream never gets an identity that the client wrote.
func TestRandomForgeries(t *testing.T) {
	const seed = 12
	random := rand.New(rand.NewPCG(seed, 1))
	all := scenes(t, 200, random)
	schemes := allSchemes()
	fixed := map[string][]core.Field{}
	for _, s := range schemes {
		if s.name != "hmacauth" { // whose signatures are good once
			fixed[s.name] = s.credential()
		}
	}
	passed := 0
	for n := range *inputs {
		s := all[random.IntN(len(all))]
		without := random.IntN(len(s.routes))
		var credentials []core.Field
		var of []string
		for _, scheme := range schemes {
			if random.IntN(3) > 0 {
				continue
			}
			fields := fixed[scheme.name]
			if fields == nil {
				fields = scheme.credential()
			}
			name := scheme.name
			fields = slices.Clone(fields)
			if random.IntN(4) == 0 {
				spoil(fields, random)
				name += " (spoilt)"
			}
			credentials, of = append(credentials, fields...), append(of, name)
		}
		what := func() string {
			return fmt.Sprintf("request %d, seed %d: %s\nroute %d, with %s", n, seed, s.text, without, strings.Join(of, ", "))
		}
		if forge(t, s.filter, s.routes[without], credentials, what, s.order) {
			passed++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d requests, of which %d passed", *inputs, passed)
	if passed < *inputs/50 {
		t.Errorf("%d of %d requests passed, want at least one of 50", passed, *inputs)
	}
}

// spoil changes, cuts or repeats a byte of one field.
func spoil(fields []core.Field, random *rand.Rand) {
	f := &fields[random.IntN(len(fields))]
	at := random.IntN(len(f.Value))
	switch random.IntN(3) {
	case 0:
		f.Value = f.Value[:at] + string(rune('!'+random.IntN(94))) + f.Value[at+1:]
	case 1:
		f.Value = f.Value[:at]
	default:
		f.Value = f.Value[:at] + f.Value[at:at+1] + f.Value[at:]
	}
}
