package bootstrap

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/document"
)

// ListenerTLS is how a listener speaks TLS: Envoy's DownstreamTlsContext.
type ListenerTLS struct {
	// Certificates are Envoy's own. Of several, Envoy takes the one that has the name that a client asks for (SNI), and
	// the first if none has.
	Certificates []Certificate `json:"certificates" validate:"required,min=1"`
	// ServerNames are the names that clients may ask for; a connection that asks for another one, or for none, is closed.
	// *.example.com is all names below example.com. Any name may be asked for by default.
	ServerNames []string `json:"serverNames" validate:"omitempty,min=1"`
	// ClientCertificates asks clients for certificates.
	ClientCertificates *ClientCertificates `json:"clientCertificates"`
	// MinimumProtocolVersion is the oldest version of TLS.
	MinimumProtocolVersion string `json:"minimumProtocolVersion" default:"TLSv1_2" enum:"TLSv1_2,TLSv1_3"`
	// ALPNProtocols are the protocols that are offered to clients.
	ALPNProtocols []string `json:"alpnProtocols" default:"h2,http/1.1" enum:"h2,http/1.1" validate:"min=1"`
}

// Certificate is a certificate and its key: two files, or from a secret discovery service.
type Certificate struct {
	// CertificateChain is a PEM file with the certificate, and the authorities between it and the root.
	CertificateChain string `json:"certificateChain"`
	// PrivateKey is a PEM file with its key.
	PrivateKey string `json:"privateKey"`
	// SDSSecretConfig says where Envoy gets both from, in place of files.
	SDSSecretConfig *document.GenericSecret `json:"sdsSecretConfig"`
}

// ClientCertificates says which certificates clients must have.
type ClientCertificates struct {
	// TrustedCA is a PEM file with the authorities of clients. This or validator is required.
	TrustedCA string `json:"trustedCa"`
	// Validator decides in Go which certificates are good, in place of trustedCa, subjectAltNames and crl. Clients cannot
	// resume TLS sessions then, since Envoy would not ask it about those.
	Validator *CertValidator `json:"validator"`
	// Required refuses clients without a certificate; false only verifies those that have one.
	Required bool `json:"required" default:"true"`
	// SubjectAltNames are the names of which a client's certificate must have one: DNS names, URIs such as
	// spiffe://example.com/api, mail or IP addresses. Any name will do by default.
	SubjectAltNames []string `json:"subjectAltNames" validate:"omitempty,min=1"`
	// CRL is a PEM file with the authorities' revocation lists: one of each authority in the chain.
	CRL string `json:"crl"`
	// Forward tells the upstream the names in the certificate in the header x-forwarded-client-cert. What clients send in
	// this header is removed in any case.
	Forward bool `json:"forward"`
}

// UpstreamTLS is how Envoy speaks TLS to an upstream, which it always verifies: Envoy's UpstreamTlsContext.
type UpstreamTLS struct {
	// ServerName is the name to ask for (SNI), and to expect in the certificate; the host of the endpoints by default.
	ServerName string `json:"serverName"`
	// SubjectAltNames are the names of which the certificate must have one, in place of serverName.
	SubjectAltNames []string `json:"subjectAltNames" validate:"omitempty,min=1"`
	// TrustedCA is a PEM file with the upstream's authorities; the system's by default.
	TrustedCA string `json:"trustedCa"`
	// Validator decides in Go which certificates are good, in place of trustedCa and subjectAltNames.
	Validator *CertValidator `json:"validator"`
	// Certificate is Envoy's own, for an upstream that asks for one.
	Certificate *Certificate `json:"certificate"`
}

var tlsVersions = map[string]tlsv3.TlsParameters_TlsProtocol{
	"TLSv1_2": tlsv3.TlsParameters_TLSv1_2, "TLSv1_3": tlsv3.TlsParameters_TLSv1_3,
}

// listenerTLS is the context of l, which has TLS.
func (b *builder) listenerTLS(l *Listener) *tlsv3.DownstreamTlsContext {
	t := l.TLS
	common := &tlsv3.CommonTlsContext{
		TlsParams:     &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsVersions[t.MinimumProtocolVersion]},
		AlpnProtocols: t.ALPNProtocols,
	}
	for i := range t.Certificates {
		b.certificate(common, fmt.Sprintf("listener-%s-%d", l.Name, i), &t.Certificates[i])
	}
	c := &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
	if m := t.ClientCertificates; m != nil {
		c.RequireClientCertificate = wrapperspb.Bool(m.Required)
		if m.Validator != nil {
			m.Validator.decide(common)
			c.DisableStatefulSessionResumption = true
			c.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{
				DisableStatelessSessionResumption: true,
			}
			return c
		}
		v := &tlsv3.CertificateValidationContext{
			TrustedCa: fileSource(m.TrustedCA), MatchTypedSubjectAltNames: names(m.SubjectAltNames),
		}
		if m.CRL != "" {
			v.Crl = fileSource(m.CRL)
		}
		b.validation(common, "listener-"+l.Name+"-clients", v)
	}
	return c
}

