package ldapauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"mosn.io/moe/plugins/internal/authn"
	"mosn.io/moe/plugins/internal/claims"
)

// identity is what the directory says of a user name and a password. It does not change.
type identity struct {
	why  *authn.Wrong // it is refused; nil if it is good
	name string       // as the directory spells it
	says claims.Described
}

func refused(why *authn.Wrong) (*identity, error) { return &identity{why: why}, nil }

// ask asks the directory. An error is that it could not say.
func (p *LDAPAuth) ask(ctx context.Context, user, password string) (*identity, error) {
	if password == "" { // a directory would take it for nobody's bind, and that for a good one (RFC 4513, section 5.1.2)
		return refused(wrong)
	}
	var entry *ldap.Entry
	dn := fill(p.UserDN, ldap.EscapeDN(user))
	if p.Search != nil {
		var why *authn.Wrong
		var err error
		if entry, why, err = p.find(ctx, user); err != nil || why != nil {
			return &identity{why: why}, err
		}
		dn = entry.DN
	}
	var why *authn.Wrong
	err := p.users.do(ctx, func(c *ldap.Conn) error {
		why = nil
		if err := c.Bind(dn, password); err != nil {
			if isWrong(err) {
				why = wrong
				return nil
			}
			return err
		}
		if entry != nil {
			return nil
		}
		var err error
		entry, why, err = only(c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1,
			p.seconds(), false, "(objectClass=*)", p.wanted, nil)))
		return err
	})
	if err != nil || why != nil {
		return &identity{why: why}, plain(err)
	}
	return p.read(user, entry)
}

// find returns the only entry of a user name.
func (p *LDAPAuth) find(ctx context.Context, user string) (entry *ldap.Entry, why *authn.Wrong, err error) {
	scope := ldap.ScopeWholeSubtree
	if p.Search.Scope == "one" {
		scope = ldap.ScopeSingleLevel
	}
	filter := fill(p.Search.Filter, ldap.EscapeFilter(user))
	err = p.readers.do(ctx, func(c *ldap.Conn) (err error) {
		entry, why, err = only(c.Search(ldap.NewSearchRequest(p.Search.Base, scope, ldap.NeverDerefAliases, 2, p.seconds(),
			false, filter, p.wanted, nil)))
		return err
	})
	return entry, why, plain(err)
}

// seconds is how long the directory may search.
func (p *LDAPAuth) seconds() int { return max(1, int(p.Timeout.Seconds())) }

// only returns the entry of a search that must find one.
func only(r *ldap.SearchResult, err error) (*ldap.Entry, *authn.Wrong, error) {
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || errors.Is(err, ldap.ErrSizeLimitExceeded) || err == nil && len(r.Entries) > 1:
		return nil, several, nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) || err == nil && len(r.Entries) == 0:
		return nil, wrong, nil
	case err != nil:
		return nil, nil, err
	case r.Entries[0].DN == "":
		return nil, wrong, nil // nobody's bind would be asked for
	}
	return r.Entries[0], nil, nil
}

// isWrong reports whether a directory has refused a bind because of the name or the password.
func isWrong(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultInappropriateAuthentication)
}

// plain is an error of the directory without its text, which may quote what was sent.
func plain(err error) error {
	var e *ldap.Error
	switch {
	case errors.Is(err, errReader):
		return errReader
	case errors.As(err, &e) && e.ResultCode < ldap.ErrorNetwork:
		return fmt.Errorf("the directory answers %d (%s)", e.ResultCode, ldap.LDAPResultCodeMap[e.ResultCode])
	}
	return err
}

// read takes what is needed of an entry.
func (p *LDAPAuth) read(user string, entry *ldap.Entry) (*identity, error) {
	id := &identity{}
	names := entry.GetEqualFoldAttributeValues(p.NameAttribute)
	switch at := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, user) }); {
	case len(names) == 1:
		id.name = names[0]
	case at >= 0:
		id.name = names[at]
	}
	if id.name == "" || !utf8.ValidString(id.name) {
		return refused(nameless)
	}
	var said []claims.Member
	for _, name := range p.wanted {
		value, err := inJSON(entry.GetEqualFoldAttributeValues(name))
		if err != nil {
			return nil, err
		}
		if value != nil {
			said = append(said, claims.Member{Name: name, Value: value})
		}
	}
	for i := range p.RequiredAttributes {
		if !p.RequiredAttributes[i].Met(said) {
			return refused(notAllowed)
		}
	}
	var err error
	if id.says, err = p.Describe("", said); err != nil {
		return refused(unfit)
	}
	return id, nil
}

// inJSON returns the values of an attribute: one as a text, several as a list; nil where there are none, or other than
// text.
func inJSON(values []string) ([]byte, error) {
	if len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
		return nil, nil
	}
	if len(values) == 1 {
		return json.Marshal(values[0])
	}
	return json.Marshal(values)
}
