package extprocd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"mosn.io/moe/internal/filewatch"
)

// TLS names files. Without Cert the server speaks plain text; with ClientCA it asks clients for a certificate of that
// authority. The files are read again when they change.
type TLS struct{ Cert, Key, ClientCA string }

func (t TLS) credentials(log *slog.Logger, poll time.Duration) (grpc.ServerOption, error) {
	if t.Cert == "" {
		if t.Key != "" || t.ClientCA != "" {
			return nil, fmt.Errorf("TLS: a key or a client authority without a certificate")
		}
		return grpc.Creds(insecure.NewCredentials()), nil
	}
	c := &certificates{t: t, log: log, poll: poll, files: filewatch.New(t.Cert, t.Key, t.ClientCA)}
	if err := c.load(); err != nil {
		return nil, err
	}
	return grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.config(), nil },
	})), nil
}

// certificates keeps the TLS configuration that the files give.
type certificates struct {
	t    TLS
	log  *slog.Logger
	poll time.Duration

	mu      sync.Mutex
	files   *filewatch.Files
	looked  time.Time
	current *tls.Config
}

// load reads the files.
func (c *certificates) load() error {
	pair, err := tls.LoadX509KeyPair(c.t.Cert, c.t.Key)
	if err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{pair}}
	if c.t.ClientCA != "" {
		pem, err := os.ReadFile(c.t.ClientCA)
		if err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		conf.ClientCAs = x509.NewCertPool()
		if !conf.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("TLS: no certificate in %s", c.t.ClientCA)
		}
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.current, c.looked = conf, time.Now()
	return nil
}

// config returns the TLS configuration for a new connection. It checks the files at most once every poll; files that are
// wrong, or do not fit together yet, leave the configuration as it is.
func (c *certificates) config() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < c.poll {
		return c.current
	}
	c.looked = time.Now()
	if !c.files.Changed() {
		return c.current
	}
	if err := c.load(); err != nil {
		c.files.Again()
		c.log.Error("certificates refused, those before go on", "error", err)
	} else {
		c.log.Info("certificates loaded", "file", c.t.Cert)
	}
	return c.current
}
