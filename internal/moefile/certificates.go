package moefile

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/bootstrap"
)

// checkFiles reads the certificates that f names, and reports those that Envoy could not use. With withoutSecrets, they
// may be missing.
func (f *File) checkFiles(withoutSecrets bool, report func(path string, err error)) {
	add := func(path string, err error) {
		if !withoutSecrets || !errors.Is(err, fs.ErrNotExist) {
			report(path, err)
		}
	}
	for i := range f.Listeners {
		t := f.Listeners[i].TLS
		if t == nil {
			continue
		}
		at := config.Index("listeners", i) + ".tls"
		names := map[string]string{}
		for j := range t.Certificates {
			path := config.Index(at+".certificates", j)
			for _, name := range checkCertificate(path, &t.Certificates[j], add) {
				if other, ok := names[name]; ok {
					add(path+".certificateChain", errors.New("a certificate of the same kind for "+name+" is at "+other+
						"; clients would get only one of them"))
				}
				names[name] = path
			}
		}
		if c := t.ClientCertificates; c != nil {
			if c.TrustedCA != "" {
				add(at+".clientCertificates.trustedCa", checkAuthorities(c.TrustedCA))
			}
			if c.CRL != "" {
				_, err := os.ReadFile(c.CRL)
				add(at+".clientCertificates.crl", err)
			}
		}
	}
	for i := range f.Upstreams {
		t := f.Upstreams[i].TLS
		if t == nil {
			continue
		}
		at := config.Index("upstreams", i) + ".tls"
		if t.TrustedCA != "" {
			add(at+".trustedCa", checkAuthorities(t.TrustedCA))
		}
		if t.Certificate != nil {
			checkCertificate(at+".certificate", t.Certificate, add)
		}
	}
}

// checkCertificate reads a certificate and its key, and returns for which names it is, each with its kind of key, of
// which a listener may have one.
func checkCertificate(path string, c *bootstrap.Certificate, add func(path string, err error)) (names []string) {
	if c.SDSSecretConfig != nil {
		return nil
	}
	chain, err := os.ReadFile(c.CertificateChain)
	add(path+".certificateChain", err)
	key, keyErr := os.ReadFile(c.PrivateKey)
	add(path+".privateKey", keyErr)
	if err != nil || keyErr != nil {
		return nil
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		add(path, errors.New(strings.TrimPrefix(err.Error(), "tls: ")))
		return nil
	}
	for _, name := range pair.Leaf.DNSNames {
		names = append(names, strings.ToLower(name)+" ("+pair.Leaf.PublicKeyAlgorithm.String()+")")
	}
	return names
}

func checkAuthorities(name string) error {
	text, err := os.ReadFile(name)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
		err = errors.New("expected certificates in PEM; the file has none")
	}
	return err
}
