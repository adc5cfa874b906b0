package plugintest

import (
	"fmt"
	"testing"
)

// Shared is the test of a host that all inputs of a fuzz test share: making one takes longer than most inputs do. What
// would fail the test panics, which package testing takes for the failure of the input at hand.
func Shared(f *testing.F) testing.TB { return shared{f} }

type shared struct{ testing.TB }

func (shared) Helper() {}

func (shared) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (shared) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (shared) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
