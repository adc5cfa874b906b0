// Package mtlsauth recognises callers by their client certificates.
package mtlsauth

import (
	"embed"
	"errors"
	"fmt"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
)

// MTLSAuth finds the consumer whose certificate the client has.
type MTLSAuth struct {
	// Forwarded takes certificates from the header x-forwarded-client-cert of chosen peers: proxies that end their clients'
	// TLS. Without it, the certificate is the connection's.
	Forwarded *Forwarded `json:"forwarded"`
	// UnknownIsMissing leaves clients whose certificate belongs to nobody here to the other plugins that authenticate, as where
	// every client of a mesh has a certificate. Otherwise they are refused.
	UnknownIsMissing bool `json:"unknownIsMissing"`
	// Realm names what the certificate is for, in www-authenticate.
	Realm string `json:"realm" default:"moe"`

	consumers *filter.Index[Credential]
	refuse    authn.Refusals
}

// Forwarded says whose header x-forwarded-client-cert is believed.
type Forwarded struct {
	// Peers are the proxies, by the certificates that they have themselves.
	Peers []Certificate `json:"peers" validate:"required,min=1"`
}

// Certificate is what a certificate must be. All fields that are set must fit.
type Certificate struct {
	// URI is a URI among its subject alternative names, such as spiffe://cluster.local/ns/shop/sa/web.
	URI string `json:"uri"`
	// DNS is a DNS name among them.
	DNS string `json:"dns"`
	// Subject is its subject as Envoy writes it (RFC 2253), such as CN=web,OU=shop,O=Example.
	Subject string `json:"subject"`
	// SHA256 is the digest of the certificate in DER, in hexadecimal; colons do not matter.
	SHA256 string `json:"sha256"`
}

// Credential is what a consumer's certificates may be.
type Credential struct {
	Certificate
	// Certificates are more of them.
	Certificates []Certificate `json:"certificates"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.Register[MTLSAuth]("mtlsauth", filter.Authn, filter.WithCredential[Credential](), filter.Docs(docs))
}

var (
	unknown     = &authn.Wrong{Reason: "unknown", Text: "the certificate belongs to nobody here"}
	ambiguous   = &authn.Wrong{Reason: "ambiguous", Text: "the certificate is that of several consumers"}
	malformed   = &authn.Wrong{Reason: "malformed", Text: "x-forwarded-client-cert is malformed"}
	undecidable = &authn.Wrong{Reason: "undecidable", Text: "Envoy does not tell the client's certificate", Status: 500}
)

// header is the one of proxies that end their clients' TLS.
const header = "x-forwarded-client-cert"

// Validate refuses certificates that anybody has.
func (p *MTLSAuth) Validate() error {
	errs := []error{authn.CheckRealm(p.Realm)}
	if p.Forwarded != nil {
		if len(p.Forwarded.Peers) == 0 {
			errs = append(errs, errors.New("forwarded.peers: must not be empty"))
		}
		for i := range p.Forwarded.Peers {
			if err := p.Forwarded.Peers[i].check(); err != nil {
				errs = append(errs, fmt.Errorf("forwarded.peers[%d]%w", i, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Validate checks a consumer's certificates.
func (c *Credential) Validate() error {
	if c.Certificate != (Certificate{}) || len(c.Certificates) == 0 {
		if err := c.Certificate.check(); err != nil {
			return fmt.Errorf("certificate%w", err)
		}
	}
	for i := range c.Certificates {
		if err := c.Certificates[i].check(); err != nil {
			return fmt.Errorf("certificates[%d]%w", i, err)
		}
	}
	return nil
}

// check says what is wrong with a certificate's fields, after its path.
func (c *Certificate) check() error {
	if *c == (Certificate{}) {
		return errors.New(": must have uri, dns, subject or sha256")
	}
	if c.SHA256 != "" {
		if _, ok := digest(c.SHA256); !ok {
			return errors.New(".sha256: must be 64 hexadecimal digits")
		}
	}
	return nil
}

// all returns the certificates of a consumer.
func (c *Credential) all() []Certificate {
	if c.Certificate == (Certificate{}) {
		return c.Certificates
	}
	return append([]Certificate{c.Certificate}, c.Certificates...)
}

// ReadsCredentials is that of filter.CredentialReader.
func (p *MTLSAuth) ReadsCredentials() filter.CredentialPlaces {
	if p.Forwarded == nil {
		return filter.CredentialPlaces{}
	}
	return filter.CredentialPlaces{Headers: []string{header}}
}

// OwnsRequestHeaders is that of filter.HeaderOwner: where another plugin lets a request pass, nobody has found out whose word the
// header is.
func (p *MTLSAuth) OwnsRequestHeaders() []string {
	if p.Forwarded == nil {
		return nil
	}
	return []string{header}
}

// Provision indexes the consumers.
func (p *MTLSAuth) Provision(env *filter.Env) (err error) {
	p.refuse.Start(env, `Certificate realm="`+p.Realm+`"`)
	p.consumers, err = filter.IndexConsumers(env, func(c *Credential) (keys []string) {
		for _, cert := range c.all() {
			keys = append(keys, cert.key())
		}
		return keys
	})
	return err
}

// OnRequestHeaders finds the consumer.
func (p *MTLSAuth) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	shown, err := ofConnection(s)
	if err != nil {
		return p.refuse.Refuse(s, undecidable, "")
	}
	if p.Forwarded != nil {
		switch forwarded, wrong := p.forwarded(h, shown); {
		case wrong != nil:
			return p.refuse.Refuse(s, wrong, "")
		case forwarded != nil:
			shown = forwarded
		}
	}
	if shown == nil {
		return p.refuse.Missing()
	}
	c, wrong := p.find(shown)
	switch {
	case wrong == unknown && p.UnknownIsMissing:
		return p.refuse.Missing()
	case wrong != nil:
		return p.refuse.Refuse(s, wrong, shown.name())
	}
	return p.refuse.Allow(s, c)
}

// find returns the only consumer whose certificate is shown.
func (p *MTLSAuth) find(shown *certificate) (found *filter.Consumer, _ *authn.Wrong) {
	for _, key := range shown.keys() {
		c, credential := p.consumers.Find(key)
		if c == nil {
			continue
		}
		fits := false
		for _, cert := range credential.all() {
			fits = fits || cert.key() == key && shown.is(&cert)
		}
		switch {
		case !fits:
		case found != nil && found.Name != c.Name:
			return nil, ambiguous
		default:
			found = c
		}
	}
	if found == nil {
		return nil, unknown
	}
	return found, nil
}
