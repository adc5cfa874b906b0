package saml

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/crewjam/saml"
)

// session is what the session's cookie holds.
type session struct {
	Issuer string          `json:"i"`
	Name   name            `json:"n"`
	Index  string          `json:"x,omitempty"` // the identity provider's for the session
	Claims json.RawMessage `json:"c"`
	Begun  int64           `json:"b"`           // Unix time
	Until  int64           `json:"u,omitempty"` // what the identity provider says, 0 if it does not
}

// name is the user's, as the identity provider wants it back for signing out.
type name struct {
	Value       string `json:"v"`
	Format      string `json:"f,omitempty"`
	Qualifier   string `json:"q,omitempty"`
	SPQualifier string `json:"s,omitempty"`
}

func (u *session) expires(p *SAML) time.Time {
	end := time.Unix(u.Begun, 0).Add(p.Lifetime)
	if u.Until != 0 && u.Until < end.Unix() {
		end = time.Unix(u.Until, 0)
	}
	return end
}

// newSession makes a session of an assertion that the library has checked: that it, or the answer around it, is signed by the identity
// provider, is for this service, answers the request and was not there before. The library allows clocks to differ by
// three minutes; what is checked here is clockSkew.
func (p *SAML) newSession(sp *saml.ServiceProvider, a *saml.Assertion) (*session, error) {
	now := p.clock.Now()
	if err := p.checkTimes(a, now); err != nil {
		return nil, err
	}
	id := a.Subject.NameID
	if id == nil || id.Value == "" {
		return nil, errors.New("it names no user")
	}
	u := &session{
		Issuer: sp.IDPMetadata.EntityID, Begun: now.Unix(),
		Name: name{id.Value, id.Format, id.NameQualifier, id.SPNameQualifier},
	}
	class := ""
	for _, s := range a.AuthnStatements {
		if u.Index == "" {
			u.Index = s.SessionIndex
		}
		if c := s.AuthnContext.AuthnContextClassRef; c != nil && class == "" {
			class = c.Value
		}
		if end := s.SessionNotOnOrAfter; end != nil && (u.Until == 0 || end.Unix() < u.Until) {
			u.Until = end.Unix()
		}
	}
	if !now.Before(u.expires(p)) {
		return nil, errors.New("the session that it begins is over")
	}
	var err error
	u.Claims, err = json.Marshal(claimsOf(u, class, a))
	return u, err
}

func (p *SAML) checkTimes(a *saml.Assertion, now time.Time) error {
	early, late := now.Add(p.ClockSkew), now.Add(-p.ClockSkew)
	c := a.Conditions
	switch {
	case a.IssueInstant.After(early):
		return errors.New("it was issued in the future")
	case c.NotBefore.After(early):
		return errors.New("it is not yet valid")
	case !c.NotOnOrAfter.IsZero() && !c.NotOnOrAfter.After(late):
		return errors.New("it has expired")
	}
	for _, s := range a.Subject.SubjectConfirmations {
		if d := s.SubjectConfirmationData; s.Method == bearer && d != nil && d.NotOnOrAfter.After(late) && !d.NotBefore.After(early) {
			return nil
		}
	}
	return errors.New("what confirms its user has expired")
}

const bearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

// claimsOf is what an assertion says as an object: sub is the name of the user, iss the identity provider, acr the class of the
// authentication. The others are attributes by their names, of which none may stand for one of the three.
func claimsOf(u *session, class string, a *saml.Assertion) map[string]any {
	values := map[string][]string{}
	for _, statement := range a.AttributeStatements {
		for _, attribute := range statement.Attributes {
			for _, v := range attribute.Values {
				switch {
				case v.Nil:
				case v.NameID != nil:
					values[attribute.Name] = append(values[attribute.Name], v.NameID.Value)
				default:
					values[attribute.Name] = append(values[attribute.Name], v.Value)
				}
			}
		}
	}
	all := map[string]any{}
	for name, list := range values {
		if all[name] = list; len(list) == 1 {
			all[name] = list[0]
		}
	}
	for _, name := range []string{"sub", "iss", "acr"} {
		delete(all, name)
	}
	all["sub"], all["iss"] = u.Name.Value, u.Issuer
	if class != "" {
		all["acr"] = class
	}
	return all
}
