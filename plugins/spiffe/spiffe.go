// Package spiffe is a certificate validator for SPIFFE: it trusts the workloads of trust domains.
package spiffe

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/plugins/internal/reload"
)

// SPIFFE accepts certificates that are X.509-SVIDs of trusted domains, and are not revoked.
type SPIFFE struct {
	// TrustDomains are those whose workloads are trusted.
	TrustDomains []TrustDomain `json:"trustDomains" validate:"required,min=1"`
	// IDs are those that are accepted: spiffe://example.org/api is one, spiffe://example.org/ns/* all below it. By default
	// all IDs of the trust domains are.
	IDs []string `json:"ids" validate:"omitempty,min=1"`
	// Revocation says how revoked certificates are known.
	Revocation Revocation `json:"revocation"`
	// FilterState is the key under which the connection's filter state has the ID, as text.
	FilterState string `json:"filterState"`
	reload.Files

	env   *certvalidator.Env
	trust atomic.Pointer[trust]
	once  sync.Once // for the log
}

// TrustDomain is a trust domain and its authorities.
type TrustDomain struct {
	// Name is its name, such as example.org.
	Name string `json:"name" validate:"required"`
	// Bundle is a file with its authorities: PEM, or a SPIFFE bundle in JSON.
	Bundle string `json:"bundle" validate:"required"`
}

// Revocation says how revoked certificates are known. Each path is a file, or a directory with files.
type Revocation struct {
	// CRLs are files with revocation lists, in PEM or DER.
	CRLs []string `json:"crls"`
	// OCSP are files with an OCSP response each, in DER.
	OCSP []string `json:"ocsp"`
	// Required refuses certificates of which neither says whether they are revoked.
	Required bool `json:"required"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() { certvalidator.Register[SPIFFE]("spiffe", certvalidator.Docs(docs)) }

// Validate checks names and IDs.
func (s *SPIFFE) Validate() error {
	names := map[spiffeid.TrustDomain]bool{}
	for i, d := range s.TrustDomains {
		td, err := d.parse()
		if err != nil {
			return fmt.Errorf("trustDomains[%d].name: %w", i, err)
		}
		if names[td] {
			return fmt.Errorf("trustDomains[%d].name: duplicate trust domain %q", i, td.Name())
		}
		names[td] = true
	}
	for i, text := range s.IDs {
		id, err := spiffeid.FromString(strings.TrimSuffix(text, "/*"))
		if err != nil {
			return fmt.Errorf("ids[%d]: expected an ID such as spiffe://example.org/api, or spiffe://example.org/ns/*: %w", i, err)
		}
		if !names[id.TrustDomain()] {
			return fmt.Errorf("ids[%d]: %s is not one of trustDomains", i, id.TrustDomain().Name())
		}
	}
	if s.Revocation.Required && len(s.Revocation.CRLs)+len(s.Revocation.OCSP) == 0 {
		return errors.New("revocation.required: needs crls or ocsp")
	}
	return s.Files.Validate()
}

func (d TrustDomain) parse() (spiffeid.TrustDomain, error) {
	if strings.Contains(d.Name, "/") {
		return spiffeid.TrustDomain{}, errors.New("expected a name such as example.org")
	}
	return spiffeid.TrustDomainFromString(d.Name)
}

// Provision reads the files and follows them.
func (s *SPIFFE) Provision(env *certvalidator.Env) error {
	s.env = env
	var paths []string
	for _, d := range s.TrustDomains {
		paths = append(paths, d.Bundle)
	}
	paths = append(append(paths, s.Revocation.CRLs...), s.Revocation.OCSP...)
	return s.Follow(env, nil, paths, func(files []reload.File) error {
		t, err := s.load(files)
		if err == nil {
			s.trust.Store(t)
		}
		return err
	})
}

// SessionContext ends TLS sessions when any of the files is another one.
func (s *SPIFFE) SessionContext() []byte { return s.trust.Load().sum }

// mostCertificates bounds what a peer may have us read.
const mostCertificates = 10

// Verify accepts SVIDs.
func (s *SPIFFE) Verify(h certvalidator.Handshake) certvalidator.Verdict {
	if n := len(h.Raw()); n > mostCertificates {
		return refuse(certvalidator.BadCertificate, "%d certificates, more than %d", n, mostCertificates)
	}
	certs, err := h.Certificates()
	if err != nil {
		return refuse(certvalidator.BadCertificate, "%w", err)
	}
	id, err := x509svid.IDFromCert(certs[0])
	if err != nil {
		return refuse(certvalidator.UnsupportedCertificate, "not an SVID: %w", err)
	}
	t := s.trust.Load()
	if !t.bundles.Has(id.TrustDomain()) {
		return refuse(certvalidator.UnknownCA, "%s: the trust domain is not trusted", id)
	}
	now := time.Now()
	_, chains, err := x509svid.Verify(certs, t.bundles, x509svid.WithTime(now))
	if err != nil {
		return refuse(alert(err), "%s: %w", id, err)
	}
	if !s.accepts(id) {
		return refuse(certvalidator.AccessDenied, "%s: not one of ids", id)
	}
	if err := t.check(chains, now, s.Revocation.Required); err != nil {
		return refuse(alert(err), "%s: %w", id, err)
	}
	s.tell(h, id)
	return certvalidator.Accept()
}

func refuse(a certvalidator.Alert, format string, args ...any) certvalidator.Verdict {
	return certvalidator.Refuse(fmt.Errorf(format, args...).Error()).WithAlert(a)
}

func (s *SPIFFE) accepts(id spiffeid.ID) bool {
	for _, text := range s.IDs {
		below, all := strings.CutSuffix(text, "*")
		if all && strings.HasPrefix(id.String(), below) || !all && id.String() == text {
			return true
		}
	}
	return len(s.IDs) == 0
}

// tell leaves the ID with the connection. Where that fails, whatever looks for it finds nothing.
func (s *SPIFFE) tell(h certvalidator.Handshake, id spiffeid.ID) {
	if s.FilterState == "" {
		return
	}
	if err := h.SetFilterState(s.FilterState, id.String()); err != nil {
		s.once.Do(func() { s.env.Log().Error("no ID in the filter state", "key", s.FilterState, "error", err) })
	}
}
