// Package ldapauth recognises callers by the user names and passwords of an LDAP directory.
package ldapauth

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/lookup"
)

// LDAPAuth lets requests pass whose user name and password, in the header authorization (RFC 7617), are those of an entry
// of a directory.
type LDAPAuth struct {
	// URL is the directory: ldaps://host, or ldap://host with startTLS.
	URL *url.URL `json:"url" validate:"required"`
	// TLS is how the directory is verified.
	TLS TLS `json:"tls"`
	// UserDN is the name of a user's entry, in which {username} stands for the user name. Use it or search.
	UserDN string `json:"userDN"`
	// Search finds the user's entry.
	Search *Search `json:"search"`
	// NameAttribute is the attribute that has the user's name as the directory spells it. User names may be written in
	// several ways (upper and lower case, spaces), and the consumer has to be the same.
	NameAttribute string `json:"nameAttribute" default:"uid"`
	// RequiredAttributes are what the entry must have besides, such as a group; otherwise the reply is 403.
	RequiredAttributes []claims.Requirement `json:"requiredAttributes"`
	// Timeout is how long connecting, and how long each operation, may take.
	Timeout time.Duration `json:"timeout" default:"5s"`
	// Connections is how many connections there are at most; with search twice as many.
	Connections int `json:"connections" default:"8" validate:"min=1,max=1000"`
	// Realm names what the password is for, in www-authenticate.
	Realm string `json:"realm" default:"moe"`
	// Forward leaves the header in the request, so that the upstream sees the password.
	Forward bool `json:"forward"`
	claims.Output
	lookup.Cache

	env     *filter.Env
	refuse  authn.Refusals
	answers *lookup.Table[*identity]
	users   *pool // bind as users
	readers *pool // bound as search says; nil without search
	wanted  []string
}

// TLS is how the directory is verified.
type TLS struct {
	// StartTLS begins TLS on a connection of ldap://.
	StartTLS bool `json:"startTLS"`
	// CAFile holds certificates in PEM that are trusted instead of the system's. It is read with the configuration.
	CAFile string `json:"caFile"`
	// CertFile holds the client's certificate in PEM, for directories that demand one.
	CertFile string `json:"certFile"`
	// KeyFile holds its private key in PEM.
	KeyFile string `json:"keyFile"`
	// AllowPlaintext allows ldap:// without TLS to other machines, which sends passwords in the clear.
	AllowPlaintext bool `json:"allowPlaintext"`
}

