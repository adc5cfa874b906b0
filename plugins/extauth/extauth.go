// Package extauth asks a service, by HTTP or gRPC, whether a request may pass, as Envoy's own ext_authz filter does.
package extauth

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/lookup"
	"mosn.io/moe/plugins/internal/outbound"
)

// ExtAuth denies the requests that an authorization service denies.
type ExtAuth struct {
	// URL is the address of the service. With http and https, its path goes before that of each request. With grpc and grpcs,
	// the service is one of envoy.service.auth.v3.Authorization.
	URL *url.URL `json:"url" validate:"required"`
	outbound.Connection
	// Send lists headers of the request that the service is sent, besides authorization: names, or beginnings of names
	// with a star at the end.
	Send []string `json:"send"`
	// Add has headers that the service is sent with every request.
	Add map[string]filter.Secret `json:"add"`
	// RequestBody has the service sent the request's body, too.
	RequestBody *RequestBody `json:"requestBody"`
	// Upstream lists headers of an answer that allows which the upstream is sent in place of the client's own.
	Upstream []string `json:"upstream"`
	// UpstreamAppend lists those that the upstream is sent besides the client's own.
	UpstreamAppend []string `json:"upstreamAppend"`
	// KeepClientHeaders leaves those of the client's headers in the request that upstream lists and the answer has not.
	KeepClientHeaders bool `json:"keepClientHeaders"`
	// ClientOnSuccess lists headers of an answer that allows which are added to the response.
	ClientOnSuccess []string `json:"clientOnSuccess"`
	// Client lists headers of an answer that denies which the client is sent, besides location, www-authenticate and
	// content-type. Without it, the client is sent all.
	Client []string `json:"client"`
	// MetadataHeaders lists headers of an answer that go to dynamic metadata, by their names.
	MetadataHeaders []string `json:"metadataHeaders"`
	// ContextExtensions is what a service that speaks gRPC is sent besides, such as the name of a route's policy.
	ContextExtensions map[string]string `json:"contextExtensions"`
	// SendMetadata lists dynamic metadata that a service that speaks gRPC is sent.
	SendMetadata []authz.Metadata `json:"sendMetadata"`
	// Retries is how often the service is asked again that cannot be reached, within timeout.
	Retries int `json:"retries" validate:"min=0,max=10"`
	// Cache has answers remembered.
	Cache *Cache `json:"cache"`
	// ClearRouteCache has Envoy choose the route again when an answer has changed the request.
	ClearRouteCache bool `json:"clearRouteCache"`
	// FailureHeader tells the upstream, by x-envoy-auth-failure-mode-allowed: true, that failOpen has let a request pass.
	FailureHeader bool `json:"failureHeader"`
	authz.Mode

	send, upstream, upstreamAppend, clientOnSuccess, deny, meta names

	authorization authv3.AuthorizationClient
	known         *lookup.Table[decision] // nil: nothing is remembered

	client    *http.Client
	done      func()
	prefix    string
	namespace string
	metadata  bool
}

