package accesslog

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/outbound"
)

// Server is how an output that is a server is reached.
type Server struct {
	outbound.Connection
	// Headers are sent with each request of an output with http or OTLP, such as authorization.
	Headers map[string]filter.Secret `json:"headers"`
	// SASL is for brokers of Kafka that ask who the client is.
	SASL *SASL `json:"sasl"`
}

// kinds are the schemes of outputs that are servers, and how each is opened.
var kinds = map[string]func(*url.URL, *Server) (remote, error){
	"https":       openHTTP,
	"http":        openHTTP,
	"otlp+https":  openOTLP,
	"otlp+http":   openOTLP,
	"kafka+tls":   openKafka,
	"kafka":       openKafka,
	"syslog+tls":  openSyslog,
	"syslog+tcp":  openSyslog,
	"syslog+udp":  openSyslog,
	"syslog+unix": openSyslog,
}

// serverOf returns the address of an output that is a server, or nil for another one.
func serverOf(output string) (*url.URL, error) {
	scheme, _, ok := strings.Cut(output, "://")
	if !ok {
		return nil, nil
	}
	if kinds[scheme] == nil {
		return nil, fmt.Errorf("the scheme %q is not one of %s", scheme, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	u, err := url.Parse(output)
	if err != nil {
		return nil, errors.New("is not a URL") // url.Parse would repeat it, with a password that may be in it
	}
	return u, nil
}

// check says what is wrong with a server as an output.
func (s *Server) check(u *url.URL) error {
	if err := s.checkKind(u); err != nil {
		return err
	}
	if s.Cluster != "" {
		return errors.New("server.cluster: access logs go to their server directly")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		if err := fieldname.Check(name); err != nil {
			return fmt.Errorf("server.headers.%s: %w", name, err)
		}
		if strings.ContainsAny(s.Headers[name].Reveal(), "\r\n\x00") {
			return fmt.Errorf("server.headers.%s: must not have line breaks", name)
		}
	}
	if err := s.Validate(); err != nil {
		return fmt.Errorf("server.%w", err)
	}
	return nil
}

func (s *Server) checkKind(u *url.URL) error {
	kind, transport, _ := strings.Cut(u.Scheme, "+")
	if s.SASL != nil && kind != "kafka" {
		return errors.New("server.sasl: it is for Kafka")
	}
	switch kind {
	case "kafka":
		return s.checkKafka(u)
	case "syslog":
		switch {
		case len(s.Headers) > 0:
			return errors.New("server.headers: they are for http and OTLP")
		case transport == "unix" && (u.Path == "" || u.Host != ""):
			return errors.New("output: must be syslog+unix:///PATH")
		case transport != "unix" && (u.Port() == "" || strings.Trim(u.Path, "/") != ""):
			return errors.New("output: must be SCHEME://HOST:PORT")
		case u.User != nil:
			return errors.New("output: must not have a user or password")
		}
		return nil
	}
	plain := *u
	plain.Scheme = strings.TrimPrefix(plain.Scheme, "otlp+")
	if err := s.Check(&plain); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// nameOf is what an output is called in logs. A query, and a path of HTTP, may hold a token.
func nameOf(u *url.URL) string {
	name := u.Scheme + "://" + u.Host
	if strings.HasPrefix(u.Scheme, "kafka") || u.Scheme == "syslog+unix" {
		name += u.Path
	}
	return name
}

// key tells configurations of one output apart. It holds no secret in clear.
func (s *Server) key() string {
	headers := map[string]string{}
	for name, v := range s.Headers {
		headers[name] = v.Reveal()
	}
	var login [3]string
	if s.SASL != nil {
		login = [...]string{s.SASL.Mechanism, s.SASL.User, s.SASL.Password.Reveal()}
	}
	text, err := json.Marshal([]any{s.Connection, headers, login})
	if err != nil {
		return "" // of texts and numbers: it never fails
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}
