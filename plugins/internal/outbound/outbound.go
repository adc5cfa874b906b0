// Package outbound is how plugins reach other servers by HTTP.
package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"mosn.io/moe/framework/filter"
)

// Connection is how a server is reached.
type Connection struct {
	// Cluster is the Envoy cluster of the server. Without one Go connects to it.
	Cluster string `json:"cluster"`
	// Timeout is how long a whole request may take.
	Timeout time.Duration `json:"timeout" default:"5s"`
	// CAFile holds certificates in PEM that are trusted instead of the system's. It is read with the configuration.
	CAFile string `json:"caFile"`
	// CertFile holds the client's certificate in PEM, for servers that demand one. It is read again when it changes.
	CertFile string `json:"certFile"`
	// KeyFile holds its private key in PEM.
	KeyFile string `json:"keyFile"`
	// AllowHTTP allows addresses with http that are not of this machine.
	AllowHTTP bool `json:"allowHTTP"`
}

// Validate checks what does not need the address.
func (c *Connection) Validate() error {
	if c.Timeout <= 0 {
		return errors.New("timeout: must be more than 0")
	}
	if c.Cluster != "" && c.CAFile != "" {
		return errors.New("caFile: the cluster says which certificates are trusted")
	}
	if c.Cluster != "" && c.CertFile != "" {
		return errors.New("certFile: the cluster says which certificate the client has")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("certFile: certFile and keyFile need each other")
	}
	return nil
}

// Check says what is wrong with an address.
func (c *Connection) Check(u *url.URL) error {
	switch {
	case u == nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be an https URL with a host")
	case u.User != nil:
		return errors.New("must not have a user or password")
	case u.Scheme == "http" && !c.AllowHTTP && c.Cluster == "" && !local(u.Hostname()):
		return errors.New("must be https; allowHTTP allows http on a network that you trust")
	}
	return nil
}

// local reports whether a host is this machine.
func local(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Client makes an HTTP client. It follows no redirects: what is configured is who is asked. The function it returns
// closes its connections.
func (c *Connection) Client(env *filter.Env) (*http.Client, func(), error) {
	client := &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if c.Cluster != "" {
		t, err := env.Transport(c.Cluster)
		if err != nil {
			return nil, nil, fmt.Errorf("cluster: %w", err)
		}
		client.Transport = t
		return client, func() {}, nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil // what is configured is who is asked
	t.MaxIdleConnsPerHost = 64
	t.MaxResponseHeaderBytes = 256 << 10
	config, err := c.TLS()
	if err != nil {
		return nil, nil, err
	}
	t.TLSClientConfig = config
	client.Transport = t
	return client, t.CloseIdleConnections, nil
}

// TLS returns how servers are verified, and the client's certificate.
func (c *Connection) TLS() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("caFile: holds no certificate in PEM")
		}
	}
	if c.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			if err != nil {
				return nil, errors.New("certFile: cannot read a certificate and its key from certFile and keyFile")
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		// Connections are few and long: each reads the files, so that a certificate that was renewed is used.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return config, nil
}

// ErrTooLong is that a body is longer than it may be.
var ErrTooLong = errors.New("the answer is too long")

// ReadAll reads a body of at most limit bytes.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, ErrTooLong
	}
	return b, err
}

// Limit bounds the bodies of the answers that a client gets, for libraries that read them whole. One that is longer
// ends in [ErrTooLong].
func Limit(client *http.Client, limit int64) {
	client.Transport = &limited{client.Transport, limit}
}

type limited struct {
	http.RoundTripper
	limit int64
}

// RoundTrip is that of http.RoundTripper.
func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	w, err := l.RoundTripper.RoundTrip(r)
	if err == nil && w.Body != nil {
		w.Body = &body{w.Body, l.limit}
	}
	return w, err
}

type body struct {
	io.ReadCloser
	left int64
}

// Read is that of io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLong
	}
	return n, err
}
