package golang_test

import (
	"errors"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/golang/internal/fakeenvoy"
)

// digits replies with a status of three digits, so that each may come from another level.
type digits struct {
	Hundreds int `json:"hundreds"`
	Tens     int `json:"tens"`
	Ones     int `json:"ones"`
}

func init() { filter.Register[digits]("fakedigits", filter.Transform) }

func (d *digits) Validate() error {
	if d.Hundreds == 4 && d.Ones == 9 {
		return errors.New("no 4 with a 9")
	}
	return nil
}

func (d *digits) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Reply(100*d.Hundreds+10*d.Tens+d.Ones, "")
}

// Envoy merges the filter's configuration with the virtual host's, the result with the route's, and so on. A level that
// does not fit has its streams refused, and no others.
func TestLevels(t *testing.T) {
	const name = "fakedigits"
	all := []uint64{configure(t, name, `{hundreds: 5}`), configure(t, name, `{hundreds: 4}`)}
	status := func() int { return fakeenvoy.Stream(all[len(all)-1], 30*time.Second).Reply }
	if got := status(); got != 400 {
		t.Errorf("the filter's alone: %d", got)
	}
	for _, level := range []struct {
		name, doc string
		want      int
	}{
		{"virtual host", `{tens: 1}`, 410},
		{"route", `{ones: 2}`, 412},
		{"weighted cluster", `{tens: 2}`, 422},
		{"one that fits another filter", `{ones: 9}`, 500},
		{"one over it", `{ones: 1}`, 500},
	} {
		t.Run(level.name, func(t *testing.T) {
			child, err := fakeenvoy.ConfigureRoute(name, wire(t, level.doc))
			if err != nil {
				t.Fatalf("%s: fakeenvoy.ConfigureRoute: %v", level.name, err)
			}
			merged := fakeenvoy.Merge(name, all[len(all)-1], child)
			all = append(all, child, merged)
			if got := status(); got != level.want {
				t.Errorf("with %s: %d, want %d", level.name, got, level.want)
			}
		})
	}
	for _, id := range all { // the filter's first, while streams may still have those that were made of it
		fakeenvoy.Forget(id)
	}
	released(t)
}
