package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

type getter = func(filter.Stream) string

var commands map[string]*command

func init() {
	header := func(from func(filter.Stream) filter.Headers) *command {
		return &command{required, true, func(argument string) (getter, error) { return headerGetter(from, argument) }}
	}
	attr := func(name filter.Attr) *command { return simple(attrGetter(name)) }
	request := header(func(s filter.Stream) filter.Headers { return s.RequestHeaders().Headers })
	response := header(func(s filter.Stream) filter.Headers { return s.ResponseHeaders().Headers })
	trailer := header(filter.Stream.ResponseTrailers)
	commands = map[string]*command{
		"REQ": request, "REQUEST_HEADER": request,
		"RESP": response, "RESPONSE_HEADER": response,
		"TRAILER": trailer, "RESPONSE_TRAILER": trailer,
		"RESPONSE_CODE": simple(func(s filter.Stream) string { return s.ResponseHeaders().Get(":status") }),
		"QUERY_PARAM":   {required, true, queryParam},

		"PROTOCOL":              attr(filter.AttrProtocol),
		"REQUEST_ID":            attr(filter.AttrRequestID),
		"STREAM_ID":             attr(filter.AttrRequestID),
		"ROUTE_NAME":            attr(filter.AttrRouteName),
		"UPSTREAM_CLUSTER":      attr(filter.AttrClusterName),
		"RESPONSE_FLAGS":        simple(func(s filter.Stream) string { return Flags(attrGetter(filter.AttrResponseFlags)(s)) }),
		"RESPONSE_CODE_DETAILS": attr(filter.AttrCodeDetails),

		"DOWNSTREAM_REMOTE_ADDRESS":              attr(filter.AttrSourceAddress),
		"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": simple(hostOf(filter.AttrSourceAddress)),
		"DOWNSTREAM_REMOTE_PORT":                 simple(portOf(filter.AttrSourceAddress)),
		"DOWNSTREAM_LOCAL_ADDRESS":               attr("destination.address"),
		"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":  simple(hostOf("destination.address")),
		"DOWNSTREAM_LOCAL_PORT":                  simple(portOf("destination.address")),
		"UPSTREAM_HOST":                          attr(filter.AttrUpstreamAddress),
		"UPSTREAM_REMOTE_ADDRESS":                attr(filter.AttrUpstreamAddress),
		"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":   simple(hostOf(filter.AttrUpstreamAddress)),
		"UPSTREAM_REMOTE_PORT":                   simple(portOf(filter.AttrUpstreamAddress)),

		"PATH":         {optional, true, path},
		"QUERY_PARAMS": {optional, true, queryParams},
		"CEL":          {required, true, cel},
		"COALESCE":     {required, true, coalesce},
		"TRACE_ID":     simple(traceID),
		"SPAN_ID":      simple(spanID),

		"DURATION":                simple(whole(filter.AttrDuration)),
		"BYTES_RECEIVED":          simple(whole(filter.AttrRequestSize)),
		"BYTES_SENT":              simple(whole(filter.AttrResponseSize)),
		"REQUEST_HEADERS_BYTES":   simple(headerBytes(func(s filter.Stream) filter.Headers { return s.RequestHeaders().Headers })),
		"RESPONSE_HEADERS_BYTES":  simple(headerBytes(func(s filter.Stream) filter.Headers { return s.ResponseHeaders().Headers })),
		"RESPONSE_TRAILERS_BYTES": simple(headerBytes(filter.Stream.ResponseTrailers)),
		"GRPC_STATUS":             {optional, false, grpcStatus},
		"GRPC_STATUS_NUMBER":      {forbidden, false, func(string) (getter, error) { return grpcStatus("NUMBER") }},

		"UPSTREAM_LOCAL_ADDRESS":            attr("upstream.local_address"),
		"UPSTREAM_TRANSPORT_FAILURE_REASON": attr(filter.AttrUpstreamFailure),
		"UPSTREAM_REQUEST_ATTEMPT_COUNT":    simple(whole("upstream.request_attempt_count")),
		"UPSTREAM_TLS_VERSION":              attr("upstream.tls_version"),
		"UPSTREAM_PEER_SUBJECT":             attr("upstream.subject_peer_certificate"),
		"UPSTREAM_PEER_DNS_SAN":             attr("upstream.dns_san_peer_certificate"),
		"UPSTREAM_PEER_URI_SAN":             attr("upstream.uri_san_peer_certificate"),
		"UPSTREAM_LOCAL_SUBJECT":            attr("upstream.subject_local_certificate"),
		"UPSTREAM_LOCAL_DNS_SAN":            attr("upstream.dns_san_local_certificate"),
		"UPSTREAM_LOCAL_URI_SAN":            attr("upstream.uri_san_local_certificate"),
		"DOWNSTREAM_PEER_FINGERPRINT_256":   attr(filter.AttrPeerDigest),
		"CONNECTION_TERMINATION_DETAILS":    attr("connection.termination_details"),

		"CONNECTION_ID":            attr("connection.id"),
		"REQUESTED_SERVER_NAME":    attr("connection.requested_server_name"),
		"DOWNSTREAM_TLS_VERSION":   attr(filter.AttrTLSVersion),
		"DOWNSTREAM_PEER_SUBJECT":  attr(filter.AttrPeerSubject),
		"DOWNSTREAM_PEER_DNS_SAN":  attr("connection.dns_san_peer_certificate"),
		"DOWNSTREAM_PEER_URI_SAN":  attr("connection.uri_san_peer_certificate"),
		"DOWNSTREAM_LOCAL_SUBJECT": attr("connection.subject_local_certificate"),
		"DOWNSTREAM_LOCAL_DNS_SAN": attr("connection.dns_san_local_certificate"),
		"DOWNSTREAM_LOCAL_URI_SAN": attr("connection.uri_san_local_certificate"),

		"DYNAMIC_METADATA": {required, true, metadata},
		"FILTER_STATE":     {required, true, filterState},
		"CONSUMER":         simple(consumer),

		"START_TIME":       {optional, false, startTime(false)},
		"START_TIME_LOCAL": {optional, false, startTime(true)},
		"EMIT_TIME":        {optional, false, emitTime(false)},
		"EMIT_TIME_LOCAL":  {optional, false, emitTime(true)},

		"ENVIRONMENT": environment,
		"HOSTNAME":    hostname,
	}
}

