package mosnconf

import (
	"cmp"
	"net/netip"
	"strings"
)

func transport(side string, fields obj) obj {
	return obj{"name": "envoy.transport_sockets.tls", "typed_config": message(
		extensions+"transport_sockets.tls.v3."+side+"TlsContext", fields)}
}

// downstreamTLS is a listener's TLS.
func (c *converter) downstreamTLS(path string, t *tlsConfig) obj {
	path += ".tls_context"
	if t.CertChain == "" || t.PrivateKey == "" {
		c.fail(path, "cert_chain and private_key are both needed")
	}
	out := obj{"common_tls_context": c.commonTLS(path, t, t.VerifyClient || t.RequireClient)}
	if t.RequireClient {
		if !t.VerifyClient {
			c.note(path+".require_client_cert", "MOSN only asks for a certificate unless verify_client is set too; Envoy requires "+
				"and verifies it")
		}
		out["require_client_certificate"] = true
	}
	return transport("Downstream", out)
}

// upstreamTLS is a cluster's TLS, or nil.
func (c *converter) upstreamTLS(path string, t *tlsConfig) obj {
	if t == nil || !t.Status {
		return nil
	}
	path += ".tls_context"
	if !t.InsecureSkip && t.CACert == "" {
		c.fail(path, "the upstream's certificate is verified by the machine's authorities in MOSN; name them in ca_cert "+
			"for Envoy, or set insecure_skip")
	}
	common := c.commonTLS(path, t, !t.InsecureSkip)
	_, err := netip.ParseAddr(t.ServerName)
	isName := err != nil
	if v, verified := common["validation_context"].(obj); verified && t.ServerName != "" {
		v["match_typed_subject_alt_names"] = list{sanOf(t.ServerName, isName)}
	} else if verified {
		c.fail(path+".server_name", "is needed: the upstream's certificate must be for it; MOSN connects nowhere without it")
	}
	out := obj{"common_tls_context": common}
	if isName {
		set(out, "sni", t.ServerName)
	}
	return transport("Upstream", out)
}

// sanOf matches certificates for a name, or for an address.
func sanOf(server string, isName bool) obj {
	kind := "IP_ADDRESS"
	if isName {
		kind = "DNS"
	}
	return obj{"san_type": kind, "matcher": obj{"exact": server}}
}

func (c *converter) commonTLS(path string, t *tlsConfig, verify bool) obj {
	out := obj{}
	if t.CertChain != "" {
		out["tls_certificates"] = list{obj{"certificate_chain": source(t.CertChain), "private_key": source(t.PrivateKey)}}
	}
	if verify && t.CACert != "" {
		v := obj{"trusted_ca": source(t.CACert)}
		out["validation_context"] = v
	} else if verify {
		c.fail(path+".ca_cert", "is needed to verify the other side's certificate")
	}
	params := obj{}
	set(params, "tls_minimum_protocol_version", c.tlsVersion(path+".min_version", t.MinVersion))
	set(params, "tls_maximum_protocol_version", c.tlsVersion(path+".max_version", t.MaxVersion))
	if t.CipherSuites != "" {
		params["cipher_suites"] = split(t.CipherSuites)
	}
	if t.Curves != "" {
		params["ecdh_curves"] = curves(split(t.Curves))
	}
	if len(params) > 0 {
		out["tls_params"] = params
	}
	if t.ALPN != "" {
		out["alpn_protocols"] = split(t.ALPN)
	}
	return out
}

// curves are Envoy's names of curves, whose case does not matter in MOSN.
func curves(names list) (out list) {
	known := map[string]string{"P256": "P-256", "P384": "P-384", "P521": "P-521", "X25519": "X25519"}
	for _, name := range names {
		text, _ := name.(string)
		out = append(out, cmp.Or(known[strings.ToUpper(text)], text))
	}
	return out
}

// split reads a list as MOSN writes it, with colons or commas between.
func split(text string) (out list) {
	for _, s := range strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		out = append(out, s)
	}
	return out
}

// source is a file, or PEM text.
func source(text string) obj {
	if strings.Contains(text, "-----BEGIN") {
		return obj{"inline_string": text}
	}
	return obj{"filename": text}
}
