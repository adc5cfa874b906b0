// Package requestid gives every request an id.
package requestid

import (
	"crypto/rand"
	"embed"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

// RequestID gives every request an id, which the upstream, the client and the dynamic metadata have.
type RequestID struct {
	// Header is the header that holds the id, in requests and responses.
	Header string `json:"header" default:"x-request-id"`
	// Format is what a new id looks like: uuid7 (RFC 9562), uuid4, ulid, or traceId, the trace id of the request's
	// traceparent (W3C Trace Context), or a random one of the same form where the request has none.
	Format string `json:"format" default:"uuid7" enum:"uuid7,uuid4,ulid,traceId"`
	// Trust keeps the id that a request brings, if it is well-formed. Without it, every request gets a new one.
	Trust bool `json:"trust"`
	// MaxLength is the length up to which a trusted id is kept.
	MaxLength int `json:"maxLength" default:"128" validate:"min=1,max=1024"`
	// HideFromClient leaves the id out of responses.
	HideFromClient bool `json:"hideFromClient"`

	namespace                     string
	metadata                      bool
	generated, trusted, malformed *filter.Counter
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("requestid", filter.Access, (*RequestID).newStream, filter.Docs(docs))
}

// Validate refuses names that no header has.
func (p *RequestID) Validate() error {
	if err := fieldname.Check(p.Header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return nil
}

// Provision declares the counters.
func (p *RequestID) Provision(env *filter.Env) error {
	p.Header = strings.ToLower(p.Header)
	p.namespace, p.metadata = "moe."+env.ID, env.Has(filter.CanSetMetadata)
	p.generated, p.trusted, p.malformed = env.Counter("generated"), env.Counter("trusted"), env.Counter("malformed")
	return nil
}

// SkipsPhase is that of filter.PhaseSkipper: without the id for the client, responses have nothing to get.
func (p *RequestID) SkipsPhase(method string) bool {
	return method == "OnResponseHeaders" && p.HideFromClient
}

// stream remembers the id, as later plugins may change the request's header.
type stream struct {
	p  *RequestID
	id string
}

func (p *RequestID) newStream(filter.Stream) *stream { return &stream{p: p} }

// OnRequestHeaders sets the id.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	p := st.p
	if p.Trust && p.keep(h) {
		st.id = h.Get(p.Header)
		p.trusted.Inc()
	} else {
		id, err := p.make(s)
		if err != nil {
			return filter.Fail(err)
		}
		st.id = id
		p.generated.Inc()
		h.Set(p.Header, id)
	}
	if p.metadata {
		_ = s.SetMetadata(p.namespace, "id", st.id) // a host that cannot does not make the request fail
	}
	return filter.Continue
}

// OnResponseHeaders tells the client.
func (st *stream) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if st.id != "" {
		h.Set(st.p.Header, st.id)
	}
	return filter.Continue
}

// keep reports whether the request brings one well-formed id.
func (p *RequestID) keep(h filter.RequestHeaders) bool {
	if !h.Has(p.Header) {
		return false
	}
	if id := h.Get(p.Header); wellFormed(id, p.MaxLength) && len(h.Values(p.Header)) == 1 {
		return true
	}
	p.malformed.Inc()
	return false
}

// wellFormed reports whether id is of 1 to most letters, digits and marks that need no quoting in logs, URLs, JSON and
// shells.
func wellFormed(id string, most int) bool {
	if id == "" || len(id) > most {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if lower := c | 0x20; ('a' > lower || lower > 'z') && (c < '0' || c > '9') && strings.IndexByte("-_.:=+/@", c) < 0 {
			return false
		}
	}
	return true
}

// make returns a new id.
func (p *RequestID) make(s filter.Stream) (string, error) {
	switch p.Format {
	case "uuid4":
		id, err := uuid.NewRandom()
		return id.String(), err
	case "ulid":
		id, err := ulid.New(ulid.Now(), rand.Reader)
		return id.String(), err
	case "traceId":
		if c := trace.SpanContextFromContext(s.Context()); c.HasTraceID() {
			return c.TraceID().String(), nil
		}
		var id trace.TraceID
		if _, err := rand.Read(id[:]); err != nil {
			return "", err
		}
		return hex.EncodeToString(id[:]), nil
	}
	id, err := uuid.NewV7()
	return id.String(), err
}
