package probes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

func TestMethodsAreAll(t *testing.T) {
	var want []string
	for i := range reflect.TypeFor[filter.Stream]().NumMethod() {
		want = append(want, reflect.TypeFor[filter.Stream]().Method(i).Name)
	}
	slices.Sort(want)
	if got := Methods(); !slices.Equal(got, want) {
		t.Errorf("the table calls the methods\n%q, filter.Stream has\n%q", got, want)
	}
}

// Every method is called after every other one, from other goroutines, in every phase and between phases, in memory: the
// race detector sees what it cannot see inside of Envoy, where the conformance suite does the same.
func TestEveryMethodInEveryPhase(t *testing.T) {
	for _, where := range []string{"here", "away"} {
		for _, before := range []string{"", "go; "} {
			for _, first := range Methods() {
				t.Run(fmt.Sprintf("%s%s %s", before, first, where), func(t *testing.T) {
					t.Parallel()
					everyMethodOnce(t, first, where, before)
				})
			}
		}
	}
}

func everyMethodOnce(t *testing.T, first, where, before string) {
	every := fmt.Sprintf("every %s %s", first, where)
	in := before + every
	h := &filtertest.Host{AllowsBugs: true} // such as a consumer that is set too late
	if err := h.Load(t, probe(t, map[string]string{
		"request_headers": in, "request_body": in, "request_trailers": in, "response_headers": in, "response_body": in,
		"response_trailers": in, "complete": every,
	}), probe(t, map[string]string{
		"request_headers": "waitbody", "request": in, "response_headers": "waitbody", "response": in,
	})); err != nil {
		t.Fatalf("the probes should load: %v", err)
	}
	r := filtertest.NewRequest("POST", "/", "some body")
	r.Trailer = http.Header{"X-T": {"1"}}
	if got := h.Do(r); got.Status != 200 || got.Body != "some body" {
		t.Errorf("got status %d, body %q; want 200, %q", got.Status, got.Body, "some body")
	}
}

func probe(t *testing.T, on map[string]string) filtertest.Config {
	t.Helper()
	p, err := json.Marshal(map[string]any{"on": on})
	if err != nil {
		t.Fatalf("writing the scripts: %v", err)
	}
	return filtertest.Config{Name: "probe", JSON: string(p)}
}
