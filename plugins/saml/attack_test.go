package saml

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/claims"
)

// attack is a sign-in that must not succeed, or not as eve.
type attack struct {
	name   string
	claim  func(*saml.Assertion)       // before it is signed
	doc    func(*saml.IdpAuthnRequest) // what is signed
	form   func(url.Values)            // what is posted
	user   func(*user)                 // who posts it
	status int
	reason string
}

// prepare returns a user who has begun to sign in, and what the attack makes of the identity provider's answer.
func (c *attack) prepare(t *testing.T) (*filtertest.Host, *user, url.Values) {
	t.Helper()
	p := newIDP(t)
	h := filtertest.New(t, p.config())
	u := newUser(p, h)
	q := u.begin("/")
	u.assert(q, c.claim)
	if c.doc != nil {
		c.doc(q)
	}
	f := u.form(q)
	if c.form != nil {
		c.form(f)
	}
	return h, u, f
}

// signedAssertion leaves the assertion's signature only.
func signedAssertion(q *saml.IdpAuthnRequest) {
	q.ResponseEl.RemoveChild(child(q.ResponseEl, "Signature"))
}

// signedResponse leaves the response's signature only.
func signedResponse(q *saml.IdpAuthnRequest) {
	a := child(q.ResponseEl, "Assertion")
	a.RemoveChild(child(a, "Signature"))
	resign(q, provider())
}

// resign signs a response with a key.
func resign(q *saml.IdpAuthnRequest, k pair) {
	if s := child(q.ResponseEl, "Signature"); s != nil {
		q.ResponseEl.RemoveChild(s)
	}
	q.ResponseEl = signed(q.ResponseEl, k, dsig.RSASHA256SignatureMethod)
}

func signed(e *etree.Element, k pair, method string) *etree.Element {
	c, err := dsig.NewSigningContext(k.key, [][]byte{k.cert.Raw})
	if err != nil {
		panic(err)
	}
	c.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := c.SetSignatureMethod(method); err != nil {
		panic(err)
	}
	out, err := c.SignEnveloped(e)
	if err != nil {
		panic(err)
	}
	out = reread(out)
	// The schema has the signature after the issuer.
	s := child(out, "Signature")
	out.RemoveChild(s)
	out.InsertChildAt(1, s)
	return out
}

// reread returns an element in which all know their places, as those do not that the libraries made.
func reread(e *etree.Element) *etree.Element {
	d := etree.NewDocument()
	if err := d.ReadFromString(text(e)); err != nil {
		panic(err)
	}
	return d.Root()
}

func child(e *etree.Element, tag string) *etree.Element {
	for _, c := range e.ChildElements() {
		if c.Tag == tag {
			return c
		}
	}
	return nil
}

// evil is a copy of a signed element, without its signature, in which the user is eve.
func evil(e *etree.Element) *etree.Element {
	c := e.Copy()
	c.CreateAttr("ID", "id-evil")
	if s := child(c, "Signature"); s != nil {
		c.RemoveChild(s)
	}
	for _, n := range c.FindElements(".//NameID") {
		n.SetText("eve")
	}
	return c
}

