package core_test

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/internal/core"
)

func setTo(name, value string) core.Constant {
	return core.Constant{Field: core.Field{Name: name, Value: value}}
}

func adding(name, value string) core.Constant {
	return core.Constant{Field: core.Field{Name: name, Value: value}, Add: true}
}

func TestConstantsAppend(t *testing.T) {
	for _, c := range []struct {
		name       string
		more, want []core.Constant
	}{
		{name: "nothing"},
		{
			name: "different names",
			more: []core.Constant{setTo("a", "1"), adding("b", "2"), setTo("c", "")},
			want: []core.Constant{setTo("a", "1"), adding("b", "2"), setTo("c", "")},
		},
		{
			name: "a second value replaces the first, in its place",
			more: []core.Constant{setTo("a", "1"), setTo("b", "2"), setTo("a", "3")},
			want: []core.Constant{setTo("a", "3"), setTo("b", "2")},
		},
		{
			name: "values that were added go",
			more: []core.Constant{adding("a", "1"), setTo("b", "2"), adding("a", "3"), setTo("a", "4"), adding("a", "5")},
			want: []core.Constant{setTo("a", "4"), setTo("b", "2"), adding("a", "5")},
		},
		{
			name: "a removal undoes",
			more: []core.Constant{setTo("a", "1"), adding("a", "2"), setTo("a", "")},
			want: []core.Constant{setTo("a", "")},
		},
		{
			name: "what is added to nothing is set",
			more: []core.Constant{setTo("a", ""), adding("a", "1"), adding("a", "2")},
			want: []core.Constant{setTo("a", "1"), adding("a", "2")},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got core.Constants
			got.Append(c.more...)
			if diff := cmp.Diff(c.want, got.Changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConstantsNative(t *testing.T) {
	made, freed := 0, make(chan unsafe.Pointer, 1)
	value := new(int)
	func() {
		c := &core.Constants{}
		for range 2 {
			got := c.Native(func() unsafe.Pointer { made++; return unsafe.Pointer(value) }, func(p unsafe.Pointer) { freed <- p })
			if got != unsafe.Pointer(value) {
				t.Errorf("Native = %p, want %p", got, value)
			}
		}
	}()
	if made != 1 {
		t.Errorf("made %d times, want once", made)
	}
	for range 100 {
		runtime.GC()
		select {
		case p := <-freed:
			if p != unsafe.Pointer(value) {
				t.Errorf("freed %p, want %p", p, value)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Error("what Native made is not freed, though nobody has the constants any more")
}
