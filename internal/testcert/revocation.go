package testcert

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Read returns the certificate in a file.
func Read(tb testing.TB, file string) *x509.Certificate {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatalf("os.ReadFile: %v", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		tb.Fatalf("%s has no PEM", file)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		tb.Fatalf("x509.ParseCertificate: %v", err)
	}
	return c
}

// Revoke writes NAME.crl, a revocation list with the certificates in these files, which holds until next.
func (a *Authority) Revoke(tb testing.TB, name string, next time.Time, files ...string) string {
	tb.Helper()
	now := time.Now()
	l := &x509.RevocationList{Number: big.NewInt(now.UnixNano()), ThisUpdate: now.Add(-time.Minute), NextUpdate: next}
	for _, f := range files {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: Read(tb, f).SerialNumber, RevocationTime: now,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.issuer(tb), a.key)
	if err != nil {
		tb.Fatalf("x509.CreateRevocationList: %v", err)
	}
	file := filepath.Join(a.dir, name+".crl")
	write(tb, file, "X509 CRL", der)
	return file
}

// Respond writes NAME.ocsp, an OCSP response about the certificate in a file: status is ocsp.Good or ocsp.Revoked, and
// holds until next.
func (a *Authority) Respond(tb testing.TB, name string, status int, next time.Time, file string) string {
	tb.Helper()
	return a.respond(tb, name, status, next, file, nil, a.key)
}

// RespondAs is Respond by the holder of another certificate of the authority's.
func (a *Authority) RespondAs(
	tb testing.TB, name string, status int, next time.Time, file string, by *x509.Certificate, key crypto.Signer,
) string {
	tb.Helper()
	return a.respond(tb, name, status, next, file, by, key)
}

func (a *Authority) respond(
	tb testing.TB, name string, status int, next time.Time, file string, by *x509.Certificate, key crypto.Signer,
) string {
	tb.Helper()
	responder := by
	if by == nil {
		responder = a.issuer(tb)
	}
	der, err := ocsp.CreateResponse(a.issuer(tb), responder, ocsp.Response{
		Status: status, SerialNumber: Read(tb, file).SerialNumber, Certificate: by,
		ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: next, RevokedAt: time.Now(),
	}, key)
	if err != nil {
		tb.Fatalf("ocsp.CreateResponse: %v", err)
	}
	out := filepath.Join(a.dir, name+".ocsp")
	if err := os.WriteFile(out+".new", der, 0o600); err != nil {
		tb.Fatalf("os.WriteFile: %v", err)
	}
	if err := os.Rename(out+".new", out); err != nil {
		tb.Fatalf("os.Rename: %v", err)
	}
	return out
}

// issuer is the authority's certificate as others read it.
func (a *Authority) issuer(tb testing.TB) *x509.Certificate {
	tb.Helper()
	return Read(tb, a.File)
}
