package assembly

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/telemetry"
)

// A route's document has a say in what traces have of its streams, and chains that differ in nothing else are two.
func TestTraces(t *testing.T) {
	a, _ := fixture(t)
	f := mustFilter(t, a, `{plugins: [{name: own}], traces: stream}`)
	defer f.Close()
	r := mustRoute(t, a, `{traces: phases, traceSampling: 0.25}`)
	defer r.Close()
	same := mustRoute(t, a, `{traces: stream}`)
	defer same.Close()
	if liveOf(t, f, nil) == liveOf(t, f, r) {
		t.Error("the route has the filter's chain, want one with other traces")
	}
	if liveOf(t, f, nil) != liveOf(t, f, same) {
		t.Error("a route that says the same has a chain of its own, want the filter's")
	}
	quarter := 0.25
	for name, c := range map[string]struct {
		doc  document.Document
		want telemetry.Traces
	}{
		"nothing": {document.Document{}, telemetry.Traces{Sampling: 1}},
		"part of the phases": {
			document.Document{Route: document.Route{Traces: "phases", TraceSampling: &quarter}},
			telemetry.Traces{Detail: telemetry.Phases, Sampling: 0.25},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, traces(&c.doc)); diff != "" {
				t.Errorf("what is in traces (-want +got):\n%s", diff)
			}
		})
	}
}

// What traces cannot be is an error with its place.
func TestWrongTraces(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"more than all":     {`{plugins: [{name: own}], traceSampling: 1.5}`, "traceSampling: expected a number from 0 to 1"},
		"less than none":    {`{plugins: [{name: own}], traceSampling: -0.1}`, "traceSampling: expected a number from 0 to 1"},
		"an unknown detail": {`{plugins: [{name: own}], traces: all}`, "traces: "},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := fixture(t)
			f, err := a.Filter(ChainName, doc(t, c.doc))
			if err == nil {
				f.Close()
				t.Fatalf("%s is accepted, want an error", c.doc)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %q, want %q in it", err, c.want)
			}
		})
	}
}