// wrap puts what was signed where it is not read, and eve where it is (signature wrapping, by the numbers of SAML Raider).
var wrap = map[string]func(*saml.IdpAuthnRequest){
	"1: response in the signature of another": func(q *saml.IdpAuthnRequest) {
		original := q.ResponseEl
		bad := evil(original)
		s := child(original, "Signature").Copy()
		inner := original.Copy()
		inner.RemoveChild(child(inner, "Signature"))
		s.AddChild(inner)
		bad.InsertChildAt(1, s)
		q.ResponseEl = bad
	},
	"2: response beside its signature in another": func(q *saml.IdpAuthnRequest) {
		original := q.ResponseEl
		bad := evil(original)
		s := child(original, "Signature").Copy()
		inner := original.Copy()
		inner.RemoveChild(child(inner, "Signature"))
		bad.InsertChildAt(1, s)
		bad.InsertChildAt(1, inner)
		q.ResponseEl = bad
	},
	"3: assertion before the signed one": func(q *saml.IdpAuthnRequest) {
		signedAssertion(q)
		a := child(q.ResponseEl, "Assertion")
		q.ResponseEl.InsertChildAt(a.Index(), evil(a))
	},
	"4: signed assertion in another": func(q *saml.IdpAuthnRequest) {
		signedAssertion(q)
		a := child(q.ResponseEl, "Assertion")
		bad := evil(a)
		q.ResponseEl.RemoveChild(a)
		bad.AddChild(a)
		q.ResponseEl.AddChild(bad)
	},
	"5: signature in the other assertion": func(q *saml.IdpAuthnRequest) {
		signedAssertion(q)
		a := child(q.ResponseEl, "Assertion")
		bad := evil(a)
		s := child(a, "Signature")
		a.RemoveChild(s)
		bad.InsertChildAt(1, s)
		q.ResponseEl.InsertChildAt(a.Index(), bad)
	},
	"6: assertion in the signature in another": func(q *saml.IdpAuthnRequest) {
		signedAssertion(q)
		a := child(q.ResponseEl, "Assertion")
		bad := evil(a)
		s := child(a, "Signature")
		a.RemoveChild(s)
		q.ResponseEl.RemoveChild(a)
		s.AddChild(a)
		bad.InsertChildAt(1, s)
		q.ResponseEl.AddChild(bad)
	},
	"7: other assertion in extensions": func(q *saml.IdpAuthnRequest) {
		signedAssertion(q)
		a := child(q.ResponseEl, "Assertion")
		x := etree.NewElement("samlp:Extensions")
		x.AddChild(evil(a))
		q.ResponseEl.InsertChildAt(1, x)
	},
	"8: assertion in an object of the signature": func(q *saml.IdpAuthnRequest) {
		signedAssertion(q)
		a := child(q.ResponseEl, "Assertion")
		bad := evil(a)
		s := child(a, "Signature")
		a.RemoveChild(s)
		q.ResponseEl.RemoveChild(a)
		object := etree.NewElement("ds:Object")
		object.AddChild(a)
		s.AddChild(object)
		bad.InsertChildAt(1, s)
		q.ResponseEl.AddChild(bad)
	},
	"two with one ID": func(q *saml.IdpAuthnRequest) {
		signedAssertion(q)
		a := child(q.ResponseEl, "Assertion")
		bad := evil(a)
		bad.CreateAttr("ID", a.SelectAttrValue("ID", ""))
		q.ResponseEl.InsertChildAt(a.Index(), bad)
	},
	"an encrypted one beside it": func(q *saml.IdpAuthnRequest) {
		signedAssertion(q)
		a := child(q.ResponseEl, "Assertion")
		x := etree.NewElement("saml:EncryptedAssertion")
		x.AddChild(evil(a))
		q.ResponseEl.InsertChildAt(a.Index(), x)
	},
}