// RequestBody says how much of the body the service is sent.
type RequestBody struct {
	// MaxBytes is how much.
	MaxBytes filter.Size `json:"maxBytes" default:"64KiB"`
	// AllowPartial has the service asked with the beginning of a longer body. Otherwise it is answered with 413.
	AllowPartial bool `json:"allowPartial"`
	// AsBytes sends the body as bytes over gRPC. Otherwise it is text, in which what is not UTF-8 is replaced.
	AsBytes bool `json:"asBytes"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[ExtAuth]("extauth", filter.Authz, filter.Docs(docs)) }

const maxBody = 64 << 20

// Validate checks names and the address.
func (p *ExtAuth) Validate() error {
	var errs []error
	if p.overGRPC() {
		errs = append(errs, p.checkGRPC())
	} else if p.URL != nil {
		if err := p.Check(p.URL); err != nil {
			errs = append(errs, fmt.Errorf("url: %w", err))
		} else if p.URL.RawQuery != "" || p.URL.Fragment != "" {
			errs = append(errs, errors.New("url: must have no query and no fragment"))
		}
	}
	errs = append(errs, p.Connection.Validate(), p.checkExtensions(), p.checkCache())
	if p.Retries < 0 || p.Retries > 10 {
		errs = append(errs, errors.New("retries: must be 0 to 10"))
	}
	for _, l := range []struct {
		field string
		list  []string
		names *names
	}{
		{"send", p.Send, &p.send},
		{"upstream", p.Upstream, &p.upstream},
		{"upstreamAppend", p.UpstreamAppend, &p.upstreamAppend},
		{"clientOnSuccess", p.ClientOnSuccess, &p.clientOnSuccess},
		{"client", p.Client, &p.deny},
		{"metadataHeaders", p.MetadataHeaders, &p.meta},
	} {
		var err error
		if *l.names, err = newNames(l.field, l.list); err != nil {
			errs = append(errs, err)
		}
	}
	for name, value := range p.Add {
		switch err := fieldname.Check(name); {
		case err != nil:
			errs = append(errs, fmt.Errorf("add: %w", err))
		case isOurs(strings.ToLower(name)) || !fieldname.ValidValue(value.Reveal()):
			errs = append(errs, fmt.Errorf("add.%s: not a valid header name or value", name))
		}
	}
	if b := p.RequestBody; b != nil && (b.MaxBytes <= 0 || b.MaxBytes > maxBody) {
		errs = append(errs, fmt.Errorf("requestBody.maxBytes: must be more than 0 and %d MiB at most", maxBody>>20))
	}
	return errors.Join(errs...)
}

// Provision makes the client. It does not connect: a service that is down must not keep Envoy from starting.
func (p *ExtAuth) Provision(env *filter.Env) (err error) {
	p.Start(env)
	p.prefix = strings.TrimSuffix(p.URL.EscapedPath(), "/")
	p.namespace, p.metadata = "moe."+env.ID, env.Has(filter.CanSetMetadata)
	if p.ClearRouteCache && !env.Has(filter.CanClearRouteCache) {
		return errors.New("clearRouteCache: this host cannot have the route chosen again")
	}
	if c := p.Cache; c != nil {
		c.Key.Start()
		p.known = lookup.New[decision](env, lookup.Cache{CacheSize: c.Size, CacheTTL: c.TTL, RefusedTTL: c.DeniedTTL})
	}
	if p.overGRPC() {
		return p.dial()
	}
	p.client, p.done, err = p.Connection.Client(env)
	return err
}

// Close closes the connections.
func (p *ExtAuth) Close() error {
	if p.done != nil {
		p.done()
	}
	return nil
}

// rawPath is for the log only: the service is sent the path as it is.
var rawPath = authz.Path{Mode: "raw"}

var tooLarge = filter.Reply(http.StatusRequestEntityTooLarge, "payload too large",
	filter.WithDetails("moe.extauth.request_body_too_large"))

// OnRequestHeaders asks the service, or waits for as much of the body as it is to be sent.
func (p *ExtAuth) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	strip(h)
	b := p.RequestBody
	if b == nil || endStream || h.Upgrade() != "" { // a tunnel has no body to wait for
		return p.ask(s, h, body{})
	}
	if b.AllowPartial {
		return filter.WaitPrefix(int(b.MaxBytes))
	}
	if n, err := strconv.ParseInt(h.Get("content-length"), 10, 64); err == nil && n > int64(b.MaxBytes) && !p.Shadow {
		return p.tooLarge(s, h)
	}
	return filter.WaitPrefix(int(b.MaxBytes) + 1)
}

// OnRequest asks the service with a body.
func (p *ExtAuth) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	data, limit := b.Bytes(), int(p.RequestBody.MaxBytes)
	partial := !b.Complete() || len(data) > limit
	if partial && !p.RequestBody.AllowPartial {
		return p.tooLarge(s, h)
	}
	return p.ask(s, h, body{data: data[:min(len(data), limit)], partial: partial})
}

func (p *ExtAuth) tooLarge(s filter.Stream, h filter.RequestHeaders) filter.Action {
	r, _ := rawPath.Request(s, h)
	return p.Conclude(&r, authz.Verdict{Reason: "the body is longer than maxBytes", Reply: &tooLarge})
}

// body is what the service is sent of the request's.
type body struct {
	data    []byte
	partial bool
}

// question asks the service. It uses no stream, as what is answered may be for several.
type question func(ctx context.Context) (decision, error)

func (p *ExtAuth) ask(s filter.Stream, h filter.RequestHeaders, b body) filter.Action {
	r, _ := rawPath.Request(s, h)
	q, err := p.question(&r, b)
	key, remembered := p.key(&r)
	if !p.overGRPC() && !p.KeepClientHeaders && !p.Shadow { // whatever lets it pass in the end
		p.upstream.removeFrom(h)
	}
	if remembered && err == nil {
		if d, ok := p.known.Known(key, time.Now()); ok {
			return p.Conclude(&r, p.verdict(d, s, h))
		}
	}
	return p.AskLater(&r, nil, func(ctx context.Context) authz.Verdict {
		var d decision
		if err == nil && remembered {
			d, err = p.remember(ctx, key, q)
		} else if err == nil {
			d, err = q(ctx)
		}
		if err != nil {
			return p.fail(h, err)
		}
		return p.verdict(d, s, h)
	})
}

// question makes what the service is asked about a request.
func (p *ExtAuth) question(r *authz.Request, b body) (question, error) {
	if p.overGRPC() {
		q, err := p.checkRequest(r, b)
		return func(ctx context.Context) (decision, error) { return p.check(ctx, q) }, err
	}
	q, err := p.request(r.Headers, b)
	return func(ctx context.Context) (decision, error) { return p.call(ctx, q) }, err
}

func (p *ExtAuth) fail(h filter.RequestHeaders, err error) authz.Verdict {
	if p.FailOpen && !p.Shadow && p.FailureHeader {
		h.Set("x-envoy-auth-failure-mode-allowed", "true")
	}
	return authz.Fail(err)
}
