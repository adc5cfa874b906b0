package bridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"
)

// identity is an authority, and the certificates of a server and a client of it.
type identity struct {
	pool                 *x509.CertPool
	authority, cert, key string // PEM
	client               tls.Certificate
	digest               string // SHA-256 of the client's certificate
}

func identities(t *testing.T) identity {
	t.Helper()
	caKey, ca := certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
	}, nil, nil)
	serverKey, server := certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"server.test"},
	}, ca, caKey)
	uri, _ := url.Parse("spiffe://test/client")
	clientKey, client := certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(42), Subject: pkix.Name{CommonName: "client"}, DNSNames: []string{"client.test"}, URIs: []*url.URL{uri},
	}, ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	der, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatalf("x509.MarshalPKCS8PrivateKey: %v", err)
	}
	sum := sha256.Sum256(client.Raw)
	block := func(kind string, p []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: p}))
	}
	return identity{
		pool: pool, authority: block("CERTIFICATE", ca.Raw), cert: block("CERTIFICATE", server.Raw), key: block("PRIVATE KEY", der),
		client: tls.Certificate{Certificate: [][]byte{client.Raw}, PrivateKey: clientKey}, digest: hex.EncodeToString(sum[:]),
	}
}

// certificate makes what c asks for, signed by the authority or, without one, by itself.
func certificate(t *testing.T, c, authority *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("ecdsa.GenerateKey: %v", err)
	}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign
	if authority == nil {
		authority, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, authority, &key.PublicKey, by)
	if err != nil {
		t.Fatalf("x509.CreateCertificate: %v", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("x509.ParseCertificate: %v", err)
	}
	return key, made
}
