package phase

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/internal/core"
)

// TestTable holds the rows against what all that derives from them takes for granted.
func TestTable(t *testing.T) {
	for p := range Phase(Count) {
		row := Table[p]
		t.Run(row.Method, func(t *testing.T) {
			if row.Method == "" || row.Wants == 0 {
				t.Fatalf("row %d is %+v: the phase has no row", p, row)
			}
			if row.Direction == core.NoDirection {
				return
			}
			if got := core.Direction(int(p) / PerDirection); got != row.Direction {
				t.Errorf("the phase stands among those of direction %d, and its row says %d", got, row.Direction)
			}
			if row.Wants&^All(row.Direction) != 0 {
				t.Errorf("it wants %b, beyond its direction's %b", row.Wants, All(row.Direction))
			}
			if row.Wants&^row.Sends != 0 {
				t.Errorf("it wants %b, and Envoy must send only %b", row.Wants, row.Sends)
			}
			if body := Body(row.Direction); row.Sends&body != 0 && row.Sends&Trailers(row.Direction) == 0 {
				t.Errorf("Envoy must send %b: a body without the trailers that may end it", row.Sends)
			}
		})
	}
}

type handler struct{}

func (handler) OnRequest()         {}
func (handler) OnResponseHeaders() {}
func (handler) OnComplete()        {}
func (handler) OnSomethingElse()   {}

func TestSet(t *testing.T) {
	s := Of(reflect.TypeFor[handler]())
	if diff := cmp.Diff([]string{"OnRequest", "OnResponseHeaders", "OnComplete"}, s.Methods()); diff != "" {
		t.Errorf("Methods (-want +got):\n%s", diff)
	}
	if got, want := s.Wants(), RequestHeaders|ResponseHeaders|Complete; got != want {
		t.Errorf("Wants is %b, want %b", got, want)
	}
	if got, want := s.Sends(), RequestHeaders|RequestBody|RequestTrailers|ResponseHeaders; got != want {
		t.Errorf("Sends is %b, want %b", got, want)
	}
	if !s.Has(Whole(core.Request)) || s.Has(Whole(core.Response)) {
		t.Errorf("%q: Has(Whole) is %v of the request, %v of the response, want true and false", s.Methods(),
			s.Has(Whole(core.Request)), s.Has(Whole(core.Response)))
	}
}
