package ldapauth

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/outbound"
)

// directory is how connections are made.
type directory struct {
	addr     string
	tls      *tls.Config // nil: LDAP in the clear
	startTLS bool
	timeout  time.Duration
	bindDN   string // who a new connection is bound as; "": nobody
	password filter.Secret
}

// config returns how the directory is verified.
func (t *TLS) config(host string) (*tls.Config, error) {
	c := outbound.Connection{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile}
	config, err := c.TLS()
	if err == nil {
		config.ServerName = host
	}
	return config, err
}

// local reports whether a host is this machine.
func local(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// connect makes a connection. The end of ctx ends what it does on it.
func (d *directory) connect(ctx context.Context) (*ldap.Conn, error) {
	conn, err := (&net.Dialer{Timeout: d.timeout}).DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	raw := &bounded{Conn: conn}
	raw.left.Store(maxAnswer)
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	if err := raw.SetDeadline(time.Now().Add(d.timeout)); err != nil { // no handshake has a time of its own
		raw.Close()
		return nil, err
	}
	c, err := d.secure(raw)
	if err == nil {
		if err = raw.SetDeadline(time.Time{}); err != nil {
			c.Close()
		}
	}
	if err != nil {
		return nil, err
	}
	c.SetTimeout(d.timeout)
	if d.bindDN != "" {
		if err := c.Bind(d.bindDN, d.password.Reveal()); err != nil {
			c.Close()
			return nil, errors.Join(errReader, err)
		}
	}
	return c, nil
}

// secure begins LDAP on a connection, which it closes if that fails.
func (d *directory) secure(raw net.Conn) (*ldap.Conn, error) {
	if d.tls != nil && !d.startTLS {
		secured := tls.Client(raw, d.tls)
		if err := secured.Handshake(); err != nil {
			raw.Close()
			return nil, err
		}
		raw = secured
	}
	c := ldap.NewConn(raw, d.tls != nil && !d.startTLS)
	c.Start()
	if d.startTLS {
		if err := c.StartTLS(d.tls); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// maxAnswer is how many bytes a directory may answer a request with.
const maxAnswer = 4 << 20

var errTooLong = errors.New("the directory's answer is too long")

// bounded is a connection that fails when more than maxAnswer bytes come without anything being sent.
type bounded struct {
	net.Conn
	left atomic.Int64
}

// Read is that of net.Conn.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if b.left.Add(-int64(n)) < 0 {
		b.Conn.Close()
		return 0, errTooLong
	}
	return n, err
}

// Write is that of net.Conn.
func (b *bounded) Write(p []byte) (int, error) {
	b.left.Store(maxAnswer)
	return b.Conn.Write(p)
}

var errReader = errors.New("the directory does not take search.bindDN and its password")

// pool has connections of which each serves one request at a time.
type pool struct {
	directory directory
	turns     chan struct{} // of connections in use

	mu     sync.Mutex
	idle   []*ldap.Conn
	closed bool
}

func newPool(d directory, size int) *pool {
	return &pool{directory: d, turns: make(chan struct{}, size)}
}

// do calls f with a connection, and once more with a new one if an idle one turns out to be dead. A connection for which f
// returns an error that is not the directory's answer is closed.
func (p *pool) do(ctx context.Context, f func(*ldap.Conn) error) error {
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	use := func(c *ldap.Conn) error {
		defer context.AfterFunc(ctx, func() { c.Close() })()
		return f(c)
	}
	if c := p.take(); c != nil {
		err := use(c)
		if answered(err) {
			p.put(c)
			return err
		}
		c.Close()
		if ctx.Err() != nil {
			return err
		}
	}
	c, err := p.directory.connect(ctx)
	if err != nil {
		return err
	}
	if err = use(c); answered(err) {
		p.put(c)
	} else {
		c.Close()
	}
	return err
}

// answered reports whether an error is an answer of the directory, after which a connection is as good as before.
func answered(err error) bool {
	var e *ldap.Error
	return err == nil || errors.As(err, &e) && e.ResultCode < ldap.ErrorNetwork
}

func (p *pool) take() *ldap.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := len(p.idle); n > 0; n = len(p.idle) {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		if !c.IsClosing() {
			return c
		}
		c.Close()
	}
	return nil
}

func (p *pool) put(c *ldap.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c.IsClosing() {
		c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.Close()
	}
	p.idle = nil
}
