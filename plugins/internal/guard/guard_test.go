package guard

import (
	"errors"
	"strings"
	"testing"
)

func TestDo(t *testing.T) {
	t.Run("error", func(t *testing.T) {
		want := errors.New("wrong")
		if got := Do(func() error { return want }); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("success", func(t *testing.T) {
		if err := Do(func() error { return nil }); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	})
	t.Run("panic", func(t *testing.T) {
		err := Do(func() error { panic("lost") })
		var p *Panic
		if !errors.As(err, &p) {
			t.Fatalf("got %T %v, want a *Panic", err, err)
		}
		if got, want := p.Error(), "panic: lost"; got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
		if !strings.Contains(p.Stack, "TestDo") {
			t.Errorf("the stack does not name the function that panicked:\n%s", p.Stack)
		}
	})
}
