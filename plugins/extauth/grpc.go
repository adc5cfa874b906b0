package extauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/fieldname"
)

// maxMessage is how long an answer over gRPC may be.
const maxMessage = 4 << 20

// overGRPC reports whether the service speaks gRPC.
func (p *ExtAuth) overGRPC() bool {
	return p.URL != nil && (p.URL.Scheme == "grpc" || p.URL.Scheme == "grpcs")
}

// checkGRPC says what is wrong with the configuration of a service that speaks gRPC.
func (p *ExtAuth) checkGRPC() error {
	u := *p.URL
	u.Scheme = map[string]string{"grpc": "http", "grpcs": "https"}[u.Scheme]
	var errs []error
	switch err := p.Check(&u); {
	case p.Cluster != "":
		errs = append(errs, errors.New("cluster: Go connects to a service that speaks gRPC; leave cluster out"))
	case err != nil:
		errs = append(errs, fmt.Errorf("url: %w (grpcs is https, grpc http)", err))
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		errs = append(errs, errors.New("url: must have nothing but a host and a port with grpc and grpcs"))
	}
	for field, set := range map[string]bool{
		"upstream": p.Upstream != nil, "upstreamAppend": p.UpstreamAppend != nil, "keepClientHeaders": p.KeepClientHeaders,
		"clientOnSuccess": p.ClientOnSuccess != nil, "client": p.Client != nil, "metadataHeaders": p.MetadataHeaders != nil,
	} {
		if set {
			errs = append(errs, fmt.Errorf("%s: over gRPC the service says itself where its headers go", field))
		}
	}
	return errors.Join(errs...)
}

// keepAlive ends a connection on which nothing comes back, such as one that a firewall has forgotten, within 20 seconds of a
// question, where the kernel would wait for many minutes: grpc has TCP_USER_TIMEOUT set to Timeout. Servers refuse pings that come
// more often than every five minutes, so that only Timeout is short.
var keepAlive = keepalive.ClientParameters{Time: 5 * time.Minute, Timeout: 20 * time.Second}

// dial makes the client. It connects when it is first used.
func (p *ExtAuth) dial() error {
	host := p.URL.Host
	secure := p.URL.Scheme == "grpcs"
	if p.URL.Port() == "" {
		host = net.JoinHostPort(p.URL.Hostname(), map[bool]string{true: "443", false: "80"}[secure])
	}
	transport := insecure.NewCredentials()
	if secure {
		config, err := p.TLS()
		if err != nil {
			return err
		}
		config.NextProtos = []string{"h2"}
		config.MinVersion = tls.VersionTLS12
		transport = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(transport), grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(), grpc.WithKeepaliveParams(keepAlive), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return err
	}
	p.authorization, p.done = authv3.NewAuthorizationClient(conn), func() { conn.Close() }
	return nil
}

// checkRequest makes what the service is asked.
func (p *ExtAuth) checkRequest(r *authz.Request, b body) (*authv3.CheckRequest, error) {
	h, s := r.Headers, r.Stream
	headers := map[string]string{}
	for name, value := range h.All() {
		if !p.send.empty() && name != "authorization" && !p.send.has(name) {
			continue
		}
		if before, ok := headers[name]; ok {
			value = before + "," + value
		}
		headers[name] = text(value)
	}
	size := int64(-1)
	if n, err := strconv.ParseInt(h.Get("content-length"), 10, 64); err == nil && n >= 0 {
		size = n
	}
	q := &authv3.AttributeContext_HttpRequest{
		Id: text(attribute(s, filter.AttrRequestID)), Method: text(h.Method()), Path: text(h.Path()), Host: text(h.Host()),
		Scheme: text(h.Scheme()), Protocol: attribute(s, filter.AttrProtocol), Headers: headers, Size: size,
	}
	if p.RequestBody != nil {
		headers["x-envoy-auth-partial-body"] = strconv.FormatBool(b.partial)
		if p.RequestBody.AsBytes {
			q.RawBody = b.data
		} else {
			q.Body = text(string(b.data))
		}
	}
	a := &authv3.AttributeContext{
		Source:      &authv3.AttributeContext_Peer{Address: address(attribute(s, filter.AttrSourceAddress)), Principal: principal(s)},
		Destination: &authv3.AttributeContext_Peer{Address: address(attribute(s, filter.AttrDestinationAddress))},
		Request:     &authv3.AttributeContext_Request{Time: timestamppb.Now(), Http: q}, ContextExtensions: p.ContextExtensions,
	}
	if name := attribute(s, filter.AttrServerName); name != "" {
		a.TlsSession = &authv3.AttributeContext_TLSSession{Sni: text(name)}
	}
	var err error
	a.MetadataContext, err = p.metadataContext(r)
	return &authv3.CheckRequest{Attributes: a}, err
}

