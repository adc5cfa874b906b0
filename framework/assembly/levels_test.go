package assembly

import (
	"strings"
	"testing"
)

// What Envoy has for a stream on several levels goes over the filter's in that order.
func TestMergeLevels(t *testing.T) {
	a, _ := fixture(t)
	f := mustFilter(t, a, `plugins: [{name: own}, {name: limit, config: {rate: 1, words: [f]}}]`)
	host := mustRoute(t, a, `plugins: [{name: limit, config: {burst: 7, words: [h]}}, {name: own, disabled: true}]`)
	route := mustRoute(t, a, `plugins: [{name: limit, config: {rate: 3, words: [r]}}, {name: key}]`)
	cluster := mustRoute(t, a, `plugins: [{id: key, disabled: true}]`)

	both, err := a.Merge(host, route)
	if err != nil {
		t.Fatalf("a.Merge: %v", err)
	}
	if got := ids(t, f, both); got != "key limit" {
		t.Errorf("two levels: %s", got)
	}
	l := pluginOf[limit](t, f, both, 1)
	if l.Rate != 3 || l.Burst != 7 || strings.Join(l.Words, "") != "fhr" {
		t.Errorf("two levels: %+v", l)
	}
	all, err := a.Merge(both, cluster)
	if err != nil {
		t.Fatalf("a.Merge: %v", err)
	}
	host.Close()
	route.Close()
	both.Close()
	cluster.Close()
	if got := ids(t, f, all); got != "limit" {
		t.Errorf("three levels: %s", got)
	}
	if pluginOf[limit](t, f, all, 0).closed.Load() != 0 {
		t.Error("an instance that is in use was closed")
	}
	all.Close()
	f.Close()
}

func TestMergeLevelsRefuses(t *testing.T) {
	a, _ := fixture(t)
	f := mustFilter(t, a, `plugins: [{name: limit, config: {rate: 1}}]`)
	defer f.Close()
	host := mustRoute(t, a, `plugins: [{name: key, id: k}]`)
	defer host.Close()
	route := mustRoute(t, a, `plugins: [{name: own, id: k}]`)
	defer route.Close()
	if _, err := a.Merge(host, route); err == nil || !strings.Contains(err.Error(), "is plugin own here and plugin key in the filter") {
		t.Errorf("one id for two plugins: %v", err)
	}
	other, err := a.Route("own", map[string]any{})
	if err != nil {
		t.Fatalf("a.Route: %v", err)
	}
	defer other.Close()
	if _, err := a.Merge(host, other); err == nil || !strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("routes of two filters: %v", err)
	}
}
