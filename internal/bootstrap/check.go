package bootstrap

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mosn.io/moe/framework/config"
)

// problems collects what is wrong, by its path in a moe.yaml.
type problems struct{ all config.Errors }

func (p *problems) add(path, format string, args ...any) {
	p.all = append(p.all, config.Error{Path: path, Msg: fmt.Sprintf(format, args...)})
}

// exclusive adds a problem if more than one of the fields at path is given.
func (p *problems) exclusive(path string, fields ...field) {
	var names []string
	for _, f := range fields {
		if f.given {
			names = append(names, f.name)
		}
	}
	if len(names) > 1 {
		p.add(config.Key(path, names[1]), "%s are mutually exclusive", strings.Join(names, " and "))
	}
}

// field is a field, and whether it is given.
type field struct {
	name  string
	given bool
}

// Check reports what is wrong with listeners, upstreams and routes, beyond their tags and [Match.Check]. The error is a
// config.Errors whose paths are those of a moe.yaml. It opens no file.
func (o *Options) Check() error {
	p := &problems{}
	o.checkExtensions(p)
	o.checkListeners(p)
	o.checkUpstreams(p)
	o.checkEnvoyFilters(p)
	for i := range o.Routes {
		r := &o.Routes[i]
		at := config.Index("routes", i)
		for j, name := range r.Listeners {
			n := slices.IndexFunc(o.Listeners, func(l Listener) bool { return l.Name == name })
			switch {
			case n < 0:
				p.add(config.Index(at+".listeners", j), "%s", config.Unknown("listener", name, o.listenerNames()))
			case !o.Listeners[n].TakesHTTP():
				p.add(config.Index(at+".listeners", j), "the listener %q takes no HTTP and has no routes", name)
			}
		}
		o.checkAction(p, at, r)
	}
	if o.Default != "" && !slices.Contains(o.upstreamNames(), o.Default) {
		p.add("upstream", "%s", config.Unknown("upstream", o.Default, o.upstreamNames()))
	}
	return p.all.Err()
}

// nameRE is what names of listeners and upstreams are made of: they are part of statistics' and of files' names.
var nameRE = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func (p *problems) name(path, name string, taken map[string]bool, what string) {
	switch {
	case name == "": // the tag says so
	case taken[name]:
		p.add(path, "duplicate %s name %q", what, name)
	}
	taken[name] = true
}

func (o *Options) checkListeners(p *problems) {
	names, addresses := map[string]bool{}, map[string]bool{}
	for i := range o.Listeners {
		l := &o.Listeners[i]
		at := config.Index("listeners", i)
		p.name(at+".name", l.Name, names, "listener")
		if l.Name != "" && !nameRE.MatchString(l.Name) {
			p.add(at+".name", "expected letters, digits, dots, hyphens and underscores")
		}
		if address, err := ParseAddress(l.Address); err != nil {
			p.add(at+".address", "%v", err)
		} else if n := address.GetSocketAddress(); n.GetPortValue() != 0 {
			key := net.JoinHostPort(n.Address, strconv.Itoa(int(n.GetPortValue())))
			for _, protocol := range l.protocols() {
				if addresses[protocol+key] {
					p.add(at+".address", "another listener has this address")
				}
				addresses[protocol+key] = true
			}
		}
		if l.HTTP3 {
			names[l.Name+quicSuffix] = true
			if l.TLS == nil {
				p.add(at+".http3", "HTTP/3 needs tls")
			} else if l.TLS.ClientCertificates != nil {
				p.add(at+".http3", "clients have no certificates in HTTP/3 before Envoy 1.40; give tls.clientCertificates to "+
					"another listener, or leave http3 out")
			} else if portOf(l.Address) == 0 {
				p.add(at+".http3", "HTTP/3 needs a port; with 0, TCP and UDP would have different ones")
			}
		}
		if l.TLS != nil {
			l.TLS.check(p, at+".tls")
		}
		o.checkListenerFilters(p, at, l)
		o.checkNetwork(p, at, l)
		o.checkUDP(p, at, l)
	}
}

func (c *ClientCertificates) check(p *problems, at string) {
	if c.Validator != nil {
		c.Validator.check(p, at, field{"trustedCa", c.TrustedCA != ""}, field{"subjectAltNames", c.SubjectAltNames != nil},
			field{"crl", c.CRL != ""})
	} else if c.TrustedCA == "" {
		p.add(at+".trustedCa", "is required, or a validator")
	}
}

