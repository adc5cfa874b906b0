package saml

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlsp"
	dsig "github.com/russellhaering/goxmldsig"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/discovery"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/nonces"
	"mosn.io/moe/plugins/internal/outbound"
	"mosn.io/moe/plugins/internal/reload"
)

// IDP is the identity provider, by its metadata.
type IDP struct {
	// MetadataFile holds the metadata. It is read again when it changes.
	MetadataFile string `json:"metadataFile"`
	// MetadataURL is where the metadata is read from instead, in the background.
	MetadataURL *url.URL `json:"metadataURL"`
	// Refresh is how often metadata is read from the URL.
	Refresh time.Duration `json:"refresh" default:"1h"`
	// EntityID is the identity provider's. It chooses one where the metadata has several.
	EntityID string `json:"entityID"`
	// SignedBy holds certificates in PEM, of which one must have signed the metadata.
	SignedBy string `json:"signedBy"`
	// Connection is how the URL is reached.
	Connection outbound.Connection `json:"connection"`
	reload.Files
}

// maxMetadata is how many bytes of metadata are read from a URL.
const maxMetadata = 16 << 20

func (c *IDP) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case (c.MetadataFile == "") == (c.MetadataURL == nil):
		fail("metadataFile: exactly one of metadataFile and metadataURL must be set")
	case c.MetadataURL != nil:
		if err := c.Connection.Check(c.MetadataURL); err != nil {
			fail("metadataURL: %w", err)
		}
	}
	if c.Refresh < time.Second || c.Refresh > 24*time.Hour {
		fail("refresh: must be 1s to 24h")
	}
	if err := c.Connection.Validate(); err != nil {
		fail("connection.%w", err)
	}
	return errors.Join(append(errs, c.Files.Validate())...)
}

// idp is the identity provider as its metadata has it at present. What is made of that does not change, and the next one is
// another.
type idp struct {
	p       *SAML
	env     *filter.Env
	self    atomic.Pointer[saml.ServiceProvider] // this service, also while nothing is known of the identity provider
	current atomic.Pointer[saml.ServiceProvider] // nil until then
	tried   chan struct{}                        // closed when the metadata was read, or could not be, for the first time
	failed  *filter.Counter

	mu     sync.Mutex
	files  map[string][]byte
	remote []byte // the metadata from the URL
}

func (p *SAML) findIDP(env *filter.Env) (*idp, error) {
	d := &idp{p: p, env: env, tried: make(chan struct{}), failed: env.Counter("metadata_failed")}
	var paths []string
	for _, path := range []string{p.IDP.MetadataFile, p.IDP.SignedBy, p.CertFile, p.KeyFile} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	if err := p.IDP.Follow(env, nil, paths, d.load); err != nil {
		return nil, err
	}
	if p.IDP.MetadataURL == nil {
		close(d.tried)
		return d, nil
	}
	client, stop, err := p.IDP.Connection.Client(env)
	if err != nil {
		return nil, fmt.Errorf("idp.connection.%w", err)
	}
	outbound.Limit(client, maxMetadata)
	env.Go(func(ctx context.Context) {
		defer stop()
		first := sync.OnceFunc(func() { close(d.tried) })
		defer first()
		discovery.Follow(ctx, p.IDP.Refresh, func(ctx context.Context) error {
			defer first()
			return d.fetch(ctx, client)
		}, func(err error) {
			d.failed.Inc()
			env.Log().Warn("cannot read the identity provider's metadata; what was read before stays",
				"host", p.IDP.MetadataURL.Host, "path", p.IDP.MetadataURL.Path, "error", err)
		})
	})
	return d, nil
}

// wait returns the service provider for the identity provider's metadata, after the first try to read it; nil if there is none.
func (d *idp) wait(ctx context.Context) *saml.ServiceProvider {
	select {
	case <-d.tried:
	case <-ctx.Done():
	}
	return d.current.Load()
}