// Search finds the entry of a user.
type Search struct {
	// BindDN is who searches; if it is empty, anybody does.
	BindDN string `json:"bindDN"`
	// Password is that of bindDN.
	Password filter.Secret `json:"password"`
	// Base is the entry below which users are.
	Base string `json:"base" validate:"required"`
	// Filter is what a user's entry is found by (RFC 4515), in which {username} stands for the user name.
	Filter string `json:"filter" default:"(uid={username})"`
	// Scope is where entries are looked for: in all of the subtree of base, or one level below it.
	Scope string `json:"scope" default:"subtree" enum:"subtree,one"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.Register[LDAPAuth]("ldapauth", filter.Authn, filter.WithCredential[claims.Credential](), filter.Docs(docs))
}

var (
	ambiguous  = &authn.Wrong{Reason: "ambiguous", Text: "more than one authorization"}
	malformed  = &authn.Wrong{Reason: "malformed", Text: "the credentials are malformed"}
	wrong      = &authn.Wrong{Reason: "wrong", Text: "the user or the password is wrong"}
	several    = &authn.Wrong{Reason: "several", Text: "several entries have this user name"}
	nameless   = &authn.Wrong{Reason: "nameless", Text: "the entry does not have the user name in nameAttribute"}
	notAllowed = &authn.Wrong{Reason: "attributes", Text: "the entry does not have the requiredAttributes", Status: 403}
	unfit      = &authn.Wrong{Reason: "unfit_claim", Text: "an attribute cannot be passed on"}
	unknown    = &authn.Wrong{Reason: "consumer", Text: "the user is not a consumer"}
	noAnswer   = &authn.Wrong{Reason: "no_answer", Text: "the directory cannot be asked", Status: 503}
)

// placeholder stands for the user name.
const placeholder = "{username}"

// Validate refuses what could not work, and what would send passwords in the clear.
func (p *LDAPAuth) Validate() error {
	errs := []error{p.Output.Validate(), p.Cache.Validate(), authn.CheckRealm(p.Realm)}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.URL != nil {
		if err := p.checkURL(); err != nil {
			fail("url: %w", err)
		}
	}
	if (p.TLS.CertFile == "") != (p.TLS.KeyFile == "") {
		fail("tls: certFile and keyFile need each other")
	}
	if (p.UserDN == "") == (p.Search == nil) {
		fail("userDN: there must be userDN or search, and not both")
	}
	if p.UserDN != "" {
		if _, err := ldap.ParseDN(fill(p.UserDN, "x")); err != nil || !strings.Contains(p.UserDN, placeholder) {
			fail("userDN: must be a distinguished name with %s in it", placeholder)
		}
	}
	if s := p.Search; s != nil {
		if _, err := ldap.ParseDN(s.Base); err != nil || s.Base == "" {
			fail("search.base: must be a distinguished name")
		}
		if _, err := ldap.CompileFilter(fill(s.Filter, "x")); err != nil || !strings.Contains(s.Filter, placeholder) {
			fail("search.filter: must be a filter of LDAP, such as (uid=%s)", placeholder)
		}
		if (s.BindDN == "") != (s.Password.Reveal() == "") {
			fail("search: bindDN and password need each other")
		}
	}
	if p.NameAttribute == "" {
		fail("nameAttribute: must not be empty")
	}
	if slices.Contains(p.ClaimsToMetadata, "*") {
		fail("claimsToMetadata: must name attributes: * would ask for all that an entry has")
	}
	if p.Timeout <= 0 {
		fail("timeout: must be above 0s")
	}
	return errors.Join(errs...)
}

func (p *LDAPAuth) checkURL() error {
	u := p.URL
	switch {
	case u.Host == "" || u.Scheme != "ldap" && u.Scheme != "ldaps":
		return errors.New("must be ldaps://host or ldap://host, with a port or without")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("must have nothing but a host and a port: what to look for is said by search")
	case u.Scheme == "ldaps" && p.TLS.StartTLS:
		return errors.New("is ldaps, which has TLS from the beginning: leave tls.startTLS out")
	case u.Scheme == "ldap" && !p.TLS.StartTLS && !p.TLS.AllowPlaintext && !local(u.Hostname()):
		return errors.New("must be ldaps, or have tls.startTLS; tls.allowPlaintext sends passwords over a network that you trust")
	}
	return nil
}

// fill puts a name, which is escaped already, in its place.
func fill(template, name string) string { return strings.ReplaceAll(template, placeholder, name) }

// ReadsCredentials is that of filter.CredentialReader.
func (p *LDAPAuth) ReadsCredentials() filter.CredentialPlaces {
	return filter.CredentialPlaces{Headers: []string{"authorization"}}
}

// Provision makes the pools. It does not connect: a directory that is down must not keep Envoy from starting.
func (p *LDAPAuth) Provision(env *filter.Env) error {
	if err := p.Start(env, p.Forward); err != nil {
		return err
	}
	p.env = env
	p.refuse.Start(env, `Basic realm="`+p.Realm+`", charset="UTF-8"`)
	p.answers = lookup.New[*identity](env, p.Cache)
	config, err := p.TLS.config(p.URL.Hostname())
	if err != nil {
		return fmt.Errorf("tls.%w", err)
	}
	port := ldap.DefaultLdapsPort
	if p.URL.Scheme == "ldap" {
		port = ldap.DefaultLdapPort
		if !p.TLS.StartTLS {
			config = nil
		}
	}
	addr := net.JoinHostPort(p.URL.Hostname(), cmp.Or(p.URL.Port(), port))
	to := directory{addr: addr, tls: config, startTLS: p.TLS.StartTLS, timeout: p.Timeout}
	p.users = newPool(to, p.Connections)
	if s := p.Search; s != nil {
		to.bindDN, to.password = s.BindDN, s.Password
		p.readers = newPool(to, p.Connections)
	}
	p.wanted = p.attributes()
	return nil
}

// attributes returns the names of those that are needed of an entry.
func (p *LDAPAuth) attributes() []string {
	names := []string{p.NameAttribute}
	for _, r := range p.RequiredAttributes {
		names = append(names, r.Claim)
	}
	for _, c := range p.ClaimsToHeaders {
		names = append(names, c.Claim)
	}
	names = append(names, p.ClaimsToMetadata...)
	if p.ConsumerClaim != "" {
		names = append(names, p.ConsumerClaim)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Close closes the connections.
func (p *LDAPAuth) Close() error {
	for _, pool := range []*pool{p.users, p.readers} {
		if pool != nil {
			pool.close()
		}
	}
	return nil
}
