package verify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
)

// Agent plays the part of Istio's agent beside a proxy: it serves the certificates without which clusters and listeners
// with mutual TLS would wait for ever. Each Agent has its own new authority, so that its proxies trust one another and
// nobody else trusts them.
type Agent struct {
	secretv3.UnimplementedSecretDiscoveryServiceServer
	ln      net.Listener
	server  *grpc.Server
	version atomic.Int64

	root, chain, key []byte // PEM
}

// NewAgent starts an agent on a free port of 127.0.0.1.
func NewAgent() (*Agent, error) {
	a := new(Agent)
	if err := a.issue(); err != nil {
		return nil, err
	}
	var err error
	if a.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	a.server = grpc.NewServer()
	secretv3.RegisterSecretDiscoveryServiceServer(a.server, a)
	go a.server.Serve(a.ln)
	return a, nil
}

// Address returns the host:port at which the agent serves secrets over gRPC in plain text.
func (a *Agent) Address() string { return a.ln.Addr().String() }

// Close stops the agent.
func (a *Agent) Close() { a.server.Stop() }

func (a *Agent) issue() error {
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "moe istio verify"}, IsCA: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
		URIs: []*url.URL{{Scheme: "spiffe", Host: "cluster.local"}},
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &authority.PublicKey, authority)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/default/sa/default"}},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, authority)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	a.root = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
	a.chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER})
	a.key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return nil
}

// Secret returns a Kubernetes Secret with the agent's certificate, which is valid for servers and clients.
func (a *Agent) Secret(namespace, name string) Object {
	encode := base64.StdEncoding.EncodeToString
	return Object{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata": map[string]any{"name": name, "namespace": namespace},
		"data":     map[string]any{"tls.crt": encode(a.chain), "tls.key": encode(a.key), "ca.crt": encode(a.root)},
	}
}

// StreamSecrets answers each request, acknowledgements apart, with the secrets that the request names.
func (a *Agent) StreamSecrets(s secretv3.SecretDiscoveryService_StreamSecretsServer) error {
	sent := ""
	for {
		r, err := s.Recv()
		if err != nil {
			return nil
		}
		names := strings.Join(r.ResourceNames, " ")
		if len(r.ResourceNames) == 0 || r.ResponseNonce != "" && names == sent {
			continue
		}
		sent = names
		version := strconv.FormatInt(a.version.Add(1), 10)
		response := &discoveryv3.DiscoveryResponse{TypeUrl: r.TypeUrl, VersionInfo: version, Nonce: version}
		for _, name := range r.ResourceNames {
			any, err := anypb.New(a.secret(name))
			if err != nil {
				return err
			}
			response.Resources = append(response.Resources, any)
		}
		if err := s.Send(response); err != nil {
			return err
		}
	}
}

func (a *Agent) secret(name string) *tlsv3.Secret {
	bytes := func(b []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
	}
	if name == "ROOTCA" || strings.HasPrefix(name, "file-root:") || strings.HasSuffix(name, "-cacert") {
		return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
			ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: bytes(a.root)},
		}}
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: bytes(a.chain), PrivateKey: bytes(a.key)},
	}}
}