// metadataContext is the dynamic metadata that sendMetadata lists.
func (p *ExtAuth) metadataContext(r *authz.Request) (*corev3.Metadata, error) {
	found, err := r.Metadata(p.SendMetadata)
	if err != nil {
		return nil, err
	}
	m := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
	for namespace, values := range found {
		fields, err := structpb.NewStruct(mended(values).(map[string]any))
		if err != nil {
			return nil, fmt.Errorf("metadata of %s cannot be sent", namespace)
		}
		m.FilterMetadata[namespace] = fields
	}
	return m, nil
}

// text is s in UTF-8, with what is not replaced, as Envoy does: protobuf takes nothing else.
func text(s string) string { return strings.ToValidUTF8(s, "!") }

// mended is metadata with its texts in UTF-8.
func mended(v any) any {
	switch v := v.(type) {
	case string:
		return text(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = mended(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[text(k)] = mended(e)
		}
		return out
	}
	return v
}

// attribute is a stream's, or "" where there is none.
func attribute(s filter.Stream, name filter.Attr) string {
	v, _ := s.Attr(name)
	return v
}

// principal is who the client's certificate says it is, as Envoy tells services.
func principal(s filter.Stream) string {
	for _, name := range []filter.Attr{filter.AttrPeerURISAN, filter.AttrPeerDNSSAN, filter.AttrPeerSubject} {
		if v := attribute(s, name); v != "" {
			return text(v)
		}
	}
	return ""
}

// address is host:port, or the path of a Unix socket.
func address(at string) *corev3.Address {
	host, port, err := net.SplitHostPort(at)
	n, err2 := strconv.ParseUint(port, 10, 16)
	switch {
	case at == "":
		return nil
	case err != nil || err2 != nil:
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: text(at)}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(n)},
	}}}
}

// check asks the service over gRPC.
func (p *ExtAuth) check(ctx context.Context, q *authv3.CheckRequest) (decision, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	for name, value := range p.Add {
		ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), value.Reveal())
	}
	var answer *authv3.CheckResponse
	err := p.again(ctx, func() (again bool, err error) {
		answer, err = p.authorization.Check(ctx, q)
		return status.Code(err) == codes.Unavailable, err
	})
	if err != nil {
		return decision{}, fmt.Errorf("the service answers %s", status.Code(err))
	}
	return p.read(answer)
}

// read says what an answer means.
func (p *ExtAuth) read(answer *authv3.CheckResponse) (d decision, err error) {
	if answer.GetStatus() == nil && answer.GetHttpResponse() == nil {
		return d, errors.New("the service's answer says nothing")
	}
	code := codes.Code(answer.GetStatus().GetCode())
	ok, denied := answer.GetOkResponse(), answer.GetDeniedResponse()
	switch {
	case answer.GetErrorResponse() != nil:
		return d, errors.New("the service says that it cannot decide")
	case code == codes.OK && denied != nil:
		return d, errors.New("the service's answer allows and denies")
	}
	said := answer.GetDynamicMetadata()
	//lint:ignore SA1019 services that are older set this one, which counts for Envoy before the other
	if older := ok.GetDynamicMetadata(); older != nil {
		said = older
	}
	d.size, d.note = proto.Size(answer), func(s filter.Stream) { p.noteMetadata(s, said) }
	if code == codes.OK {
		change, err := changes(ok)
		if err != nil {
			return d, err
		}
		d.allowed, d.apply = true, func(s filter.Stream, h filter.RequestHeaders) { change.apply(s, h, p.ClearRouteCache) }
		return d, nil
	}
	d.reason = fmt.Sprintf("the service answers %s", code)
	d.reply, err = denial(denied)
	return d, err
}