// simple is a command without argument and length.
func simple(get getter) *command {
	return &command{make: func(string) (getter, error) { return get, nil }}
}

// The two commands below give the same text for every stream.
var (
	environment = &command{required, true, func(name string) (getter, error) {
		v := os.Getenv(name)
		return func(filter.Stream) string { return v }, nil
	}}
	hostname = &command{make: func(string) (getter, error) {
		name, err := os.Hostname()
		return func(filter.Stream) string { return name }, err
	}}
)

func (c *command) constant() bool { return c == environment || c == hostname }

// headerGetter is for NAME and NAME?ALTERNATIVE; as in Envoy, it is the first value of a field that counts.
func headerGetter(from func(filter.Stream) filter.Headers, argument string) (getter, error) {
	name, alternative, has := strings.Cut(strings.ToLower(argument), "?")
	if strings.Contains(alternative, "?") {
		return nil, fmt.Errorf("more than one alternative in %q", argument)
	}
	names := []string{name}
	if has {
		names = append(names, alternative)
	}
	for _, n := range names {
		if err := fieldname.Check(strings.TrimPrefix(n, ":")); err != nil {
			return nil, err
		}
	}
	if !has {
		return func(s filter.Stream) string { return from(s).Get(name) }, nil
	}
	return func(s filter.Stream) string {
		h := from(s)
		if v := h.Get(name); v != "" || h.Has(name) {
			return v
		}
		return h.Get(alternative)
	}, nil
}

func queryParam(name string) (getter, error) {
	return func(s filter.Stream) string { return s.RequestHeaders().URL().Query().Get(name) }, nil
}

func attrGetter(name filter.Attr) getter {
	return func(s filter.Stream) string {
		v, _ := s.Attr(name)
		return v
	}
}

func hostOf(name filter.Attr) getter {
	return func(s filter.Stream) string {
		v, _ := s.Attr(name)
		if host, _, err := net.SplitHostPort(v); err == nil {
			return host
		}
		return v
	}
}

func portOf(name filter.Attr) getter {
	return func(s filter.Stream) string {
		v, _ := s.Attr(name)
		_, port, _ := net.SplitHostPort(v)
		return port
	}
}

// metadata is for NAMESPACE:KEY and NAMESPACE:KEY:MEMBER:…; what is not a string becomes JSON.
func metadata(argument string) (getter, error) {
	path := strings.Split(argument, ":")
	if len(path) < 2 || path[0] == "" || path[1] == "" {
		return nil, fmt.Errorf("%q is not NAMESPACE:KEY", argument)
	}
	namespace, key, members := path[0], path[1], path[2:]
	return func(s filter.Stream) string {
		v, err := s.Metadata(namespace, key)
		if err != nil {
			return ""
		}
		for _, m := range members {
			object, _ := v.(map[string]any)
			v = object[m]
		}
		switch v := v.(type) {
		case nil:
			return ""
		case string:
			return v
		case bool:
			return strconv.FormatBool(v)
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		text, _ := json.Marshal(v)
		return string(text)
	}, nil
}

// filterState is for KEY:PLAIN. Envoy's other forms need the type of the object, which no host hands out.
func filterState(argument string) (getter, error) {
	key, form, _ := strings.Cut(argument, ":")
	if key == "" {
		return nil, errors.New("the key is empty")
	}
	if form != "PLAIN" {
		return nil, fmt.Errorf("only the form %%FILTER_STATE(%s:PLAIN)%% is supported", key)
	}
	return func(s filter.Stream) string {
		v, _ := s.FilterState(key)
		return v
	}, nil
}

func consumer(s filter.Stream) string {
	if c := s.Consumer(); c != nil {
		return c.Name
	}
	return ""
}
