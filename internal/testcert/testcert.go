// Package testcert makes certificates for tests.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Authority signs certificates. Its own is in a file, and so are those that it signs.
type Authority struct {
	File string // PEM
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New returns an authority with its files in dir. It fails tb if it cannot be made.
func New(tb testing.TB, dir string) *Authority {
	tb.Helper()
	a := &Authority{File: filepath.Join(dir, "ca.crt"), dir: dir, key: key(tb)}
	a.cert = &x509.Certificate{
		SerialNumber: serial(tb), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a.sign(tb, a.cert, &a.key.PublicKey, a.File)
	return a
}

// Issue writes NAME.crt and NAME.key, for a server or client with these names: DNS names, URIs or addresses.
func (a *Authority) Issue(tb testing.TB, name string, names ...string) (certificate, privateKey string) {
	tb.Helper()
	return a.IssueLike(tb, name, func(*x509.Certificate) {}, names...)
}

// IssueLike is Issue of a certificate that change has had a look at.
func (a *Authority) IssueLike(
	tb testing.TB, name string, change func(*x509.Certificate), names ...string,
) (certificate, privateKey string) {
	tb.Helper()
	k := key(tb)
	c := &x509.Certificate{
		SerialNumber: serial(tb), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		switch ip := net.ParseIP(n); {
		case ip != nil:
			c.IPAddresses = append(c.IPAddresses, ip)
		case strings.Contains(n, "://"):
			u, err := url.Parse(n)
			if err != nil {
				tb.Fatalf("url.Parse: %v", err)
			}
			c.URIs = append(c.URIs, u)
		default:
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	change(c)
	certificate, privateKey = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		tb.Fatalf("x509.MarshalPKCS8PrivateKey: %v", err)
	}
	write(tb, privateKey, "PRIVATE KEY", der)
	a.sign(tb, c, &k.PublicKey, certificate) // last: who watches the files finds the key of the certificate
	return certificate, privateKey
}

func (a *Authority) sign(tb testing.TB, c *x509.Certificate, public *ecdsa.PublicKey, file string) {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, public, a.key)
	if err != nil {
		tb.Fatalf("x509.CreateCertificate: %v", err)
	}
	write(tb, file, "CERTIFICATE", der)
}

// write replaces a file by a rename.
func write(tb testing.TB, file, kind string, der []byte) {
	tb.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		tb.Fatalf("os.WriteFile: %v", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		tb.Fatalf("os.Rename: %v", err)
	}
}

func key(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("ecdsa.GenerateKey: %v", err)
	}
	return k
}

func serial(tb testing.TB) *big.Int {
	tb.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		tb.Fatalf("rand.Int: %v", err)
	}
	return n
}
