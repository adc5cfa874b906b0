package spiffe

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/plugins/internal/reload"
)

// trust is what the files say. It is replaced as a whole.
type trust struct {
	bundles   *x509bundle.Set
	lists     []*list
	responses map[string][]*response // by the certificates' serial numbers, the newest first
	sum       []byte                 // of all files
}

func (s *SPIFFE) load(files []reload.File) (*trust, error) {
	t := &trust{bundles: x509bundle.NewSet(), responses: map[string][]*response{}}
	for i, d := range s.TrustDomains {
		at := fmt.Sprintf("trustDomains[%d].bundle", i)
		td, err := d.parse()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		b := x509bundle.New(td)
		for _, f := range files {
			if !in(f.Path, []string{d.Bundle}) {
				continue
			}
			more, err := parseBundle(b, f.Data)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", at, f.Path, err)
			}
			for _, a := range more.X509Authorities() {
				b.AddX509Authority(a)
			}
		}
		if b.Empty() {
			return nil, fmt.Errorf("%s: there are no authorities in it", at)
		}
		t.bundles.Add(b)
	}
	for _, f := range files {
		if in(f.Path, s.Revocation.CRLs) {
			if err := t.addLists(f.Data); err != nil {
				return nil, fmt.Errorf("revocation.crls: %s: %w", f.Path, err)
			}
		}
		if in(f.Path, s.Revocation.OCSP) {
			if err := t.addResponse(f.Data); err != nil {
				return nil, fmt.Errorf("revocation.ocsp: %s: %w", f.Path, err)
			}
		}
	}
	t.sort()
	h := sha256.New()
	for _, f := range files {
		sum := sha256.Sum256(f.Data)
		h.Write(sum[:])
	}
	t.sum = h.Sum(nil)
	return t, nil
}

// parseBundle reads authorities of the trust domain of b.
func parseBundle(b *x509bundle.Bundle, data []byte) (*x509bundle.Bundle, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		all, err := spiffebundle.Parse(b.TrustDomain(), data)
		if err != nil {
			return nil, err
		}
		return all.X509Bundle(), nil
	}
	return x509bundle.Parse(b.TrustDomain(), data)
}

// in reports whether a file is one of paths, or below one.
func in(file string, paths []string) bool {
	file = filepath.Clean(file)
	for _, p := range paths {
		p = filepath.Clean(p)
		if file == p || strings.HasPrefix(file, p+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// alert is what a peer gets to know of an error.
func alert(err error) certvalidator.Alert {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, errRevoked):
		return certvalidator.CertificateRevoked
	case errors.Is(err, errUnknown):
		return certvalidator.CertificateUnknown
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return certvalidator.CertificateExpired
	case errors.As(err, &unknown):
		return certvalidator.UnknownCA
	}
	return certvalidator.BadCertificate
}
