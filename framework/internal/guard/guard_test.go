package guard

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

type pointerError struct{ s string }

func (e *pointerError) Error() string { return e.s }

type panics struct{}

func (panics) String() string { panic("no text") }

type exits struct{}

func (exits) Error() string { runtime.Goexit(); return "" }

type hangs struct{ until chan struct{} }

func (h hangs) Error() string { <-h.until; return "" }

func TestText(t *testing.T) {
	until := make(chan struct{})
	defer close(until)
	for _, c := range []struct {
		name  string
		v     any
		want  string // of the text
		fault string // of the fault's value; "" is none
	}{
		{name: "nil", v: nil, want: "<nil>"},
		{name: "string", v: "text", want: "text"},
		{name: "int", v: 7, want: "7"},
		{name: "struct", v: struct{ A int }{1}, want: "{1}"},
		{name: "error", v: errors.New("wrong"), want: "wrong"},
		{name: "error by pointer", v: &pointerError{"wrong"}, want: "wrong"},
		{name: "typed nil", v: (*pointerError)(nil), want: "its method panics", fault: "nil pointer dereference"},
		{name: "a String that panics", v: panics{}, want: "its method panics", fault: "no text"},
		{name: "an Error that calls Goexit", v: exits{}, want: "its method panics", fault: "Goexit"},
		{name: "an Error that does not return", v: hangs{until}, want: "does not return", fault: "no return within 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, fault := Text(c.v)
			if !strings.Contains(got, c.want) {
				t.Errorf("the text is %q, want %q in it", got, c.want)
			}
			if c.fault == "" && fault != nil {
				t.Errorf("the fault is %v, want none", fault.Value)
			}
			if c.fault != "" {
				if fault == nil {
					t.Fatalf("there is no fault, want %q", c.fault)
				}
				if value, _ := Text(fault.Value); !strings.Contains(value, c.fault) {
					t.Errorf("the fault is %q, want %q in it", value, c.fault)
				}
			}
		})
	}
}

func TestRecovered(t *testing.T) {
	end := func(f func()) (fault *Fault) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			returned := false
			defer func() { fault = Recovered(recover(), returned) }()
			f()
			returned = true
		}()
		<-done
		return fault
	}
	first := &Fault{Value: "first"}
	for _, c := range []struct {
		name string
		f    func()
		want any // the fault's value
	}{
		{name: "returns", f: func() {}},
		{name: "panics", f: func() { panic("p") }, want: "p"},
		{name: "panics with a fault", f: func() { panic(first) }, want: "first"},
		{name: "calls Goexit", f: runtime.Goexit, want: ErrGoexit},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got any
			if fault := end(c.f); fault != nil {
				got = fault.Value
			}
			if got != c.want {
				t.Errorf("the fault's value is %v, want %v", got, c.want)
			}
		})
	}
}

func TestFinally(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func() string
		want string
	}{
		{name: "returns", f: func() string { return "value" }, want: "value"},
		{name: "panics", f: func() string { panic("p") }, want: "fault p"},
		{name: "calls Goexit", f: func() string { runtime.Goexit(); return "value" }, want: "exited"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make(chan string, 1)
			go Finally(func() string {
				return Call(c.f, func(fault *Fault) string { text, _ := Text(fault.Value); return "fault " + text })
			}, "exited", func(v string) { got <- v })
			if v := <-got; v != c.want {
				t.Errorf("got %q, want %q", v, c.want)
			}
		})
	}
}
