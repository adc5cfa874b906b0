//go:build !sdk1362

package main

import (
	"fmt"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
)

// What the SDK has gained since 1.36.2.

func drain(cb api.FilterCallbackHandler) { cb.StreamInfo().DrainConnectionUponCompletion() }

func init() {
	register("ssl", func(_ settings, cb api.FilterCallbackHandler) api.StreamFilter { return &ssl{stream: stream{cb: cb}} })
}

// ssl tells the upstream about the client's TLS connection.
type ssl struct{ stream }

func (f *ssl) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	c := f.cb.StreamInfo().DownstreamSslConnection()
	if c == nil {
		h.Set("x-ssl", "no")
		return api.Continue
	}
	h.Set("x-ssl", "yes")
	for name, v := range map[string]any{
		"presented": c.PeerCertificatePresented(), "validated": c.PeerCertificateValidated(),
		"digest": c.Sha256PeerCertificateDigest(), "serial": c.SerialNumberPeerCertificate(),
		"subject": c.SubjectPeerCertificate(), "issuer": c.IssuerPeerCertificate(),
		"subject-local": c.SubjectLocalCertificate(), "version": c.TlsVersion(), "cipher": c.CiphersuiteString(),
		"dns": c.DnsSansPeerCertificate(), "dns-local": c.DnsSansLocalCertificate(),
		"uri": c.UriSanPeerCertificate(), "uri-local": c.UriSanLocalCertificate(),
		"pem": len(c.UrlEncodedPemEncodedPeerCertificate()), "chain": len(c.UrlEncodedPemEncodedPeerCertificateChain()),
	} {
		h.Set("x-cert-"+name, fmt.Sprint(v))
	}
	number := func(name string, n uint64, ok bool) { h.Set("x-cert-"+name, fmt.Sprint(n, ok)) }
	from, ok := c.ValidFromPeerCertificate()
	number("from", from, ok)
	to, ok := c.ExpirationPeerCertificate()
	number("expiration", to, ok)
	id, ok := c.CiphersuiteId()
	number("cipher-id", uint64(id), ok)
	return api.Continue
}
