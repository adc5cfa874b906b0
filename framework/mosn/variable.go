package mosn

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/pkg/buffer"
	"mosn.io/pkg/variable"
)

// Names of MOSN's protocols, and of those of its variables that this package itself uses.
const (
	protocolHTTP1 api.ProtocolName = "Http1"
	protocolHTTP2 api.ProtocolName = "Http2"
	protocolHTTP3 api.ProtocolName = "Http3" // MOSN has none

	varStatus          = "x-mosn-status"
	varPath            = "x-mosn-path"
	varQuery           = "x-mosn-querystring"
	varMethod          = "x-mosn-method"
	varHost            = "x-mosn-host"
	varAuthority       = "authority"
	varRouterMeta      = "x-mosn-router-meta"
	varDirectResponse  = "proxy_direct_response"
	varTryTimeout      = "proxy_try_timeout"
	varGlobalTimeout   = "proxy_global_timeout"
	varDisableRetry    = "proxy_disable_retry"
	varResponseHeaders = "downstream_resp_headers"
)

type streamKey struct{}

// parentContext is the parent of the context that filters get. It leads to the stream, and makes the stream's own context
// when somebody asks for that: Envoy is then told to announce the stream's end at once, which few filters need.
type parentContext struct {
	st   *stream
	once sync.Once
	ctx  context.Context
}

func (p *parentContext) own() context.Context {
	p.once.Do(func() { p.ctx = p.st.s.Context() })
	return p.ctx
}

// Deadline is that of context.Context, as Done and Err are.
func (p *parentContext) Deadline() (time.Time, bool) { return p.own().Deadline() }

// Done is closed when the stream ends.
func (p *parentContext) Done() <-chan struct{} { return p.own().Done() }

// Err says why the stream has ended.
func (p *parentContext) Err() error { return p.own().Err() }

// Value is that of context.Context.
func (p *parentContext) Value(key any) any {
	if key == (streamKey{}) {
		return p.st
	}
	return p.own().Value(key)
}

// setForRouter is the setter of variables that MOSN's router reads; see forwardMetadata.
func setForRouter(ctx context.Context, value *variable.IndexedValue, v any) error {
	if st := streamOf(ctx); st != nil {
		st.forwards.Store(true)
	}
	return variable.DefaultSetter(ctx, value, v)
}

// newContext returns a context as MOSN's filters expect it: with variables and pools.
func newContext(parent context.Context) context.Context {
	return variable.NewVariableContext(buffer.NewBufferPoolContext(parent))
}

// streamOf returns the stream of a filter's context, or nil.
func streamOf(ctx context.Context) *stream {
	if ctx == nil {
		return nil
	}
	st, _ := ctx.Value(streamKey{}).(*stream)
	return st
}

// prepareVariables defines MOSN's variables. MOSN's own packages define many of them in their init functions, over what a
// MOSN has in memory; so this runs once, when all init functions have.
var prepareVariables = sync.OnceFunc(func() {
	for name, get := range texts {
		define(variable.NewStringVariable(name, nil, textGetter(get), nil, 0))
	}
	for name, get := range requestTexts {
		define(variable.NewStringVariable(name, nil, textGetter(get), setFirstLine, 0))
	}
	for name, get := range objects {
		define(variable.NewVariable(name, nil, objectGetter(get), variable.DefaultSetter, 0))
	}
	for _, name := range []string{varTryTimeout, varGlobalTimeout} {
		define(variable.NewStringVariable(name, nil, nil, func(ctx context.Context, v *variable.IndexedValue, text string) error {
			return setForRouter(ctx, v, text)
		}, 0))
	}
	for _, name := range []string{varRouterMeta, varDisableRetry} {
		define(variable.NewVariable(name, nil, nil, setForRouter, 0))
	}
	for _, name := range plainTexts {
		if _, err := variable.Check(name); err != nil {
			_ = variable.Register(variable.NewStringVariable(name, nil, nil, variable.DefaultStringSetter, 0))
		}
	}
	for _, name := range plainObjects {
		if _, err := variable.Check(name); err != nil {
			_ = variable.Register(variable.NewVariable(name, nil, nil, variable.DefaultSetter, 0))
		}
	}
	definePrefix("request_header_", requestHeader)
	definePrefix("response_header_", func(st *stream, name string) (string, bool) {
		if isNil(st.response.headers) {
			return "", false
		}
		return st.response.headers.Get(name)
	})
	for _, protocol := range []api.ProtocolName{protocolHTTP1, protocolHTTP2, protocolHTTP3} {
		p := string(protocol) + "_"
		for name, get := range protocolTexts {
			define(variable.NewStringVariable(p+name, nil, wholeGetter(get), nil, 0))
		}
		definePrefix(p+"request_header_", requestHeader)
		definePrefix(p+"request_arg_", requestArg)
		definePrefix(p+"cookie_", requestCookie)
		for resource, name := range resources { // an error says that MOSN's packages have done it
			_ = variable.RegisterProtocolResource(protocol, resource, name)
		}
	}
	if variable.GetProtocol == nil {
		variable.GetProtocol = func(ctx context.Context) (api.ProtocolName, error) {
			if st := streamOf(ctx); st != nil {
				return st.info.Protocol(), nil
			}
			return "", errNoStream
		}
	}
})