// forward has the connection manager tell upstreams the client's names, if the file says so. Otherwise Envoy removes
// the header.
func (t *ListenerTLS) forward(m *hcmv3.HttpConnectionManager) {
	if t == nil || t.ClientCertificates == nil || !t.ClientCertificates.Forward {
		return
	}
	m.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
	m.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
		Subject: wrapperspb.Bool(true), Uri: true, Dns: true,
	}
}

// upstreamTLS is the context of u, which has TLS.
func (b *builder) upstreamTLS(u *Upstream) *tlsv3.UpstreamTlsContext {
	t := u.TLS
	common := &tlsv3.CommonTlsContext{}
	c := &tlsv3.UpstreamTlsContext{CommonTlsContext: common}
	expected := t.SubjectAltNames
	if name := u.serverName(); name != "" {
		if len(expected) == 0 {
			expected = []string{name}
		}
		if !isAddress(name) { // an address is not a server name
			c.Sni = name
		}
	}
	if t.Validator != nil {
		t.Validator.decide(common)
	} else {
		b.authorities(common, u, expected)
	}
	if t.Certificate != nil {
		b.certificate(common, "upstream-"+u.Name, t.Certificate)
	}
	return c
}

// authorities has a context expect one of names in a certificate of u, of its authorities or the system's.
func (b *builder) authorities(common *tlsv3.CommonTlsContext, u *Upstream, expected []string) {
	ca := u.TLS.TrustedCA
	if ca == "" {
		ca = systemCA()
	}
	v := &tlsv3.CertificateValidationContext{TrustedCa: fileSource(ca), MatchTypedSubjectAltNames: names(expected)}
	if u.TLS.TrustedCA == "" { // the system's is replaced with the system
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: v}
	} else {
		b.validation(common, "upstream-"+u.Name+"-authorities", v)
	}
}

// certificate adds a certificate to a context. One in files is a secret of its own if there is a directory for it,
// because only then does Envoy read the files again: when one is moved into its place, or into its directory.
func (b *builder) certificate(common *tlsv3.CommonTlsContext, name string, c *Certificate) {
	if c.SDSSecretConfig != nil {
		sds, err := sdsSecret(c.SDSSecretConfig)
		if err != nil {
			panic(err) // Check has found it to be good
		}
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, sds)
		return
	}
	pair := &tlsv3.TlsCertificate{CertificateChain: fileSource(c.CertificateChain), PrivateKey: fileSource(c.PrivateKey)}
	if b.o.Dir == "" {
		common.TlsCertificates = append(common.TlsCertificates, pair)
		return
	}
	pair.WatchedDirectory = watched(c.CertificateChain, c.PrivateKey)
	common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs,
		b.secret(&tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: pair}}))
}

// validation has a context verify the other side, likewise.
func (b *builder) validation(common *tlsv3.CommonTlsContext, name string, v *tlsv3.CertificateValidationContext) {
	if b.o.Dir == "" {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: v}
		return
	}
	v.WatchedDirectory = watched(v.TrustedCa.GetFilename(), v.Crl.GetFilename())
	common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
		ValidationContextSdsSecretConfig: b.secret(&tlsv3.Secret{
			Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: v},
		}),
	}
}

// watched is the directory of files that are all in one. It is watched so that files behind a symbolic link to their
// directory are seen, which is how Kubernetes replaces them.
func watched(files ...string) *corev3.WatchedDirectory {
	dir := filepath.Dir(files[0])
	for _, f := range files {
		if f != "" && filepath.Dir(f) != dir {
			return nil
		}
	}
	return &corev3.WatchedDirectory{Path: dir}
}

// sdsSecret is Envoy's form of a secret that is discovered.
func sdsSecret(v any) (*tlsv3.SdsSecretConfig, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	s := &tlsv3.SdsSecretConfig{}
	if err := protojson.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("not an SdsSecretConfig of Envoy's: %w", err)
	}
	return s, s.ValidateAll()
}

// names matches certificates that have one of these.
func names(all []string) (matchers []*tlsv3.SubjectAltNameMatcher) {
	for _, name := range all {
		kind := tlsv3.SubjectAltNameMatcher_DNS
		switch _, err := netip.ParseAddr(name); {
		case err == nil:
			kind = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
		case strings.Contains(name, "://"):
			kind = tlsv3.SubjectAltNameMatcher_URI
		case strings.Contains(name, "@"):
			kind = tlsv3.SubjectAltNameMatcher_EMAIL
		}
		matchers = append(matchers, &tlsv3.SubjectAltNameMatcher{SanType: kind, Matcher: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name},
		}})
	}
	return matchers
}

func fileSource(name string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: name}}
}

// systemCA returns where this system keeps its certificate authorities; SSL_CERT_FILE says otherwise, as for Go.
func systemCA() string {
	if f := os.Getenv("SSL_CERT_FILE"); f != "" {
		return f
	}
	files := []string{
		"/etc/ssl/certs/ca-certificates.crt", // Debian
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
		"/etc/ssl/ca-bundle.pem",             // openSUSE
		"/etc/ssl/cert.pem",                  // Alpine, macOS
	}
	for _, f := range files {
		if _, err := os.Stat(f); err == nil {
			return f
		}
	}
	return files[0]
}
