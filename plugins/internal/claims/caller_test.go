package claims

import (
	"encoding/hex"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// The caller is the same for each token of a subject, and another for what upstreams may answer differently.
func TestCaller(t *testing.T) {
	caller := func(o *Output, issuer, claims string) string {
		t.Helper()
		ms, err := Object(nil, []byte(claims))
		if err != nil {
			t.Fatalf("Object(%s): %v", claims, err)
		}
		d, err := o.Describe(issuer, ms)
		if err != nil {
			t.Fatalf("Describe(%s): %v", claims, err)
		}
		return d.caller
	}
	tenant := []ToHeader{{Claim: "tenant", Header: "x-tenant"}}
	o := &Output{ClaimsToHeaders: tenant, namespace: "moe.a"}
	one := caller(o, "i", `{"sub": "a", "exp": 1}`)
	for _, c := range []struct {
		name, issuer, claims string
		same                 bool
	}{
		{name: "another token", issuer: "i", claims: `{"sub": "a", "exp": 2}`, same: true},
		{name: "another subject", issuer: "i", claims: `{"sub": "b", "exp": 1}`},
		{name: "another issuer", issuer: "j", claims: `{"sub": "a", "exp": 1}`},
		{name: "another tenant", issuer: "i", claims: `{"sub": "a", "exp": 1, "tenant": "t"}`},
		{name: "no subject", issuer: "i", claims: `{"exp": 1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := caller(o, c.issuer, c.claims); (got == one) != c.same {
				t.Errorf("%s of %s: the same caller: %v, want %v", c.claims, c.issuer, got == one, c.same)
			}
		})
	}
	if caller(o, "i", `{"exp": 1}`) == caller(o, "i", `{"exp": 2}`) {
		t.Error("two tokens without a subject have one caller, want two")
	}
	if caller(&Output{ClaimsToHeaders: tenant, namespace: "moe.b"}, "i", `{"sub": "a", "exp": 1}`) == one {
		t.Error("subjects of two plugins' servers have one caller, want two")
	}
	sees := &Output{namespace: "moe.a", forwards: true}
	if caller(sees, "i", `{"sub": "a", "scope": "x"}`) == caller(sees, "i", `{"sub": "a", "scope": "y"}`) {
		t.Error("two tokens that the upstream sees have one caller, want two")
	}
}

// voucher adds what the header x-voucher lists to the caller.
type voucher struct{}

func init() { filter.Register[voucher]("claims-voucher", filter.Authn) }

func (*voucher) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	o := &Output{}
	for v := range strings.SplitSeq(h.Get("x-voucher"), " ") {
		o.Tell(s, h, &Described{caller: v})
	}
	caller, _ := Caller.Get(s)
	h.Set("x-caller", hex.EncodeToString([]byte(caller)))
	return filter.Continue
}

// TestCallerOfSeveral: where several plugins recognise a request, its caller is the same only if it is to each of them.
func TestCallerOfSeveral(t *testing.T) {
	h := &filtertest.Host{}
	if err := h.Load(t, filtertest.Config{Name: "claims-voucher"}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	caller := func(vouchers string) string { return h.Get("/", "x-voucher", vouchers).Upstream.Header.Get("x-caller") }
	one := caller("alice team")
	for _, c := range []struct {
		name, vouchers string
		same           bool
	}{
		{name: "both again", vouchers: "alice team", same: true},
		{name: "another by the first", vouchers: "bob team"},
		{name: "another by the second", vouchers: "alice crew"},
		{name: "the second alone", vouchers: "team"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := caller(c.vouchers); (got == one) != c.same {
				t.Errorf("%q: the same caller as %q: %v, want %v", c.vouchers, "alice team", got == one, c.same)
			}
		})
	}
}