var errNoStream = errors.New("mosn: the context is not one that a filter was given")

// define puts v in the place of MOSN's variable of that name, if there is one.
func define(v variable.Variable) {
	if _, err := variable.Check(v.Name()); err != nil || variable.Override(v) != nil {
		_ = variable.Register(v)
	}
}

func definePrefix(prefix string, get func(st *stream, rest string) (string, bool)) {
	v := variable.NewStringVariable(prefix, nil, func(ctx context.Context, _ *variable.IndexedValue, data any) (string, error) {
		st := streamOf(ctx)
		name, _ := data.(string)
		if st == nil || !strings.HasPrefix(name, prefix) {
			return variable.ValueNotFound, variable.ErrValueNotFound
		}
		return found(get(st, name[len(prefix):]))
	}, nil, 0)
	if variable.OverridePrefix(prefix, v) != nil {
		_ = variable.RegisterPrefix(prefix, v)
	}
}

// found returns a value as MOSN's getters do.
func found(v string, ok bool) (string, error) {
	if !ok {
		return variable.ValueNotFound, variable.ErrValueNotFound
	}
	return v, nil
}

func textGetter(get func(*stream) string) variable.StringGetterFunc {
	return func(ctx context.Context, _ *variable.IndexedValue, _ any) (string, error) {
		st := streamOf(ctx)
		if st == nil {
			return variable.ValueNotFound, variable.ErrValueNotFound
		}
		v := get(st)
		return found(v, v != "")
	}
}

// wholeGetter is textGetter for what every request has. An empty query is "" and no error: MOSN's jwt_authn lets a request
// pass whose query it does not find.
func wholeGetter(get func(*stream) string) variable.StringGetterFunc {
	return func(ctx context.Context, _ *variable.IndexedValue, _ any) (string, error) {
		if st := streamOf(ctx); st != nil {
			return get(st), nil
		}
		return variable.ValueNotFound, variable.ErrValueNotFound
	}
}

func objectGetter(get func(*stream) any) variable.GetterFunc {
	return func(ctx context.Context, _ *variable.IndexedValue, _ any) (any, error) {
		if st := streamOf(ctx); st != nil {
			if v := get(st); !isNil(v) {
				return v, nil
			}
		}
		return nil, variable.ErrValueNotFound
	}
}

// texts are variables over RequestInfo, which cannot be set.
var texts = map[string]func(*stream) string{
	"start_time":                 func(st *stream) string { return st.info.StartTime().Format("2006/01/02 15:04:05.000") },
	"request_received_duration":  func(st *stream) string { return st.info.RequestReceivedDuration().String() },
	"response_received_duration": func(st *stream) string { return st.info.ResponseReceivedDuration().String() },
	"request_finished_duration":  func(st *stream) string { return st.info.RequestFinishedDuration().String() },
	"process_time_duration":      func(st *stream) string { return st.info.ProcessTimeDuration().String() },
	"duration":                   func(st *stream) string { return st.info.Duration().String() },
	"bytes_sent":                 func(st *stream) string { return strconv.FormatUint(st.info.BytesSent(), 10) },
	"bytes_received":             func(st *stream) string { return strconv.FormatUint(st.info.BytesReceived(), 10) },
	"protocol":                   func(st *stream) string { return string(st.info.Protocol()) },
	"response_code":              func(st *stream) string { return strconv.Itoa(st.info.ResponseCode()) },
	"response_flag":              func(st *stream) string { return strconv.FormatBool(st.info.GetResponseFlag(^0)) },
	"response_flags":             func(st *stream) string { return strconv.FormatBool(st.info.GetResponseFlag(^0)) },
	"upstream_local_address":     func(st *stream) string { return st.info.UpstreamLocalAddress() },
	"downstream_local_address":   func(st *stream) string { return addrText(st.info.DownstreamLocalAddress()) },
	"downstream_remote_address":  func(st *stream) string { return addrText(st.info.DownstreamRemoteAddress()) },
	"upstream_host":              func(st *stream) string { return st.attr(filter.AttrUpstreamAddress) },
	"upstream_cluster":           func(st *stream) string { return st.attr(filter.AttrClusterName) },
	"requested_server_name":      func(st *stream) string { return st.attr(filter.AttrServerName) },
	"route_name":                 func(st *stream) string { return st.attr(filter.AttrRouteName) },
	"upstream_transport_failure_reason": func(st *stream) string {
		return st.attr(filter.AttrUpstreamFailure)
	},
}

