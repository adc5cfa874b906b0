package istio

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// hbone returns the door to a destination, ADDRESS:PORT, behind a waypoint: each connection is a tunnel by HTTP CONNECT
// over mutual TLS, as ztunnel makes them (https://istio.io/latest/docs/ambient/architecture/hbone/).
func (p *proxy) hbone(destination string) *door {
	p.m.Helper()
	addr := p.address("connect_terminate")
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	tunnels := &http.Transport{TLSClientConfig: p.m.clientTLS(), Protocols: protocols}
	p.m.Cleanup(tunnels.CloseIdleConnections)
	d := &door{m: p.m, addr: destination}
	d.http = &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			d.tunnels.Add(1)
			return tunnel(tunnels, addr, destination)
		},
	}, Timeout: patience}
	p.m.Cleanup(d.http.CloseIdleConnections)
	return d
}

// clientTLS is that of a workload with a certificate of the mesh.
func (m *mesh) clientTLS() *tls.Config {
	m.Helper()
	data, _ := m.agent.Secret("default", "client")["data"].(map[string]any)
	pem := func(key string) []byte {
		text, _ := data[key].(string)
		b, err := base64.StdEncoding.DecodeString(text)
		m.ok(err)
		return b
	}
	cert, err := tls.X509KeyPair(pem("tls.crt"), pem("tls.key"))
	m.ok(err)
	// The waypoint's certificate has a SPIFFE identity and no host name; the tests are about what it does with requests.
	return &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true, NextProtos: []string{"h2"}}
}

// tunnel opens a connection to a destination through the waypoint at addr.
func tunnel(t *http.Transport, addr, destination string) (net.Conn, error) {
	in, out := io.Pipe()
	r := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Scheme: "https", Host: addr}, Host: destination, Body: in, Header: http.Header{},
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("CONNECT %s: status %d", destination, resp.StatusCode)
	}
	return &tunnelConn{ReadCloser: resp.Body, out: out}, nil
}

// tunnelConn is a stream of HTTP/2 as a connection. It has no deadlines: the client's time-out closes it.
type tunnelConn struct {
	io.ReadCloser
	out *io.PipeWriter
}

func (c *tunnelConn) Write(b []byte) (int, error) { return c.out.Write(b) }

func (c *tunnelConn) Close() error { return errors.Join(c.out.Close(), c.ReadCloser.Close()) }

func (c *tunnelConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *tunnelConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *tunnelConn) SetDeadline(time.Time) error      { return nil }
func (c *tunnelConn) SetReadDeadline(time.Time) error  { return nil }
func (c *tunnelConn) SetWriteDeadline(time.Time) error { return nil }
