package spiffe

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// response is an OCSP response for one certificate.
type response struct{ *ocsp.Response }

func (t *trust) addResponse(der []byte) error {
	r, err := ocsp.ParseResponse(der, nil)
	if err != nil {
		return fmt.Errorf("expected an OCSP response for one certificate, in DER: %w", err)
	}
	if r.NextUpdate.IsZero() {
		return errors.New("the OCSP response does not say until when it holds (nextUpdate)")
	}
	key := string(r.SerialNumber.Bytes())
	t.responses[key] = append(t.responses[key], &response{r})
	return nil
}

// newestResponse returns what the newest response of an issuer says. One that does not know the certificate says nothing.
func (t *trust) newestResponse(cert, issuer *x509.Certificate, now time.Time) (s statement) {
	for _, r := range t.responses[string(cert.SerialNumber.Bytes())] {
		if r.Status != ocsp.Unknown && !r.ThisUpdate.After(now.Add(skew)) && r.isFor(cert, issuer, now) {
			return statement{exists: true, revoked: r.Status == ocsp.Revoked, next: r.NextUpdate}
		}
	}
	return s
}

// isFor reports whether the issuer has signed the response, or somebody whom it lets do so.
func (r *response) isFor(cert, issuer *x509.Certificate, now time.Time) bool {
	if _, err := ocsp.ParseResponseForCert(r.Raw, cert, issuer); err != nil {
		return false
	}
	by := r.Certificate
	if by == nil {
		return true // the issuer
	}
	// Any certificate of the issuer's would have signed well so far.
	return slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) && !now.Before(by.NotBefore) && !now.After(by.NotAfter)
}