func (t *ListenerTLS) check(p *problems, at string) {
	if c := t.ClientCertificates; c != nil {
		c.check(p, at+".clientCertificates")
	}
	sds := 0
	for i := range t.Certificates {
		c := &t.Certificates[i]
		c.check(p, config.Index(at+".certificates", i))
		if c.SDSSecretConfig != nil {
			sds++
		}
	}
	if sds > 0 && sds < len(t.Certificates) {
		p.add(at+".certificates", "Envoy takes either files or sdsSecretConfig in one listener, not both")
	}
	seen := map[string]bool{}
	for i, name := range t.ServerNames {
		path := config.Index(at+".serverNames", i)
		lower := strings.ToLower(name)
		switch {
		case seen[lower]:
			p.add(path, "duplicate server name %q", name)
		case !serverNameRE.MatchString(lower):
			p.add(path, "%q is not a server name; expected one such as www.example.com or *.example.com", name)
		case lower != name:
			p.add(path, "%q meets no client, because names are in lower case here; write %q", name, lower)
		}
		seen[lower] = true
	}
}

var serverNameRE = regexp.MustCompile(`^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

func (c *Certificate) check(p *problems, at string) {
	files := c.CertificateChain != "" || c.PrivateKey != ""
	switch {
	case files && c.SDSSecretConfig != nil:
		p.add(at+".sdsSecretConfig", "sdsSecretConfig and files are mutually exclusive")
	case c.SDSSecretConfig != nil:
		if c.SDSSecretConfig.SDSConfig == nil {
			p.add(at+".sdsSecretConfig.sds_config", "is required")
		} else if _, err := sdsSecret(c.SDSSecretConfig); err != nil {
			p.add(at+".sdsSecretConfig", "%v", err)
		}
	case c.CertificateChain == "":
		p.add(at+".certificateChain", "is required, or sdsSecretConfig")
	case c.PrivateKey == "":
		p.add(at+".privateKey", "is required")
	}
}

func (o *Options) checkUpstreams(p *problems) {
	taken := map[string]bool{}
	if o.ExtProc != nil {
		taken[serverCluster] = true
	}
	for i := range o.Upstreams {
		u := &o.Upstreams[i]
		at := config.Index("upstreams", i)
		p.name(at+".name", u.Name, taken, "upstream")
		p.exclusive(at, field{"url", u.URL != ""}, field{"endpoints", len(u.Endpoints) > 0})
		if u.URL == "" && len(u.Endpoints) == 0 {
			p.add(at+".endpoints", "is required, or url")
		}
		for j, e := range u.Endpoints {
			if host, _, err := net.SplitHostPort(e); err != nil || host == "" || portOf(e) == 0 {
				p.add(config.Index(at+".endpoints", j), "expected HOST:PORT")
			}
		}
		u.checkWeights(p, at+".endpointWeights")
		if u.Protocol == http3 && u.TLS == nil {
			p.add(at+".protocol", "http3 needs tls")
		}
		if t := u.TLS; t != nil {
			if v := t.Validator; v != nil {
				v.check(p, at+".tls", field{"trustedCa", t.TrustedCA != ""}, field{"subjectAltNames", t.SubjectAltNames != nil})
				if u.Protocol == http3 {
					p.add(at+".tls.validator", "certificate validators are for TLS over TCP; choose another protocol")
				}
			} else if u.URL == "" && u.serverName() == "" && len(t.SubjectAltNames) == 0 {
				p.add(at+".tls.serverName", "is required, because the endpoints have different hosts")
			}
			if t.Certificate != nil {
				t.Certificate.check(p, at+".tls.certificate")
				if u.Protocol == http3 {
					p.add(at+".tls.certificate", "Envoys before 1.40 present no certificate in HTTP/3; choose another protocol")
				}
			}
		}
		if h := u.HealthCheck; h != nil {
			p.exclusive(at+".healthCheck", field{"path", h.Path != ""}, field{"grpc", h.GRPC})
			if h.GRPC && u.Protocol != "http2" {
				p.add(at+".healthCheck.grpc", "needs protocol: http2")
			}
			if h.Path != "" && !strings.HasPrefix(h.Path, "/") {
				p.add(at+".healthCheck.path", "must begin with /")
			}
			if h.Path == "" && len(h.ExpectedStatuses) > 0 {
				p.add(at+".healthCheck.expectedStatuses", "needs path")
			}
			if u.Protocol == http3 {
				p.add(at+".healthCheck", "Envoy cannot check over QUIC whether an endpoint is well (1.40 and earlier end when "+
					"they are to); give outlierDetection")
			}
		}
		u.Retry.check(p, at+".retry")
		hashes := u.LBPolicy == "ringHash" || u.LBPolicy == "maglev"
		switch h := u.HashPolicy; {
		case hashes && h == nil:
			p.add(at+".hashPolicy", "is required with %s", u.LBPolicy)
		case h != nil && !hashes:
			p.add(at+".hashPolicy", "is for lbPolicy ringHash or maglev")
		case h != nil:
			p.exclusive(at+".hashPolicy",
				field{"header", h.Header != ""}, field{"cookie", h.Cookie != ""}, field{"sourceIp", h.SourceIP})
			if h.Header == "" && h.Cookie == "" && !h.SourceIP {
				p.add(at+".hashPolicy", "give header, cookie or sourceIp")
			}
		}
	}
}

func (u *Upstream) checkWeights(p *problems, at string) {
	for _, e := range slices.Sorted(maps.Keys(u.EndpointWeights)) {
		if !slices.Contains(u.Endpoints, e) {
			p.add(config.Key(at, e), "%s", config.Unknown("endpoint", e, u.Endpoints))
		}
	}
	if len(u.EndpointWeights) > 0 && u.LBPolicy == "random" {
		p.add(at, "lbPolicy random does not look at weights; choose another lbPolicy, such as roundRobin")
	}
}

func (r *Retry) check(p *problems, at string) {
	if r != nil && r.MaxInterval < r.BaseInterval {
		p.add(at+".maxInterval", "must not be less than baseInterval")
	}
}

func (o *Options) checkAction(p *problems, at string, r *Route) {
	a := &r.Action
	p.exclusive(at, field{"upstream", a.Upstream != ""}, field{"weightedUpstreams", len(a.WeightedUpstreams) > 0},
		field{"redirect", a.Redirect != nil}, field{"directResponse", a.DirectResponse != nil})
	known := func(path, name string) {
		if name != "" && !slices.Contains(o.upstreamNames(), name) {
			p.add(path, "%s", config.Unknown("upstream", name, o.upstreamNames()))
		}
	}
	known(at+".upstream", a.Upstream)
	sum, seen := uint64(0), map[string]bool{}
	for j, w := range a.WeightedUpstreams {
		path := config.Index(at+".weightedUpstreams", j) + ".upstream"
		known(path, w.Upstream)
		if seen[w.Upstream] && w.Upstream != "" {
			p.add(path, "duplicate upstream %q", w.Upstream)
		}
		seen[w.Upstream] = true
		sum += uint64(w.Weight)
	}
	if len(a.WeightedUpstreams) > 0 && sum == 0 {
		p.add(at+".weightedUpstreams", "at least one weight must be more than 0")
	}
	a.Retry.check(p, at+".retry")
	local := a.Redirect != nil || a.DirectResponse != nil
	if local {
		for _, f := range []field{
			{"rewrite", a.Rewrite != nil},
			{"retry", a.Retry != nil},
			{"upstreamTimeout", a.UpstreamTimeout != 0},
			{"idleTimeout", a.IdleTimeout != 0},
		} {
			if f.given {
				p.add(at+"."+f.name, "is for requests that go to an upstream")
			}
		}
	} else if a.Upstream == "" && len(a.WeightedUpstreams) == 0 && o.Default == "" {
		p.add(at+".upstream", "is required, because the file has no upstream for all routes")
	}
	prefixed := r.Match.Regex == ""
	if d := a.Redirect; d != nil {
		p.exclusive(at+".redirect",
			field{"pathRedirect", d.PathRedirect != ""}, field{"prefixRewrite", d.PrefixRewrite != ""})
		if !d.HTTPSRedirect && d.HostRedirect == "" && d.PortRedirect == 0 && d.PathRedirect == "" && d.PrefixRewrite == "" {
			p.add(at+".redirect", "give at least one of httpsRedirect, hostRedirect, portRedirect, pathRedirect and "+
				"prefixRewrite; otherwise clients are sent to where they are")
		}
		if d.PrefixRewrite != "" && !prefixed {
			p.add(at+".redirect.prefixRewrite", "needs match.prefix or match.path")
		}
	}
	if w := a.Rewrite; w != nil {
		p.exclusive(at+".rewrite", field{"prefix", w.Prefix != ""}, field{"regex", w.Regex != nil})
		p.exclusive(at+".rewrite", field{"host", w.Host != ""}, field{"autoHost", w.AutoHost})
		if w.Prefix != "" && !prefixed {
			p.add(at+".rewrite.prefix", "needs match.prefix or match.path")
		}
		if w.Prefix != "" && !strings.HasPrefix(w.Prefix, "/") {
			p.add(at+".rewrite.prefix", "must begin with /")
		}
		if w.Regex != nil {
			if _, err := regexp.Compile(w.Regex.Pattern); err != nil {
				p.add(at+".rewrite.regex.pattern", "%v", err)
			}
		}
	}
}

func (o *Options) upstreamNames() (names []string) {
	for i := range o.Upstreams {
		names = append(names, o.Upstreams[i].Name)
	}
	return names
}

func (o *Options) listenerNames() (names []string) {
	for i := range o.Listeners {
		names = append(names, o.Listeners[i].Name)
	}
	return names
}
