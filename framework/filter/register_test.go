package filter

import (
	"testing"
	"testing/fstest"
)

type good struct{}

func (*good) OnComplete(Stream) {}

type misspelt struct{}

func (*misspelt) OnRequestHeader(Stream, RequestHeaders, bool) Action { return Continue }

type signature struct{}

func (*signature) OnRequestHeaders(*Stream, RequestHeaders, bool) Action { return Continue }

type phaseless struct{}

type fine struct{}

func (*fine) OnComplete(Stream) {}
func (*fine) Once()             {} // not a phase: no upper case after On
func (*fine) On()               {}

func TestRegister(t *testing.T) {
	docs := fstest.MapFS{"README.md": {Data: []byte("# x")}}
	Register[fine]("fine-1_x", Observe, Docs(docs), Needs(CanCallout|CanSetMetadata), ChangesBody())
	r := Lookup("fine-1_x")
	if r == nil || r.Docs == nil || r.Needs.String() != "CanCallout|CanSetMetadata" || !r.ChangesBody ||
		LookupType(r.Config) != r {
		t.Errorf("%+v", r)
	}
	if rs := Registrations(); len(rs) == 0 || rs[0].Name > rs[len(rs)-1].Name {
		t.Error(rs)
	}
	for name, f := range map[string]func(){
		"twice":       func() { Register[good]("fine-1_x", Observe) },
		"upper case":  func() { Register[good]("Fine", Observe) },
		"no name":     func() { Register[good]("", Observe) },
		"a dot":       func() { Register[good]("a.b", Observe) },
		"misspelt":    func() { Register[misspelt]("misspelt", Observe) },
		"signature":   func() { Register[signature]("signature", Observe) },
		"phaseless":   func() { Register[phaseless]("phaseless", Observe) },
		"from stream": func() { RegisterPerStream("s", Observe, func(*good, Stream) *phaseless { return nil }) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil {
					t.Errorf("%s: registered", name)
				}
			}()
			f()
		}()
	}
}

func TestRemoteAddr(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1:80", "[2001:db8::1]:80": "[2001:db8::1]:80", "[::ffff:192.0.2.1]:80": "192.0.2.1:80",
		"192.0.2.1": "192.0.2.1:0", "/run/x.sock": "invalid AddrPort", "": "invalid AddrPort",
	} {
		if got := parseAddr(text).String(); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
