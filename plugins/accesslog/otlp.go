package accesslog

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// openOTLP makes an output that posts log records as OTLP/HTTP wants them
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp): binary protobuf.
func openOTLP(u *url.URL, s *Server) (remote, error) {
	to := *u
	to.Scheme = strings.TrimPrefix(u.Scheme, "otlp+")
	if strings.Trim(to.Path, "/") == "" {
		to.Path = "/v1/logs"
	}
	resource := &resourcev1.Resource{Attributes: resourceOf(os.Getenv)}
	return newHTTP(&to, s, "application/x-protobuf", func(lines []byte) ([]byte, error) {
		return proto.Marshal(logsOf(lines, resource, time.Now()))
	}, partial)
}

// resourceOf reads who logs from OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
func resourceOf(getenv func(string) string) []*commonv1.KeyValue {
	all := map[string]string{"service.name": "envoy"}
	for pair := range strings.SplitSeq(getenv("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		name, value, ok := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			continue
		}
		if plain, err := url.PathUnescape(strings.TrimSpace(value)); err == nil {
			all[name] = plain
		}
	}
	if name := getenv("OTEL_SERVICE_NAME"); name != "" {
		all["service.name"] = name
	}
	var list []*commonv1.KeyValue
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, attribute(name, all[name]))
	}
	return list
}

func attribute(name, value string) *commonv1.KeyValue {
	return &commonv1.KeyValue{Key: name, Value: textValue(value)}
}

func textValue(s string) *commonv1.AnyValue {
	return &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: strings.ToValidUTF8(s, "\ufffd")}}
}

// logsOf is what is sent for some lines. An ExportLogsServiceRequest is on the wire as LogsData are.
func logsOf(lines []byte, resource *resourcev1.Resource, now time.Time) *logsv1.LogsData {
	scope := &logsv1.ScopeLogs{Scope: &commonv1.InstrumentationScope{Name: "mosn.io/moe/plugins/accesslog"}}
	for line := range bytes.Lines(lines) {
		scope.LogRecords = append(scope.LogRecords, recordOf(bytes.TrimSuffix(line, []byte{'\n'}), now))
	}
	return &logsv1.LogsData{ResourceLogs: []*logsv1.ResourceLogs{{
		Resource: resource, ScopeLogs: []*logsv1.ScopeLogs{scope},
	}}}
}

// summary is what of a line has a name among OpenTelemetry's semantic conventions.
type summary struct {
	Time       time.Time
	Method     string
	Scheme     string
	Host       string
	Path       string
	Status     int64
	Protocol   string
	Downstream string
	Route      string
	Request    struct {
		Bytes   int64
		Headers map[string][]string
	}
	Response struct{ Bytes int64 }
}

// recordOf makes a record of a line: the line is its body, and what has a conventional name is an attribute, too.
func recordOf(line []byte, now time.Time) *logsv1.LogRecord {
	var s summary
	r := &logsv1.LogRecord{
		ObservedTimeUnixNano: uint64(now.UnixNano()), SeverityNumber: logsv1.SeverityNumber_SEVERITY_NUMBER_INFO,
		SeverityText: "INFO", Body: textValue(string(line)), EventName: "access",
	}
	if err := json.Unmarshal(line, &s); err != nil {
		return r // never: it is our own line
	}
	if !s.Time.IsZero() {
		r.TimeUnixNano = uint64(s.Time.UnixNano())
	}
	path, query, _ := strings.Cut(s.Path, "?")
	for _, a := range [...][2]string{
		{"http.request.method", s.Method},
		{"url.scheme", s.Scheme},
		{"url.path", path},
		{"url.query", query},
		{"network.protocol.version", strings.TrimPrefix(s.Protocol, "HTTP/")},
	} {
		if a[1] != "" {
			r.Attributes = append(r.Attributes, attribute(a[0], a[1]))
		}
	}
	r.Attributes = append(r.Attributes, place("server", s.Host)...)
	r.Attributes = append(r.Attributes, place("client", s.Downstream)...)
	if s.Status != 0 {
		r.Attributes = append(r.Attributes, number("http.response.status_code", s.Status))
	}
	r.Attributes = append(r.Attributes, number("http.request.body.size", s.Request.Bytes),
		number("http.response.body.size", s.Response.Bytes))
	if values := s.Request.Headers["traceparent"]; len(values) == 1 {
		r.TraceId, r.SpanId, r.Flags = traceOf(values[0])
	}
	return r
}

func number(name string, n int64) *commonv1.KeyValue {
	return &commonv1.KeyValue{Key: name, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_IntValue{IntValue: n}}}
}

// place is a host with its port, if it has one, which the conventions keep apart.
func place(who, text string) []*commonv1.KeyValue {
	if text == "" {
		return nil
	}
	if host, port, err := net.SplitHostPort(text); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			return []*commonv1.KeyValue{attribute(who+".address", host), number(who+".port", int64(n))}
		}
	}
	return []*commonv1.KeyValue{attribute(who+".address", text)}
}

// traceOf reads a traceparent (https://www.w3.org/TR/trace-context/); a bad one is none.
func traceOf(v string) (id, span []byte, flags uint32) {
	parts := strings.Split(v, "-")
	if len(parts) < 4 {
		return nil, nil, 0
	}
	t, err1 := trace.TraceIDFromHex(parts[1])
	s, err2 := trace.SpanIDFromHex(parts[2])
	f, err3 := strconv.ParseUint(parts[3], 16, 8)
	if err1 != nil || err2 != nil || err3 != nil {
		return nil, nil, 0
	}
	return t[:], s[:], uint32(f)
}

// partial reads an ExportLogsServiceResponse: a server may refuse some records. It returns how many.
func partial(answer []byte) int {
	success, ok := fieldOf(answer, 1)
	rejected := uint64(0)
	for ok && len(success) > 0 {
		number, kind, n := protowire.ConsumeTag(success)
		if n < 0 {
			return 0
		}
		success = success[n:]
		if number == 1 && kind == protowire.VarintType {
			if rejected, n = protowire.ConsumeVarint(success); n < 0 {
				return 0
			}
		}
		if n = protowire.ConsumeFieldValue(number, kind, success); n < 0 {
			return 0
		}
		success = success[n:]
	}
	return int(min(rejected, math.MaxInt32))
}

// fieldOf returns a field of a message, whose value is bytes.
func fieldOf(message []byte, field protowire.Number) ([]byte, bool) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, false
		}
		message = message[n:]
		if number == field && kind == protowire.BytesType {
			v, n := protowire.ConsumeBytes(message)
			return v, n >= 0
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return nil, false
		}
		message = message[n:]
	}
	return nil, false
}
