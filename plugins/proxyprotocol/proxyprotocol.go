// Package proxyprotocol reads the PROXY protocol, by which load balancers tell whose connection they pass on.
package proxyprotocol

import (
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mosn.io/moe/framework/listener"
	"mosn.io/moe/plugins/internal/ipset"
)

// ProxyProtocol reads the header of the PROXY protocol, version 1 or 2, from load balancers that are trusted. It is a
// listener filter.
type ProxyProtocol struct {
	// Trusted lists the networks and addresses of the load balancers, whose headers are believed.
	Trusted []netip.Prefix `json:"trusted" validate:"required,min=1"`
	// Others is what happens to connections from elsewhere: refuse closes them, pass lets them go on as they are.
	Others string `json:"others" enum:"refuse,pass" default:"refuse"`
	// Optional lets trusted load balancers connect without a header, too.
	Optional bool `json:"optional"`
	// Versions lists the versions that are read.
	Versions []int `json:"versions" default:"[1, 2]"`
	// MaxSize is how long a header of version 2 may be.
	MaxSize listener.Size `json:"maxSize" default:"4KiB" validate:"min=16,max=65536"`
	// TLVs says which values of version 2 become dynamic metadata of the connection.
	TLVs []TLV `json:"tlvs"`
	// Namespace is that of the metadata, and begins the keys of filter state.
	Namespace string `json:"namespace" default:"moe.proxyprotocol" validate:"required"`
	// FilterState also sets each value as the connection's filter state, under NAMESPACE.KEY, which requests see, too.
	FilterState bool `json:"filterState"`

	trusted *ipset.Set
	read    [3]*listener.Counter // by version
	refused map[string]*listener.Counter
	passed  *listener.Counter
}

// TLV is a value that is kept.
type TLV struct {
	// Type is the number of the value, such as 2 for the host name of the client, or 0xEA, 234, for AWS.
	Type int `json:"type" validate:"min=1,max=255"`
	// Sub is the number of a value within that of TLS (type 32), such as 34 for the name in the client's certificate.
	Sub int `json:"sub" validate:"min=0,max=255"`
	// Key is what it is called.
	Key string `json:"key" validate:"required"`
	// Encoding is how the bytes become text. For text, what is not UTF-8 is replaced.
	Encoding string `json:"encoding" enum:"text,hex,base64" default:"text"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() { listener.Register[ProxyProtocol]("proxyprotocol", listener.Docs(docs)) }

// Validate prepares the look-up.
func (p *ProxyProtocol) Validate() error {
	p.trusted = ipset.New(p.Trusted)
	var errs []error
	if len(p.Versions) == 0 {
		errs = append(errs, errors.New("versions: is empty; leave it out for both"))
	}
	for i, v := range p.Versions {
		if v != 1 && v != 2 {
			errs = append(errs, fmt.Errorf("versions[%d]: expected 1 or 2, got %d", i, v))
		}
	}
	keys := map[string]bool{}
	for i, t := range p.TLVs {
		if t.Sub != 0 && t.Type != kindSSL {
			errs = append(errs, fmt.Errorf("tlvs[%d].sub: only type %d has values within", i, kindSSL))
		}
		if keys[t.Key] {
			errs = append(errs, fmt.Errorf("tlvs[%d].key: duplicate key %q", i, t.Key))
		}
		keys[t.Key] = true
	}
	if len(p.TLVs) > 0 && !slices.Contains(p.Versions, 2) {
		errs = append(errs, errors.New("tlvs: only version 2 has them"))
	}
	if p.FilterState && strings.HasPrefix(p.Namespace, "envoy.") {
		errs = append(errs, errors.New("namespace: Envoy's own filter state begins with \"envoy.\"; choose another"))
	}
	return errors.Join(errs...)
}

// Provision declares metrics.
func (p *ProxyProtocol) Provision(env *listener.Env) error {
	read := env.Tag("version").Counter("read")
	p.read[1], p.read[2] = read.With("1"), read.With("2")
	refused := env.Tag("reason").Counter("refused")
	p.refused = map[string]*listener.Counter{}
	for _, reason := range []string{"untrusted", "missing", "malformed", "version"} {
		p.refused[reason] = refused.With(reason)
	}
	p.passed = env.Counter("passed")
	return nil
}

// OnAccept looks at who has connected: at the socket's other end, whatever filters before say.
func (p *ProxyProtocol) OnAccept(s *listener.Socket) listener.Action {
	if p.trusted.Has(s.DirectRemoteAddr().Addr()) {
		return listener.Peek(1, longest1)
	}
	if p.Others == "pass" {
		p.passed.Inc()
		return listener.Continue
	}
	return p.refuse(s, "untrusted", errors.New("the connection comes from no trusted address"))
}

// OnData reads the header.
func (p *ProxyProtocol) OnData(s *listener.Socket, data []byte) listener.Action {
	h, need, err := read(data, int(p.MaxSize))
	switch {
	case errors.Is(err, errNone) && p.Optional:
		p.passed.Inc()
		return listener.Continue
	case errors.Is(err, errNone):
		return p.refuse(s, "missing", err)
	case err != nil:
		return p.refuse(s, "malformed", err)
	case need > 0:
		return listener.Peek(need, max(need, longest1))
	case !slices.Contains(p.Versions, h.version):
		return p.refuse(s, "version", fmt.Errorf("version %d is not read", h.version))
	}
	if err := p.tell(s, h); err != nil {
		s.Log().Error("what the header says cannot be set", "error", err)
		return listener.Refuse("what the header says cannot be set")
	}
	p.read[h.version].Inc()
	return listener.Drain(h.length)
}

// tell sets what the header says.
func (p *ProxyProtocol) tell(s *listener.Socket, h *header) error {
	var errs []error
	if h.src.IsValid() {
		errs = append(errs, s.SetRemoteAddr(h.src))
	}
	if h.dst.IsValid() && h.dst != s.LocalAddr() {
		errs = append(errs, s.SetLocalAddr(h.dst))
	}
	for _, t := range p.TLVs {
		value, ok := h.value(byte(t.Type), byte(t.Sub))
		if !ok {
			continue
		}
		text := t.text(value)
		errs = append(errs, s.SetMetadata(p.Namespace, t.Key, text))
		if p.FilterState {
			errs = append(errs, s.SetFilterState(p.Namespace+"."+t.Key, text))
		}
	}
	return errors.Join(errs...)
}

func (t *TLV) text(value []byte) string {
	switch t.Encoding {
	case "hex":
		return hex.EncodeToString(value)
	case "base64":
		return base64.StdEncoding.EncodeToString(value)
	}
	return strings.ToValidUTF8(string(value), "\uFFFD")
}

func (p *ProxyProtocol) refuse(s *listener.Socket, reason string, err error) listener.Action {
	p.refused[reason].Inc()
	s.Log().Info("refused", "from", s.DirectRemoteAddr().String(), "reason", strconv.Quote(err.Error()))
	return listener.Refuse(reason)
}
