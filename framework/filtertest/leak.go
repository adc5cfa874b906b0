package filtertest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"
)

// Goroutines inherit the labels of the one that starts them, and the goroutine profile tells them. That finds those
// which a plugin has left behind, also where tests run in parallel.

const labelKey = "filtertest"

var hosts atomic.Int64

// watch labels the calling goroutine, and so all that start from it.
func (h *Host) watch() {
	if h.label == "" {
		h.label = fmt.Sprintf("host-%d", hosts.Add(1))
	}
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(labelKey, h.label)))
}

// leaks fails the test for goroutines of the framework that a plugin has left behind, after some patience.
func (h *Host) leaks() {
	pprof.SetGoroutineLabels(context.Background())
	left := ""
	for wait := time.Millisecond; wait < time.Second; wait *= 2 {
		if left = h.left(); left == "" {
			return
		}
		time.Sleep(wait)
	}
	h.bug("(some plugin)", "leaves goroutines behind:\n"+left)
}

// left returns the stacks of this host's goroutines that run a plugin's function.
func (h *Host) left() string {
	var b bytes.Buffer
	if pprof.Lookup("goroutine").WriteTo(&b, 1) != nil {
		return ""
	}
	var found []string
	for _, g := range strings.Split(b.String(), "\n\n") {
		if !strings.Contains(g, `"`+labelKey+`":"`+h.label+`"`) {
			continue
		}
		for _, f := range []string{"chain.(*call).run", "chain.(*pipe).run", "chain.(*source).read", "extension.(*Env).Go"} {
			if strings.Contains(g, f) {
				found = append(found, g)
				break
			}
		}
	}
	return strings.Join(found, "\n\n")
}
