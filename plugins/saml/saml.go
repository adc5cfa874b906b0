// Package saml signs users in at an identity provider that speaks SAML 2.0.
package saml

import (
	"embed"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/match"
	"mosn.io/moe/plugins/internal/nonces"
	"mosn.io/moe/plugins/internal/origin"
	"mosn.io/moe/plugins/internal/signin"
)

// SAML lets browsers in whose user has signed in at an identity provider (SAML 2.0, web browser SSO profile), and keeps the
// session in encrypted cookies.
type SAML struct {
	// ACS is where the identity provider has browsers post its answers, the assertion consumer service: a URL of this
	// service that no other thing has.
	ACS *url.URL `json:"acs" validate:"required"`
	// EntityID is what the identity provider knows this service by. Without it, it is the URL of the metadata.
	EntityID string `json:"entityID"`
	// MetadataPath is where this service says what it is, for the identity provider.
	MetadataPath string `json:"metadataPath" default:"/saml/metadata"`
	// IDP is the identity provider.
	IDP IDP `json:"idp"`
	// CertFile holds this service's certificate in PEM. With it requests are signed, and the identity provider may encrypt
	// assertions. It is read again when it changes.
	CertFile string `json:"certFile"`
	// KeyFile holds its private key in PEM, of RSA or ECDSA.
	KeyFile string `json:"keyFile"`
	// CookieSecrets encrypt the cookies: the first new ones, the others those that were made with them before. 32 bytes
	// each at least.
	CookieSecrets []filter.Secret `json:"cookieSecrets" validate:"required,min=1"`
	// Cookie says how cookies are set.
	Cookie Cookie `json:"cookie"`
	// Lifetime is how long a session lasts at most.
	Lifetime time.Duration `json:"lifetime" default:"8h"`
	// ClockSkew is by how much the identity provider's clock may differ from this one.
	ClockSkew time.Duration `json:"clockSkew" default:"1m"`
	// ForceAuthn has users sign in anew even if the identity provider knows them.
	ForceAuthn bool `json:"forceAuthn"`
	// NameIDFormat is the kind of name that is asked for.
	NameIDFormat string `json:"nameIDFormat" default:"unspecified" enum:"unspecified,persistent,transient,emailAddress"`
	// AuthnContexts are the classes of authentication of which one is demanded, such as
	// urn:oasis:names:tc:SAML:2.0:ac:classes:X509.
	AuthnContexts []string `json:"authnContexts"`
	// Login is the path of a page that signs in and goes on to the same-origin address in its parameter return.
	Login string `json:"login"`
	// Logout is how users sign out.
	Logout Logout `json:"logout"`
	claims.Output

	keys    *signin.Keys
	cookies signin.Cookies
	idp     *idp
	paths   []string // that are the plugin's own
	acsPath string   // as browsers send it
	replays *nonces.Memory
	ended   *endings
	checks  chan struct{} // has one for each message that is being checked
	clock   *dsig.Clock   // nil: that of the machine

	signedIn, signedOut, endedBy *filter.Counter
	refused                      *filter.Tagged[*filter.Counter]
}

// Cookie is how cookies are set.
type Cookie struct {
	// Name is that of the session's cookie; others begin with it. With the prefix __Host- it needs https.
	Name string `json:"name" default:"__Host-saml"`
	signin.Attributes
}

