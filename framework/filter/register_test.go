package filter

import (
	"strings"
	"testing"
	"testing/fstest"
)

type good struct{}

func (*good) OnComplete(Stream) {}

type fine struct{}

func (*fine) OnComplete(Stream) {}
func (*fine) Once()             {} // not a phase: no upper case after On
func (*fine) On()               {}

func init() {
	docs := fstest.MapFS{"README.md": {Data: []byte("# x")}}
	Register[fine]("fine-1_x", Observe, Docs(docs), Needs(CanCallout|CanSetMetadata), ChangesBody())
	Register[good]("taken", Observe)
}

func TestRegister(t *testing.T) {
	r := Lookup("fine-1_x")
	if r == nil {
		t.Fatal("the plugin is not found by its name")
	}
	if r.Docs == nil || !r.ChangesBody || r.Needs.String() != "CanCallout|CanSetMetadata" {
		t.Errorf("the options are not in the registration: %+v", r)
	}
	if got := LookupType(r.Config); got != r {
		t.Errorf("by its type, the plugin is %v, want %v", got, r)
	}
	if rs := Registrations(); len(rs) == 0 || rs[0].Name > rs[len(rs)-1].Name {
		t.Errorf("the registrations are not in the order of their names: %v", rs)
	}
}

type misspelt struct{}

func (*misspelt) OnRequestHeader(Stream, RequestHeaders, bool) Action { return Continue }

type signature struct{}

func (*signature) OnRequestHeaders(*Stream, RequestHeaders, bool) Action { return Continue }

type phaseless struct{}

// Plugins whose methods of the lifecycle have another signature than the framework calls.
type (
	provisions struct{ good }
	validates  struct{ good }
	merges     struct{ good }
	closes     struct{ good }
)

func (*provisions) Provision() error            { return nil }
func (*validates) Validate() bool               { return true }
func (*merges) Merge(_, _ map[string]any) error { return nil }
func (*closes) Close()                          {}

// Plugins with a streaming phase that the whole message makes unreachable.
type (
	requests  struct{}
	responses struct{}
)

func (*requests) OnRequest(Stream, RequestHeaders, Body) Action         { return Continue }
func (*requests) OnRequestBody(Stream, Body, bool) Action               { return Continue }
func (*responses) OnResponse(Stream, ResponseHeaders, Body) Action      { return Continue }
func (*responses) OnResponseBody(Stream, Body, bool) Action             { return Continue }
func (*responses) OnRequestHeaders(Stream, RequestHeaders, bool) Action { return Continue }

func TestRegisterPanics(t *testing.T) {
	Lookup("") // whoever looks has seen all
	for name, c := range map[string]struct {
		register func()
		want     string
	}{
		"a name that is taken": {
			func() { Register[fine]("taken", Observe) },
			`duplicate plugin name "taken": registered for mosn.io/moe/framework/filter.good and for mosn.io/moe/framework/filter.fine`,
		},
		"after init": {
			func() { Register[good]("x", Observe) },
			"filter: x: registered after plugins were looked up: register it in an init function of mosn.io/moe/framework/filter",
		},
		"upper case":       {func() { Register[good]("Fine", Observe) }, "Fine"},
		"no name":          {func() { Register[good]("", Observe) }, "needs a name"},
		"a dot":            {func() { Register[good]("a.b", Observe) }, "a.b"},
		"a misspelt phase": {func() { Register[misspelt]("x", Observe) }, "OnRequestHeader is not a phase"},
		"a phase's type":   {func() { Register[signature]("x", Observe) }, "OnRequestHeaders must be func(filter.Stream"},
		"no phase":         {func() { Register[phaseless]("x", Observe) }, "implements no phase"},
		"no phase per stream": {
			func() { RegisterPerStream("x", Observe, func(*good, Stream) *phaseless { return nil }) }, "implements no phase",
		},
		"Provision's type":     {func() { Register[provisions]("x", Observe) }, "Provision must be func(*extension.Env) error"},
		"Validate's type":      {func() { Register[validates]("x", Observe) }, "Validate must be func() error"},
		"Merge's type":         {func() { Register[merges]("x", Observe) }, "Merge must be func(map[string]interface {}"},
		"Close's type":         {func() { Register[closes]("x", Observe) }, "Close must be func() error"},
		"an unreachable body":  {func() { Register[requests]("x", Observe) }, "OnRequestBody is never called"},
		"a response's":         {func() { Register[responses]("x", Observe) }, "OnResponseBody is never called"},
		"credentials in Authz": {func() { Register[good]("x", Authz, Authenticates()) }, "stage authn"},
		"first and last":       {func() { Register[good]("x", Authn, Authenticates(), AuthenticatesLast()) }, "authenticate last"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v, _ := recover().(string); !strings.Contains(v, c.want) {
					t.Errorf("panics with %q, want %q", v, c.want)
				}
				if r := Lookup("x"); r != nil {
					t.Errorf("%v is registered all the same", r.Config)
				}
			}()
			c.register()
		})
	}
}

func TestRemoteAddr(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1:80", "[2001:db8::1]:80": "[2001:db8::1]:80", "[::ffff:192.0.2.1]:80": "192.0.2.1:80",
		"192.0.2.1": "192.0.2.1:0", "/run/x.sock": "invalid AddrPort", "": "invalid AddrPort",
	} {
		t.Run(text, func(t *testing.T) {
			if got := parseAddr(text).String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
