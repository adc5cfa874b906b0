package accesslog

import (
	"iter"
	"regexp"
	"strconv"
	"time"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/redact"
)

// Logger writes the same lines as an access logger of Envoy's, which sees also what reaches no HTTP filter.
type Logger struct {
	// Output is stdout, stderr, the path of a file, which is made if it is not there, or a server: https://… for
	// newline-delimited JSON, otlp+https://… for OpenTelemetry, kafka+tls://HOST:PORT/TOPIC, syslog+tls://HOST:PORT,
	// syslog+tcp://…, syslog+udp://… or syslog+unix:///PATH. All instances with one output share it.
	Output string `json:"output" default:"stdout"`
	// Server is how an output that is a server is reached.
	Server *Server `json:"server"`
	// Redact lists headers and trailers whose values are not to be written, besides authorization, proxy-authorization,
	// cookie, set-cookie and those in which plugins look for credentials.
	Redact []string `json:"redact"`
	// Reveal lists headers of these four whose values are written nevertheless.
	Reveal []string `json:"reveal"`
	// RedactQuery lists parameters of the query whose values are not to be written, be it in the path or in a header with
	// an address: referer, location, or the path before it was rewritten.
	RedactQuery []string `json:"redactQuery"`
	// RedactPatterns lists regular expressions (RE2). What they match is replaced in paths, headers and trailers.
	RedactPatterns []*regexp.Regexp `json:"redactPatterns"`
	// Omit lists headers and trailers that are not written at all.
	Omit []string `json:"omit"`
	// Metadata lists dynamic metadata that is written, where a stream has it.
	Metadata []Metadata `json:"metadata"`
	// Buffer is how much may wait to be written, by all instances with this output. Lines beyond are dropped.
	Buffer filter.Size `json:"buffer" default:"4MiB"`

	lines AccessLog // what both forms share: what is hidden, and the sink
}

// Metadata names a value of Envoy's dynamic metadata.
type Metadata struct {
	// Namespace is the name of the filter that sets it, such as moe.
	Namespace string `json:"namespace" validate:"required"`
	// Path is the key, or the keys of nested structures joined with dots.
	Path string `json:"path" validate:"required"`
	// As is the member's name in the line.
	As string `json:"as" validate:"required"`
}

func init() { accesslog.Register[Logger]("accesslog") }

// Validate checks the names.
func (l *Logger) Validate() error {
	l.lines.Output, l.lines.Server, l.lines.Buffer = l.Output, l.Server, l.Buffer
	l.lines.Redact, l.lines.Reveal, l.lines.RedactQuery = l.Redact, l.Reveal, l.RedactQuery
	l.lines.RedactPatterns, l.lines.Omit = l.RedactPatterns, l.Omit
	return l.lines.Validate()
}

// Provision opens the output.
func (l *Logger) Provision(env *accesslog.Env) error { return l.lines.Provision(env) }

// Flush waits, a second at most, until what was logged so far is written; not for an output that fails.
func (l *Logger) Flush() { l.lines.sink.flush() }

// Close waits, a few seconds at most, until all lines are written.
func (l *Logger) Close() error { return l.lines.Close() }

// Log writes the line.
func (l *Logger) Log(e accesslog.Entry) {
	line := lines.Get().(*[]byte)
	*line = l.encode((*line)[:0], e)
	l.lines.sink.write(*line, int64(l.Buffer), &l.lines.counts)
	if cap(*line) <= maxPooledLine {
		lines.Put(line)
	}
}

// textMembers are the members of a line that are texts of Envoy's, in the order of textFields.
var textMembers = [...]string{
	"protocol", "request_id", "details", "termination", "route", "cluster", "upstream_failure", "tls_version", "tls_failure",
	"server_name",
}

var textFields = [len(textMembers)]accesslog.TextField{
	accesslog.Protocol, accesslog.RequestID, accesslog.ResponseCodeDetails, accesslog.ConnectionTerminationDetails,
	accesslog.RouteName, accesslog.UpstreamCluster, accesslog.UpstreamTransportFailureReason,
	accesslog.DownstreamTLSVersion, accesslog.DownstreamTransportFailureReason, accesslog.RequestedServerName,
}