func TestWrapping(t *testing.T) {
	p := newIDP(t)
	s := p.config()
	s.ClaimsToHeaders = []claims.ToHeader{{Claim: "sub", Header: "x-user"}}
	h := filtertest.New(t, s)
	for name, change := range wrap {
		t.Run(name, func(t *testing.T) {
			u := newUser(p, h)
			u.T = t
			q := u.begin("/")
			u.assert(q, nil)
			change(q)
			r := u.post("/saml/acs", u.form(q))
			if r.Status == 303 { // what is signed may count, in a place where nothing else is read
				if r = u.Ask("/"); r.Upstream == nil || r.Upstream.Header.Get("x-user") != "tom" {
					t.Errorf("signed in as %v, want tom or nobody", r.Upstream)
				}
				return
			}
			if r.Status != 403 || r.Details != "moe.saml.assertion" || u.Jar["__Host-saml"] != "" {
				t.Errorf("got %d %s, want 403 moe.saml.assertion", r.Status, r.Details)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Now().Add(d) }
	confirm := func(change func(*saml.SubjectConfirmationData)) func(*saml.Assertion) {
		return func(a *saml.Assertion) { change(a.Subject.SubjectConfirmations[0].SubjectConfirmationData) }
	}
	edit := func(path, text string) func(*saml.IdpAuthnRequest) {
		return func(q *saml.IdpAuthnRequest) { q.ResponseEl.FindElement(path).SetText(text) }
	}
	raw := func(change func(string) string) func(url.Values) {
		return func(f url.Values) {
			text, _ := base64.StdEncoding.DecodeString(f.Get("SAMLResponse"))
			f.Set("SAMLResponse", base64.StdEncoding.EncodeToString([]byte(change(string(text)))))
		}
	}
	for _, c := range []attack{
		{name: "no state", form: func(f url.Values) { f.Del("RelayState") }, status: 400, reason: "state"},
		{name: "made up state", form: func(f url.Values) { f.Set("RelayState", "x") }, status: 400, reason: "state"},
		{name: "two states", form: func(f url.Values) { f.Add("RelayState", "x") }, status: 400, reason: "state"},
		{name: "two answers", form: func(f url.Values) { f.Add("SAMLResponse", f.Get("SAMLResponse")) }, status: 400, reason: "state"},
		{name: "no answer", form: func(f url.Values) { f.Del("SAMLResponse") }, status: 400, reason: "state"},
		{name: "no cookie", user: func(u *user) { clear(u.Jar) }, status: 400, reason: "state"},
		{name: "not base64", form: func(f url.Values) { f.Set("SAMLResponse", "%%%") }},
		{name: "not XML", form: func(f url.Values) { f.Set("SAMLResponse", "AAAA") }},
		{name: "empty", form: func(f url.Values) { f.Set("SAMLResponse", "") }},
		{name: "no signature", doc: func(q *saml.IdpAuthnRequest) {
			signedAssertion(q)
			a := child(q.ResponseEl, "Assertion")
			a.RemoveChild(child(a, "Signature"))
		}},
		{name: "another user", doc: edit(".//NameID", "eve")},
		{name: "another user in the signed assertion", doc: func(q *saml.IdpAuthnRequest) {
			signedAssertion(q)
			edit(".//NameID", "eve")(q)
		}},
		{name: "another key", doc: func(q *saml.IdpAuthnRequest) { signedResponse(q); resign(q, stranger()) }},
		{name: "another key on the assertion", doc: func(q *saml.IdpAuthnRequest) {
			signedAssertion(q)
			a := child(q.ResponseEl, "Assertion")
			q.ResponseEl.RemoveChild(a)
			a.RemoveChild(child(a, "Signature"))
			q.ResponseEl.AddChild(signed(a, stranger(), dsig.RSASHA256SignatureMethod))
		}},
		{name: "SHA-1", doc: func(q *saml.IdpAuthnRequest) {
			signedAssertion(q)
			q.ResponseEl = signed(q.ResponseEl, provider(), dsig.RSASHA1SignatureMethod)
		}},
		{name: "signature of nothing", doc: func(q *saml.IdpAuthnRequest) {
			q.ResponseEl.FindElement("./Signature/SignedInfo/Reference").CreateAttr("URI", "")
		}},
		{name: "empty signature", doc: edit(".//SignatureValue", "")},
		{name: "another service", claim: func(a *saml.Assertion) {
			a.Conditions.AudienceRestrictions[0].Audience.Value = "https://other.example"
		}},
		{name: "everybody", claim: func(a *saml.Assertion) { a.Conditions.AudienceRestrictions = nil }},
		{name: "another recipient", claim: confirm(func(d *saml.SubjectConfirmationData) { d.Recipient = "https://other.example/acs" })},
		{name: "another request", claim: confirm(func(d *saml.SubjectConfirmationData) { d.InResponseTo = "id-other" })},
		{name: "no request", claim: confirm(func(d *saml.SubjectConfirmationData) { d.InResponseTo = "" })},
		{name: "no bearer", claim: func(a *saml.Assertion) {
			a.Subject.SubjectConfirmations[0].Method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
		}},
		{name: "no confirmation", claim: func(a *saml.Assertion) { a.Subject.SubjectConfirmations = nil }},
		{name: "no time of confirmation", claim: confirm(func(d *saml.SubjectConfirmationData) { d.NotOnOrAfter = time.Time{} })},
		{name: "confirmed too long ago", claim: confirm(func(d *saml.SubjectConfirmationData) { d.NotOnOrAfter = at(-2 * time.Minute) })},
		{name: "another issuer", claim: func(a *saml.Assertion) { a.Issuer.Value = "https://evil.example" }},
		{name: "another issuer of the answer", doc: func(q *saml.IdpAuthnRequest) {
			edit("./Issuer", "https://evil.example")(q)
			resign(q, provider())
		}},
		{name: "another destination", doc: func(q *saml.IdpAuthnRequest) {
			q.ResponseEl.CreateAttr("Destination", "https://other.example/acs")
			resign(q, provider())
		}},
		{name: "no destination", doc: func(q *saml.IdpAuthnRequest) {
			q.ResponseEl.RemoveAttr("Destination")
			resign(q, provider())
		}},
		{name: "old", claim: func(a *saml.Assertion) { a.IssueInstant = at(-2 * time.Minute) }},
		{name: "of the future", claim: func(a *saml.Assertion) { a.IssueInstant = at(2 * time.Minute) }},
		{name: "not yet valid", claim: func(a *saml.Assertion) { a.Conditions.NotBefore = at(2 * time.Minute) }},
		{name: "expired", claim: func(a *saml.Assertion) { a.Conditions.NotOnOrAfter = at(-2 * time.Minute) }},
		{name: "a session that is over", claim: func(a *saml.Assertion) {
			end := at(-time.Second)
			a.AuthnStatements[0].SessionNotOnOrAfter = &end
		}},
		{name: "no authentication", claim: func(a *saml.Assertion) { a.AuthnStatements = nil }},
		{name: "no user", claim: func(a *saml.Assertion) { a.Subject.NameID = nil }},
		{name: "empty user", claim: func(a *saml.Assertion) { a.Subject.NameID.Value = "" }},
		{name: "no conditions", claim: func(a *saml.Assertion) { a.Conditions = nil }},
		{name: "unknown condition", doc: func(q *saml.IdpAuthnRequest) {
			a := child(q.ResponseEl, "Assertion")
			a.RemoveChild(child(a, "Signature"))
			child(a, "Conditions").CreateElement("saml:Condition")
			resign(q, provider())
		}},
		{name: "SAML 1.1", doc: func(q *saml.IdpAuthnRequest) {
			child(q.ResponseEl, "Assertion").CreateAttr("Version", "1.1")
			signedResponse(q)
		}},
		{name: "document type", form: raw(func(s string) string { return `<!DOCTYPE x [<!ENTITY e "eve">]>` + s })},
		{name: "refused by the identity provider", status: 403, reason: "denied", doc: func(q *saml.IdpAuthnRequest) {
			q.ResponseEl.FindElement(".//StatusCode").CreateAttr("Value", saml.StatusResponder)
			resign(q, provider())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, u, f := c.prepare(t)
			if c.user != nil {
				c.user(u)
			}
			if c.status == 0 {
				c.status, c.reason = 403, "assertion"
			}
			r := u.post("/saml/acs", f)
			if r.Status != c.status || r.Details != "moe.saml."+c.reason || u.Jar["__Host-saml"] != "" || r.Upstream != nil {
				t.Errorf("got %d %s, want %d moe.saml.%s:\n%s", r.Status, r.Details, c.status, c.reason, h.Log())
			}
			if strings.Contains(h.Log(), "tom") || strings.Contains(r.Body, "example") {
				t.Error("the log or the answer has what nobody should see:", h.Log(), r.Body)
			}
		})
	}
}

// TestAccepted: the same ways of building an answer make good ones.
func TestAccepted(t *testing.T) {
	for name, c := range map[string]attack{
		"both signed":      {},
		"response signed":  {doc: signedResponse},
		"assertion signed": {doc: signedAssertion},
		"clock ahead":      {claim: func(a *saml.Assertion) { a.Conditions.NotBefore = time.Now().Add(50 * time.Second) }},
		"clock behind":     {claim: func(a *saml.Assertion) { a.Conditions.NotOnOrAfter = time.Now().Add(-50 * time.Second) }},
		"several confirmations": {claim: func(a *saml.Assertion) {
			a.Subject.SubjectConfirmations = append([]saml.SubjectConfirmation{{Method: bearer}}, a.Subject.SubjectConfirmations...)
		}},
		"lines in base64": {form: func(f url.Values) {
			f.Set("SAMLResponse", f.Get("SAMLResponse")[:64]+"\r\n"+f.Get("SAMLResponse")[64:])
		}},
		"authentication in a way": {claim: func(a *saml.Assertion) { a.AuthnStatements[0].AuthnContext.AuthnContextClassRef = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			h, u, f := c.prepare(t)
			if r := u.post("/saml/acs", f); r.Status != 303 || u.Jar["__Host-saml"] == "" {
				t.Errorf("got %d %s, want 303:\n%s", r.Status, r.Details, h.Log())
			}
		})
	}
}

// TestComment: a comment in the name does not cut it off, whether or not it changes what is signed.
func TestComment(t *testing.T) {
	p := newIDP(t)
	p.user.NameID = "admin@app.example.evil.example"
	s := p.config()
	s.ClaimsToHeaders = []claims.ToHeader{{Claim: "sub", Header: "x-user"}}
	u := newUser(p, filtertest.New(t, s))
	q := u.begin("/")
	u.assert(q, nil)
	f := u.form(q)
	text, err := base64.StdEncoding.DecodeString(f.Get("SAMLResponse"))
	if err != nil {
		t.Fatalf("base64: %v", err)
	}
	changed := strings.Replace(string(text), "admin@app.example.evil", "admin@app.example<!---->.evil", 1)
	if changed == string(text) {
		t.Fatal("the name is not there")
	}
	f.Set("SAMLResponse", base64.StdEncoding.EncodeToString([]byte(changed)))
	if r := u.post("/saml/acs", f); r.Status != 303 {
		return // refused as a whole, which is as good
	}
	if r := u.Ask("/"); r.Upstream == nil || r.Upstream.Header.Get("x-user") != p.user.NameID {
		t.Errorf("got %v, want the whole name", r.Upstream)
	}
}

// TestReplay: an answer is good once, even with the cookie of its sign-in, and in its own browser only.
func TestReplay(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, p.config())
	u := newUser(p, h)
	q := u.begin("/")
	u.assert(q, nil)
	f := u.form(q)
	states := maps.Clone(u.Jar)
	victim := newUser(p, h)
	victim.begin("/")
	if r := victim.post("/saml/acs", f); r.Status != 400 || r.Details != "moe.saml.state" || victim.Jar["__Host-saml"] != "" {
		t.Errorf("in another browser: got %d %s, want 400 moe.saml.state", r.Status, r.Details)
	}
	if r := u.post("/saml/acs", f); r.Status != 303 {
		t.Fatalf("got %d %s, want 303:\n%s", r.Status, r.Details, h.Log())
	}
	thief := newUser(p, h)
	thief.Jar = states
	if r := thief.post("/saml/acs", f); r.Status != 403 || thief.Jar["__Host-saml"] != "" {
		t.Errorf("again with the state: got %d %s, want 403 moe.saml.assertion", r.Status, r.Details)
	}
}

// TestRequestOfAnother: an assertion for one sign-in does not answer another one of the same browser.
func TestRequestOfAnother(t *testing.T) {
	p := newIDP(t)
	u := newUser(p, filtertest.New(t, p.config()))
	one, two := u.begin("/one"), u.begin("/two")
	u.assert(one, nil)
	f := u.form(one)
	f.Set("RelayState", two.RelayState)
	if r := u.post("/saml/acs", f); r.Status != 403 || r.Details != "moe.saml.assertion" {
		t.Errorf("got %d %s, want 403 moe.saml.assertion", r.Status, r.Details)
	}
}

// TestCBC: what is encrypted in CBC mode is not decrypted unless the answer around it is signed, as that would answer questions about
// the text.
func TestCBC(t *testing.T) {
	p := newIDP(t)
	p.AssertionEncrypter = cbc()
	for _, c := range []struct {
		name   string
		doc    func(*saml.IdpAuthnRequest)
		status int
	}{
		{name: "answer signed", doc: func(*saml.IdpAuthnRequest) {}, status: 303},
		{name: "answer not signed", doc: signedAssertion, status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUser(p, filtertest.New(t, p.withKey()))
			q := u.begin("/")
			u.assert(q, nil)
			c.doc(q)
			if r := u.post("/saml/acs", u.form(q)); r.Status != c.status {
				t.Errorf("got %d %s, want %d", r.Status, r.Details, c.status)
			}
		})
	}
}

func encode(e *etree.Element) string { return base64.StdEncoding.EncodeToString([]byte(text(e))) }

func text(e *etree.Element) string {
	d := etree.NewDocument()
	d.SetRoot(e)
	s, err := d.WriteToString()
	if err != nil {
		panic(err)
	}
	return s
}

// TestBombs: answers that are deep, wide, or full of names cost no more than their length, and nobody signs in.
func TestBombs(t *testing.T) {
	const room = maxForm / 2 // in base64 and escapes it becomes longer
	head := `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="a" Version="2.0">`
	fill := func(text string) string { return strings.Repeat(text, (room-2*len(head))/len(text)) }
	several := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < room-2*len(head)-100; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const signature = `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo/></ds:Signature>`
	deep := (room - 2*len(head)) / len("<a></a>")
	for name, body := range map[string]string{
		"deep":              strings.Repeat("<a>", deep) + strings.Repeat("</a>", deep),
		"wide":              fill("<a/>"),
		"attributes":        `<a ` + several(`a%d=""`+" ") + `/>`,
		"names":             `<a ` + several(`xmlns:n%d="u"`+" ") + `/>` + signature,
		"names in depth":    strings.Repeat(`<a xmlns:b="c">`, deep/4) + strings.Repeat("</a>", deep/4),
		"assertions":        fill(`<saml:Assertion ID="b"/>`),
		"encrypted":         fill(`<saml:EncryptedAssertion/>`),
		"signatures":        fill(signature),
		"comments":          fill(`<!---->`),
		"not closed":        fill("<a>"),
		"entities":          fill("&lt;"),
		"unknown entities":  fill("&x;"),
		"processing":        fill("<?a b?>"),
		"names and parents": `<a ` + several(`xmlns:n%d="u"`+" ") + `>` + signature + `<saml:Assertion ID="b">` + signature + `</saml:Assertion></a>`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t)
			h := filtertest.New(t, p.withKey())
			u := newUser(p, h)
			q := u.begin("/")
			began := time.Now()
			text := head + body + `</samlp:Response>`
			r := u.post("/saml/acs", url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString([]byte(text))}, "RelayState": {q.RelayState}})
			if took := time.Since(began); r.Status != 403 || r.Details != "moe.saml.assertion" || took > 10*time.Second {
				t.Errorf("got %d %s after %v, want 403 moe.saml.assertion at once", r.Status, r.Details, took)
			} else {
				t.Log(took)
			}
		})
	}
}
