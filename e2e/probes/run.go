package probes

import (
	"context"
	"strings"
	"sync"

	"mosn.io/moe/framework/filter"
)

// engine is the part that all probes have: their scripts and what Provision gave.
type engine struct {
	scripts map[string][]command
	env     *filter.Env

	counter   *filter.Tagged[*filter.Counter]
	gauge     *filter.Tagged[*filter.Gauge]
	histogram *filter.Tagged[*filter.Histogram]
}

// run is one execution of a script.
type run struct {
	e     *engine
	s     filter.Stream
	phase string
	block filter.Headers // of this phase, the zero value where there is none
	body  filter.Body
	end   bool
	ctx   context.Context // inside Go
	last  string          // what the last command found, ${last}
}

// call runs the script of a phase and returns its action.
func (e *engine) call(r run) filter.Action {
	r.e = e
	traceOf(r.s).add(e.name() + "." + r.phase)
	return r.exec(e.scripts[r.phase])
}

func (e *engine) name() string {
	if e.env == nil {
		return "?"
	}
	return e.env.ID
}

func (r *run) exec(cmds []command) filter.Action {
	for i, c := range cmds {
		if c[0] == "go" {
			Live.Goroutines.Add(1)
			return filter.Go(func(ctx context.Context) filter.Action {
				defer Live.Goroutines.Add(-1)
				r.ctx = ctx
				return r.exec(cmds[i+1:])
			})
		}
		args := make([]string, len(c)-1)
		for j := range args {
			args[j] = r.expand(c[j+1])
		}
		if a, stop := ops[c[0]].do(r, args); stop {
			return a
		}
	}
	return filter.Continue
}

// trace is what the probes of one stream have seen, in order.
type trace struct {
	mu        sync.Mutex
	steps     []string
	completed map[string]int
}

var traceKey = filter.NewKey[*trace]("probe-trace")

func traceOf(s filter.Stream) *trace {
	if t, ok := traceKey.Get(s); ok {
		return t
	}
	t := &trace{completed: map[string]int{}}
	traceKey.Set(s, t)
	return t
}

// add adds a step, unless it repeats the one before: how many chunks a body has depends on the network.
func (t *trace) add(step string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.steps); n == 0 || t.steps[n-1] != step {
		t.steps = append(t.steps, step)
	}
}

// done counts a completion and reports whether it is the first of that plugin.
func (t *trace) done(plugin string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.completed[plugin]++
	return t.completed[plugin] == 1
}

func (t *trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.steps, " ")
}
