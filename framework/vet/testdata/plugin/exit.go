package plugin

import (
	"log"
	"os"
	run "runtime"
	"testing"

	"mosn.io/moe/framework/filter"
)

type failing struct{ t *testing.T }

// Error ends the goroutine that asks for its text.
func (failing) Error() string {
	run.Goexit()
	return ""
}

func (f *failing) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	f.t.FailNow()
	f.t.Errorf("this one only fails the test")
	return filter.Go(nil)
}

func start2() {
	if len(os.Args) > 1 {
		os.Exit(1)
	}
	log.Fatalf("no %s", "arguments")
	//moe:exit the goroutine is this function's own
	run.Goexit()
}

// helper is given the test that it ends.
func helper(t testing.TB) {
	func() { t.Fatal("no") }()
}