func (d *idp) fetch(ctx context.Context, client *http.Client) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.p.IDP.MetadataURL.String(), nil)
	if err != nil {
		return err
	}
	r.Header.Set("accept", "application/samlmetadata+xml, application/xml, text/xml")
	w, err := client.Do(r)
	if err != nil {
		return outbound.Plain(err)
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return fmt.Errorf("the status is %d", w.StatusCode)
	}
	text, err := outbound.ReadAll(w.Body, maxMetadata)
	if err != nil {
		return outbound.Plain(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	sp, err := d.make(d.files, text)
	if err != nil {
		return err
	}
	d.remote = text
	d.current.Store(sp)
	return nil
}

// load takes files into use: metadata, certificates and the key.
func (d *idp) load(files []reload.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string][]byte{}
	for _, f := range files {
		all[f.Path] = f.Data
	}
	metadata := d.remote
	if d.p.IDP.MetadataFile != "" {
		metadata = all[d.p.IDP.MetadataFile]
	}
	sp, err := d.make(all, metadata)
	if err != nil {
		return err
	}
	d.files = all
	d.self.Store(sp)
	if sp.IDPMetadata != nil {
		d.current.Store(sp)
	}
	return nil
}

// make makes a service provider, without an identity provider if metadata is nil, as it is not read yet.
func (d *idp) make(files map[string][]byte, metadata []byte) (*saml.ServiceProvider, error) {
	sp, err := d.p.serviceProvider(files)
	if err != nil || metadata == nil {
		return sp, err
	}
	var signers []*x509.Certificate
	if path := d.p.IDP.SignedBy; path != "" {
		if signers, err = certificates(files[path]); err != nil {
			return nil, fmt.Errorf("idp.signedBy: %w", err)
		}
	}
	if err := guard.Do(func() (err error) {
		sp.IDPMetadata, err = parseMetadata(metadata, d.p.IDP.EntityID, signers)
		return err
	}); err != nil {
		return nil, fmt.Errorf("the identity provider's metadata: %w", err)
	}
	if err := d.checkMetadata(sp); err != nil {
		return nil, fmt.Errorf("the identity provider's metadata: %w", err)
	}
	return sp, nil
}

// serviceProvider is this service, with its key.
func (p *SAML) serviceProvider(files map[string][]byte) (*saml.ServiceProvider, error) {
	format := saml.UnspecifiedNameIDFormat
	switch p.NameIDFormat {
	case "persistent":
		format = saml.PersistentNameIDFormat
	case "transient":
		format = saml.TransientNameIDFormat
	case "emailAddress":
		format = saml.EmailAddressNameIDFormat
	}
	sp := &saml.ServiceProvider{
		EntityID: p.EntityID, AcsURL: *p.ACS, SloURL: *p.at(p.Logout.Service), MetadataURL: *p.at(p.MetadataPath),
		AuthnNameIDFormat: format, AssertionConsumerServiceBindings: []string{saml.HTTPPostBinding},
		RejectUnknownConditions: true, RequireSignedResponseForCBC: true, RejectExpiredIDPMetadata: true,
		RejectSHA1Signatures: true, ReplayCache: replays{p},
		Clock: p.clock,
	}
	if p.Logout.Service != "" {
		sp.LogoutBindings = []string{saml.HTTPRedirectBinding, saml.HTTPPostBinding}
	}
	if p.ForceAuthn {
		sp.ForceAuthn = &p.ForceAuthn
	}
	if len(p.AuthnContexts) > 0 {
		sp.RequestedAuthnContext = &saml.RequestedAuthnContext{
			Comparison: "exact", AuthnContextClassRefs: slices.Clone(p.AuthnContexts),
		}
		sp.ValidateAuthnContextClassRef = true
	}
	if p.CertFile == "" {
		return sp, nil
	}
	pair, err := tls.X509KeyPair(files[p.CertFile], files[p.KeyFile])
	if err != nil {
		return nil, errors.New("certFile: cannot read a certificate and its key from certFile and keyFile")
	}
	switch key := pair.PrivateKey.(type) {
	case *rsa.PrivateKey:
		sp.Key, sp.SignatureMethod = key, dsig.RSASHA256SignatureMethod
	case *ecdsa.PrivateKey:
		sp.Key, sp.SignatureMethod = key, dsig.ECDSASHA256SignatureMethod
	default:
		return nil, errors.New("keyFile: must be a key of RSA or ECDSA")
	}
	sp.Certificate, err = x509.ParseCertificate(pair.Certificate[0])
	return sp, err
}

