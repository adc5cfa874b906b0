// Package clienthello reads what a TLS client says first: the name that it asks for, and how it says so.
package clienthello

import (
	"embed"
	"errors"
	"fmt"
	"strings"

	"mosn.io/moe/framework/listener"
)

// ClientHello reads the first message of TLS, without decrypting anything, and tells Envoy the server name (SNI), the
// application protocols (ALPN) and the fingerprints JA3 and JA4 of the client. It is a listener filter.
type ClientHello struct {
	// Deny lists fingerprints, JA3 hashes and JA4, of clients that are refused.
	Deny []string `json:"deny"`
	// Require refuses connections that do not begin with a well-formed message of TLS. Otherwise they go on as they are.
	Require bool `json:"require"`
	// MaxSize is how long the message may be.
	MaxSize listener.Size `json:"maxSize" default:"16KiB" validate:"min=512,max=61440"`
	// Namespace is that of the dynamic metadata, and begins the keys of filter state.
	Namespace string `json:"namespace" default:"moe.clienthello" validate:"required"`
	// FilterState also sets each value as the connection's filter state, under NAMESPACE.KEY, which requests see, too.
	FilterState bool `json:"filterState"`

	deny                           map[string]bool
	read, denied, other, malformed *listener.Counter
}

//go:embed README.md schema.json
var docs embed.FS

func init() { listener.Register[ClientHello]("clienthello", listener.Docs(docs)) }

// Validate prepares the look-up.
func (c *ClientHello) Validate() error {
	var errs []error
	c.deny = map[string]bool{}
	for i, f := range c.Deny {
		f = strings.ToLower(f)
		if !isJA3(f) && !isJA4(f) {
			errs = append(errs, fmt.Errorf("deny[%d]: expected a JA3 hash of 32 hexadecimal digits, or a JA4 such as "+
				"t13d1516h2_8daaf6152771_e5627efa2ab1", i))
		}
		c.deny[f] = true
	}
	if c.FilterState && strings.HasPrefix(c.Namespace, "envoy.") {
		errs = append(errs, errors.New("namespace: Envoy's own filter state begins with \"envoy.\"; choose another"))
	}
	return errors.Join(errs...)
}

func isJA3(f string) bool { return len(f) == 32 && isHex(f) }

func isJA4(f string) bool {
	parts := strings.Split(f, "_")
	return len(parts) == 3 && len(parts[0]) == 10 && len(parts[1]) == 12 && isHex(parts[1]) && len(parts[2]) == 12 && isHex(parts[2])
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// Provision declares metrics.
func (c *ClientHello) Provision(env *listener.Env) error {
	c.read, c.denied = env.Counter("read"), env.Counter("denied")
	c.other, c.malformed = env.Counter("other"), env.Counter("malformed")
	return nil
}

// SetsServerName is listener.ServerNamer's.
func (c *ClientHello) SetsServerName() bool { return true }

// OnAccept waits for the first bytes.
func (c *ClientHello) OnAccept(*listener.Socket) listener.Action {
	return listener.Peek(1, c.most())
}

// most is how many bytes the message and its records can have.
func (c *ClientHello) most() int {
	return min(int(c.MaxSize)+maxRecords*recordHeader, listener.MaxPeek)
}

// OnData reads the message.
func (c *ClientHello) OnData(s *listener.Socket, p []byte) listener.Action {
	h, need, err := read(p, int(c.MaxSize))
	switch {
	case errors.Is(err, errOther):
		c.other.Inc()
		return c.without(s, err)
	case err != nil:
		c.malformed.Inc()
		return c.without(s, err)
	case need > 0:
		return listener.Peek(need, c.most())
	}
	c.read.Inc()
	_, ja3 := h.ja3()
	ja4 := h.ja4()
	if err := c.tell(s, h, ja3, ja4); err != nil {
		s.Log().Error("what the client says cannot be set", "error", err)
		return listener.Refuse("what the client says cannot be set")
	}
	if c.deny[ja3] || c.deny[strings.ToLower(ja4)] {
		c.denied.Inc()
		s.Log().Info("denied", "from", s.RemoteAddr().String(), "ja3", ja3, "ja4", ja4)
		return listener.Refuse("denied fingerprint")
	}
	return listener.Continue
}

// without decides about a connection whose first message cannot be had.
func (c *ClientHello) without(s *listener.Socket, err error) listener.Action {
	if !c.Require {
		return listener.Continue
	}
	s.Log().Info("refused", "from", s.RemoteAddr().String(), "reason", err.Error())
	return listener.Refuse("no ClientHello")
}

// tell sets what the client says. What is not text is replaced.
func (c *ClientHello) tell(s *listener.Socket, h *hello, ja3, ja4 string) error {
	errs := []error{s.SetTransportProtocol("tls"), s.SetJA3(ja3), s.SetJA4(ja4)}
	if h.serverName != "" {
		errs = append(errs, s.SetServerName(h.serverName))
	}
	if len(h.alpn) > 0 {
		errs = append(errs, s.SetApplicationProtocols(h.alpn))
	}
	for _, v := range []struct{ key, value string }{
		{"sni", h.serverName}, {"alpn", strings.Join(h.alpn, ",")}, {"ja3", ja3}, {"ja4", ja4},
	} {
		if v.value == "" {
			continue
		}
		text := strings.ToValidUTF8(v.value, "\uFFFD")
		errs = append(errs, s.SetMetadata(c.Namespace, v.key, text))
		if c.FilterState {
			errs = append(errs, s.SetFilterState(c.Namespace+"."+v.key, text))
		}
	}
	return errors.Join(errs...)
}