// Logout is how users sign out.
type Logout struct {
	// Path is the address that ends the session. If it is empty, users cannot sign out here.
	Path string `json:"path"`
	// Service is the path of the single logout service: where the identity provider says that a user has signed out, and
	// answers when this service has. It needs certFile.
	Service string `json:"service"`
	// Provider signs the user out at the identity provider, too. It needs service.
	Provider bool `json:"provider"`
	// Redirect is where the user is sent then: a path of this service.
	Redirect string `json:"redirect"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("saml", filter.Authn, (*SAML).newStream, filter.WithCredential[claims.Credential](),
		filter.Docs(docs))
}

const (
	// maxReplays is how many assertions and requests to sign out are remembered; each for as long as it would be accepted.
	maxReplays = 500_000
	// maxEnded is how many sessions are remembered that the identity provider has ended.
	maxEnded = 100_000
)

// Validate refuses what would trust anybody's metadata, and cookies that no browser takes.
func (p *SAML) Validate() error {
	errs := []error{p.Output.Validate(), match.Within("idp", p.IDP.check())}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch r := p.ACS; {
	case r == nil || r.Host == "" || r.Scheme != "https" && (r.Scheme != "http" || !p.Cookie.Insecure):
		fail("acs: must be an https URL (http is for cookie.insecure)")
	case r.RawQuery != "" || r.Fragment != "" || len(r.Path) < 2:
		fail("acs: must have a path of its own, and no query")
	}
	if (p.CertFile == "") != (p.KeyFile == "") {
		fail("certFile: certFile and keyFile need each other")
	}
	errs = append(errs, signin.CheckSecrets(p.CookieSecrets))
	if p.Lifetime < time.Minute || p.Lifetime > 400*24*time.Hour {
		fail("lifetime: must be 1m to 400 days, which is as long as browsers keep cookies")
	}
	if p.ClockSkew < 0 || p.ClockSkew > saml.MaxClockSkew {
		fail("clockSkew: must be 0s to %v", saml.MaxClockSkew)
	}
	if p.EntityID == "" && p.MetadataPath == "" {
		fail("entityID: must be set where metadataPath is empty")
	}
	if len(p.EntityID) > 1024 {
		fail("entityID: must not be longer than 1024 bytes")
	}
	own := []signin.Path{
		{Field: "login", Path: p.Login},
		{Field: "logout.path", Path: p.Logout.Path},
		{Field: "logout.service", Path: p.Logout.Service},
		{Field: "metadataPath", Path: p.MetadataPath},
	}
	if p.ACS != nil {
		own = append([]signin.Path{{Field: "acs", Path: p.ACS.EscapedPath()}}, own...)
	}
	errs = append(errs, signin.CheckPaths(own...))
	switch l := &p.Logout; {
	case l.Service != "" && p.CertFile == "":
		fail("logout.service: needs certFile and keyFile, as what is said about signing out must be signed")
	case l.Provider && (l.Service == "" || l.Path == ""):
		fail("logout.provider: needs logout.path and logout.service")
	}
	if r := p.Logout.Redirect; r != "" && signin.SafePath(r) != r {
		fail("logout.redirect: must be a path of this service")
	}
	return errors.Join(append(errs, p.Cookie.Check(p.Cookie.Name))...)
}

// ReadsCredentials is that of filter.CredentialReader.
func (p *SAML) ReadsCredentials() filter.CredentialPlaces {
	cookies := signin.Cookies{Name: p.Cookie.Name}
	places := cookies.ReadsCredentials()
	places.Queries = []string{"SAMLRequest", "SAMLResponse"}
	return places
}

// Provision reads the identity provider's metadata, or begins to.
func (p *SAML) Provision(env *filter.Env) (err error) {
	if err := p.Start(env, false); err != nil {
		return err
	}
	p.cookies = signin.Cookies{Name: p.Cookie.Name, Attributes: p.Cookie.Attributes, StatesArePosted: true}
	if p.EntityID == "" {
		p.EntityID = p.at(p.MetadataPath).String()
	}
	p.keys, err = signin.NewKeys(p.CookieSecrets, "moe saml cookies 1", p.EntityID+"\x00"+p.IDP.EntityID)
	if err != nil {
		return err
	}
	p.acsPath = p.ACS.EscapedPath()
	for _, path := range []string{p.acsPath, p.Login, p.Logout.Path, p.Logout.Service, p.MetadataPath} {
		if path != "" {
			p.paths = append(p.paths, path)
		}
	}
	p.replays = nonces.New(maxReplays, saml.MaxIssueDelay+saml.MaxClockSkew)
	p.ended = newEndings(maxEnded)
	p.checks = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	p.signedIn, p.signedOut, p.endedBy = env.Counter("signed_in"), env.Counter("signed_out"), env.Counter("ended")
	p.refused = env.Tag("reason").Counter("refused")
	p.idp, err = p.findIDP(env)
	return err
}

// at is the URL of a path of this service.
func (p *SAML) at(path string) *url.URL {
	u, err := url.Parse(path)
	if err != nil { // Validate has refused it
		return p.ACS
	}
	return p.ACS.ResolveReference(u)
}

// here is the origin of this service.
func (p *SAML) here() string { return p.ACS.Scheme + "://" + p.ACS.Host }

// ours reports whether a path is one of the plugin's own, to which nobody is led.
func (p *SAML) ours(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	for _, own := range p.paths {
		if origin.SamePath(path, own) {
			return true
		}
	}
	return false
}