func parseMetadata(text []byte, entityID string, signers []*x509.Certificate) (*saml.EntityDescriptor, error) {
	if len(signers) > 0 {
		if entityID != "" {
			return samlsp.ParseSignedMetadataByEntityID(text, entityID, signers)
		}
		return samlsp.ParseSignedMetadata(text, signers)
	}
	if entityID != "" {
		return samlsp.ParseMetadataByEntityID(text, entityID)
	}
	return samlsp.ParseMetadata(text)
}

// checkMetadata refuses metadata by which nobody could sign in, so that what was there before stays.
func (d *idp) checkMetadata(sp *saml.ServiceProvider) error {
	m := sp.IDPMetadata
	if m.EntityID == "" || len(m.IDPSSODescriptors) == 0 {
		return errors.New("it is not that of an identity provider")
	}
	if !m.ValidUntil.IsZero() && !d.p.clock.Now().Before(m.ValidUntil) {
		return fmt.Errorf("it was valid until %s", m.ValidUntil.UTC().Format(time.RFC3339))
	}
	signing := 0
	for _, role := range m.IDPSSODescriptors {
		for _, k := range role.KeyDescriptors {
			if k.Use != "" && k.Use != "signing" {
				continue
			}
			for _, c := range k.KeyInfo.X509Data.X509Certificates {
				cert, err := parseCertificate(c.Data)
				if err != nil {
					return fmt.Errorf("a certificate cannot be read: %w", err)
				}
				if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
					return fmt.Errorf("a key has %d bits; at least 2048 are needed", key.N.BitLen())
				}
				signing++
			}
		}
		if w := role.WantAuthnRequestsSigned; w != nil && *w && sp.Certificate == nil {
			d.env.Log().Warn("the identity provider wants signed requests: set certFile and keyFile")
		}
	}
	if signing == 0 {
		return errors.New("it has no certificate that the identity provider signs with")
	}
	if destination(sp) == "" {
		return errors.New("it has no single sign-on service with the binding HTTP-Redirect or HTTP-POST")
	}
	for _, address := range []string{
		destination(sp), sp.GetSLOBindingLocation(saml.HTTPRedirectBinding), sp.GetSLOBindingLocation(saml.HTTPPostBinding),
	} {
		if u, err := url.Parse(address); address != "" && (err != nil || d.p.IDP.Connection.Check(u) != nil) {
			return fmt.Errorf("the address %q is not https", address)
		}
	}
	return nil
}

// destination is where the browser is sent to sign in.
func destination(sp *saml.ServiceProvider) string {
	if to := sp.GetSSOBindingLocation(saml.HTTPRedirectBinding); to != "" {
		return to
	}
	return sp.GetSSOBindingLocation(saml.HTTPPostBinding)
}

func parseCertificate(text string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// certificates reads certificates in PEM.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("holds no certificate in PEM")
	}
	return all, nil
}

// replays refuses assertions, and requests to sign out, that were there before.
type replays struct{ p *SAML }

// Consume is that of saml.AssertionReplayCache.
func (r replays) Consume(id string, until time.Time) error {
	switch r.p.replays.Add([]byte(id), r.p.clock.Now(), until) {
	case nonces.Fresh:
		return nil
	case nonces.Full:
		return errFull
	}
	return saml.ErrAssertionReplayed
}

var errFull = errors.New("no more assertions can be remembered")
