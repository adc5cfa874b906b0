package claims

import "testing"

// The caller is the same for each token of a subject, and another for what upstreams may answer differently.
func TestCaller(t *testing.T) {
	caller := func(issuer, claims string) string {
		t.Helper()
		ms, err := Object(nil, []byte(claims))
		if err != nil {
			t.Fatalf("Object(%s): %v", claims, err)
		}
		o := &Output{ClaimsToHeaders: []ToHeader{{Claim: "tenant", Header: "x-tenant"}}}
		d, err := o.Describe(issuer, ms)
		if err != nil {
			t.Fatalf("Describe(%s): %v", claims, err)
		}
		return d.caller
	}
	one := caller("i", `{"sub": "a", "exp": 1}`)
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
			if got := caller(c.issuer, c.claims); (got == one) != c.same {
				t.Errorf("%s of %s: the same caller: %v, want %v", c.claims, c.issuer, got == one, c.same)
			}
		})
	}
	if caller("i", `{"exp": 1}`) == caller("i", `{"exp": 2}`) {
		t.Error("two tokens without a subject have one caller, want two")
	}
}