// requestTexts are what MOSN keeps of a request beside its headers. A filter that sets one changes the request.
var requestTexts = map[string]func(*stream) string{
	"x-mosn-scheme":        func(st *stream) string { return st.first.scheme },
	varHost:                func(st *stream) string { return st.first.host },
	varAuthority:           func(st *stream) string { return st.first.host },
	varMethod:              func(st *stream) string { return st.first.method },
	varPath:                func(st *stream) string { return st.first.normalized() },
	"x-mosn-path-original": func(st *stream) string { return st.first.path },
	varQuery:               func(st *stream) string { return st.first.query },
}

// objects are variables of other types.
var objects = map[string]func(*stream) any{
	"connection":             func(st *stream) any { return api.Connection(&st.conn) },
	"connection_id":          func(st *stream) any { return st.conn.ID() },
	"downstream_protocol":    func(st *stream) any { return st.info.Protocol() },
	"downstream_req_headers": func(st *stream) any { return st.requestHeaders() },
	varResponseHeaders:       func(st *stream) any { return st.response.headers },
	"ori_remote_addr":        func(st *stream) any { return st.conn.RemoteAddr() },
	"listener_port": func(st *stream) any {
		if a, isTCP := st.conn.LocalAddr().(*net.TCPAddr); isTCP {
			return a.Port
		}
		return nil
	},
}

// plainTexts and plainObjects hold what filters put there.
var (
	plainTexts = []string{
		varStatus, varDirectResponse, "proxy_hijack_status", "proxy_gzip_switch", "x-mosn-direction", "x-mosn-rpc-service",
		"x-mosn-rpc-method",
	}
	plainObjects = []string{
		"upstream_protocol", "stream_id", "trace_id", "trace_span", "span_key",
		"listener_name", "listener_type", "access_logs", "proxy_general_config", "upstream_connection_id",
		"x-mosn-req-raw-data", "x-mosn-resp-raw-data",
	}
)

// protocolTexts are variables whose names begin with that of a protocol, as in Http1_request_path.
var protocolTexts = map[string]func(*stream) string{
	"request_scheme":        func(st *stream) string { return st.first.scheme },
	"request_method":        func(st *stream) string { return st.first.method },
	"request_path":          func(st *stream) string { return st.first.normalized() },
	"request_path_original": func(st *stream) string { return st.first.path },
	"request_uri":           func(st *stream) string { return st.first.uri() },
	"request_arg":           func(st *stream) string { return st.first.query },
	"request_length": func(st *stream) string {
		return strconv.FormatUint(st.requestHeaders().ByteSize()+uint64(len(st.request.given)), 10)
	},
}

// resources are the variables behind variable.GetProtocolResource.
var resources = map[api.ProtocolResourceName]string{
	api.SCHEME: "request_scheme", api.PATH: "request_path", api.URI: "request_uri", api.ARG: "request_arg",
	api.COOKIE: "cookie_", api.HEADER: "request_header_",
}

func requestHeader(st *stream, name string) (string, bool) { return st.requestHeaders().Get(name) }

func requestArg(st *stream, name string) (string, bool) {
	q, _ := url.ParseQuery(st.first.query)
	return q.Get(name), q.Has(name)
}

func requestCookie(st *stream, name string) (string, bool) {
	for _, line := range st.s.RequestHeaders().Values("cookie") {
		cookies, _ := http.ParseCookie(line)
		for _, c := range cookies {
			if c.Name == name {
				return c.Value, true
			}
		}
	}
	return "", false
}

func addrText(a net.Addr) string {
	if isNil(a) {
		return ""
	}
	return a.String()
}