// addresses are the members that are addresses.
var addresses = [...]struct {
	member string
	field  accesslog.AddrField
}{
	{"downstream", accesslog.DownstreamRemote},
	{"downstream_local", accesslog.DownstreamLocal},
	{"upstream", accesslog.UpstreamRemote},
}

// pseudo are the pseudo-headers that have a member of their own.
var pseudo = [...]struct{ member, header string }{
	{"method", ":method"}, {"scheme", ":scheme"}, {"host", ":authority"}, {"path", ":path"},
}

// encode appends the line of e.
func (l *Logger) encode(b []byte, e accesslog.Entry) []byte {
	hide, times := l.lines.hide.Now(), e.Times()
	b = append(b, `{"time":"`...)
	b = timestamp(b, times.Start)
	b = append(b, `","event":"`...)
	b = append(b, e.Event().String()...)
	b = append(b, '"')
	var own [len(pseudo)]string
	headers := e.RequestHeaders()
	for k, v := range headers {
		for i := range pseudo {
			if k == pseudo[i].header {
				own[i] = v
			}
		}
	}
	for i := range pseudo {
		if pseudo[i].header == ":path" {
			own[i] = hide.Path(own[i])
		}
		b = member(b, pseudo[i].member, own[i])
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendUint(b, e.Number(accesslog.ResponseCode), 10)
	b = reached(b, "duration_ms", times.End)
	b = reached(b, "first_byte_ms", times.FirstDownstreamSent)
	b = reached(b, "upstream_ms", times.LastUpstreamReply)
	b = member(b, "flags", e.Flags().String())
	var texts [len(textFields)]string
	e.Texts(textFields[:], texts[:])
	for i := range texts {
		b = member(b, textMembers[i], texts[i])
	}
	for _, m := range addresses {
		if a := e.Addr(m.field); a.IsValid() {
			b = member(b, m.member, a.String())
		}
	}
	if n := e.Number(accesslog.AttemptCount); n > 1 {
		b = append(b, `,"attempts":`...)
		b = strconv.AppendUint(b, n, 10)
	}
	b = l.metadata(b, e)
	bytes := e.Bytes()
	b = l.block(b, hide, "request", bytes.Received, headers, nil)
	b = l.block(b, hide, "response", bytes.Sent, e.ResponseHeaders(), e.ResponseTrailers())
	return append(b, '}', '\n')
}

// reached appends a duration with three decimals, if what it leads to has happened.
func reached(b []byte, name string, d time.Duration) []byte {
	if d < 0 {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendFloat(b, float64(d.Microseconds())/1000, 'f', 3, 64)
}

func (l *Logger) metadata(b []byte, e accesslog.Entry) []byte {
	first := true
	for _, m := range l.Metadata {
		v, ok := e.Metadata(m.Namespace, m.Path)
		if !ok {
			continue
		}
		if first {
			b, first = append(b, `,"metadata":{`...), false
		} else {
			b = append(b, ',')
		}
		b = append(text(b, m.As), ':')
		switch v := v.(type) {
		case float64:
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		case bool:
			b = strconv.AppendBool(b, v)
		case string:
			b = text(b, v)
		}
	}
	if !first {
		b = append(b, '}')
	}
	return b
}

// block appends one message. Trailers are nil where Envoy tells none.
func (l *Logger) block(b []byte, hide *redact.Hiding, name string, bytes uint64, headers, trailers iter.Seq2[string, string]) []byte {
	b = append(append(append(b, `,"`...), name...), `":{"bytes":`...)
	b = strconv.AppendUint(b, bytes, 10)
	x := stream{log: &l.lines}
	b = x.block(b, hide, "headers", headers)
	if trailers != nil {
		b = x.block(b, hide, "trailers", trailers)
	}
	return append(b, '}')
}