// noteMetadata puts what the service says into metadata. A host that cannot set it does not make the request fail.
func (p *ExtAuth) noteMetadata(s filter.Stream, said *structpb.Struct) {
	if !p.metadata {
		return
	}
	for key, value := range said.GetFields() {
		if v, ok := withoutNull(value.AsInterface()); ok {
			_ = s.SetMetadata(p.namespace, key, v)
		}
	}
}

// withoutNull takes off null, which metadata cannot hold.
func withoutNull(v any) (any, bool) {
	switch v := v.(type) {
	case nil:
		return nil, false
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			if e, ok := withoutNull(e); ok {
				out = append(out, e)
			}
		}
		return out, true
	case map[string]any:
		for k, e := range v {
			if e, ok := withoutNull(e); ok {
				v[k] = e
			} else {
				delete(v, k)
			}
		}
	}
	return v, true
}

// denial is the reply of an answer that denies.
func denial(d *authv3.DeniedHttpResponse) (*filter.Action, error) {
	code := http.StatusForbidden
	if n := int(d.GetStatus().GetCode()); n != 0 {
		code = n
	}
	if code < 200 || code > 599 {
		return nil, fmt.Errorf("the service denies with the status %d", code)
	}
	opts := []filter.ReplyOption{filter.WithDetails("moe.extauth.denied")}
	for _, o := range d.GetHeaders() {
		f, err := headerOf(o)
		if err != nil {
			return nil, err
		}
		if !isOurs(f.name) {
			opts = append(opts, filter.WithHeader(f.name, f.value))
		}
	}
	reply := filter.Reply(code, d.GetBody(), opts...)
	return &reply, nil
}

// appends is whether a header is added to what is there. It is deprecated, and counts where a service sets it.
func appends(o *corev3.HeaderValueOption) *wrapperspb.BoolValue {
	//lint:ignore SA1019 Envoy asks for nothing else of a request's headers
	return o.GetAppend()
}

// headerOf reads a header of an answer.
func headerOf(o *corev3.HeaderValueOption) (f field, err error) {
	f = field{strings.ToLower(o.GetHeader().GetKey()), o.GetHeader().GetValue()}
	if raw := o.GetHeader().GetRawValue(); f.value == "" && len(raw) > 0 {
		f.value = string(raw)
	}
	if !isOurs(f.name) && (fieldname.Check(f.name) != nil || !fieldname.ValidValue(f.value)) {
		return f, errField
	}
	return f, nil
}

// firstPause is between a question and the first that repeats it.
const firstPause = 25 * time.Millisecond

// again calls ask until it succeeds, is not worth another try, or there were enough of them.
func (p *ExtAuth) again(ctx context.Context, ask func() (again bool, err error)) error {
	for try := 0; ; try++ {
		again, err := ask()
		if err == nil || !again || try >= p.Retries {
			return err
		}
		pause := time.NewTimer(firstPause << try)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// checkExtensions says what is wrong with what the service is sent of a route.
func (p *ExtAuth) checkExtensions() error {
	if len(p.ContextExtensions)+len(p.SendMetadata) > 0 && !p.overGRPC() {
		return errors.New("contextExtensions: they, and sendMetadata, are for a service that speaks gRPC")
	}
	for name, value := range p.ContextExtensions {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return errors.New("contextExtensions: must be UTF-8")
		}
	}
	return nil
}
