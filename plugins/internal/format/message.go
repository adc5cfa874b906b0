package format

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/expression"
)

// traceID and spanID are those of the trace that the request's traceparent names.
func traceID(s filter.Stream) string {
	if c := trace.SpanContextFromContext(s.Context()); c.HasTraceID() {
		return c.TraceID().String()
	}
	return ""
}

func spanID(s filter.Stream) string {
	if c := trace.SpanContextFromContext(s.Context()); c.HasSpanID() {
		return c.SpanID().String()
	}
	return ""
}

// whole is an attribute that is a number, without its fraction.
func whole(name filter.Attr) getter {
	return func(s filter.Stream) string {
		v, _ := s.Attr(name)
		v, _, _ = strings.Cut(v, ".")
		return v
	}
}

// headerBytes counts a block of headers as Envoy does: names and values.
func headerBytes(from func(filter.Stream) filter.Headers) getter {
	return func(s filter.Stream) string {
		n := 0
		for name, value := range from(s).All() {
			n += len(name) + len(value)
		}
		return strconv.Itoa(n)
	}
}

// grpcNames are the codes of gRPC by number.
var grpcNames = [...]string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
	"ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
	"Unauthenticated",
}

// grpcStatus is for the forms CAMEL_STRING, SNAKE_STRING and NUMBER. The status is in the trailers, or in the headers of a
// response without a body. One that is not known stays a number.
func grpcStatus(form string) (getter, error) {
	switch form {
	case "", "CAMEL_STRING", "SNAKE_STRING", "NUMBER":
	default:
		return nil, fmt.Errorf("the form %q is not one of CAMEL_STRING, SNAKE_STRING, NUMBER", form)
	}
	return func(s filter.Stream) string {
		text := s.ResponseTrailers().Get("grpc-status")
		if text == "" {
			text = s.ResponseHeaders().Get("grpc-status")
		}
		n, err := strconv.Atoi(text)
		switch {
		case err != nil || n < 0 || n >= len(grpcNames) || form == "NUMBER":
			return text
		case form == "SNAKE_STRING":
			return snake(grpcNames[n])
		}
		return grpcNames[n]
	}, nil
}

// snake writes InvalidArgument as INVALID_ARGUMENT.
func snake(name string) string {
	if name == "OK" {
		return name
	}
	var b strings.Builder
	for i, c := range name {
		if i > 0 && c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(c)
	}
	return strings.ToUpper(b.String())
}

const originalPath = "x-envoy-original-path"

// target returns the path with the query: as it is, or as it was before Envoy rewrote it.
func target(s filter.Stream, original bool) string {
	h := s.RequestHeaders()
	if original {
		if v := h.Get(originalPath); v != "" {
			return v
		}
	}
	return h.Path()
}

// path is for WQ or NQ (with the query, or without) and ORIG, PATH or ORIG_OR_PATH.
func path(argument string) (getter, error) {
	query, which, _ := strings.Cut(argument, ":")
	if query != "" && query != "WQ" && query != "NQ" {
		return nil, errors.New("the first part is not one of WQ, NQ")
	}
	switch which {
	case "", "ORIG", "PATH", "ORIG_OR_PATH":
	default:
		return nil, errors.New("the second part is not one of ORIG, PATH, ORIG_OR_PATH")
	}
	return func(s filter.Stream) string {
		v := ""
		if which == "ORIG" {
			v = s.RequestHeaders().Get(originalPath)
		} else {
			v = target(s, which != "PATH")
		}
		if query == "NQ" {
			v, _, _ = strings.Cut(v, "?")
		}
		return v
	}, nil
}

// queryParams is for all of the query.
func queryParams(form string) (getter, error) {
	if form != "" && form != "ORIG" {
		return nil, errors.New("only the form %QUERY_PARAMS(ORIG)% is supported")
	}
	return func(s filter.Stream) string {
		_, query, _ := strings.Cut(target(s, false), "?")
		return query
	}, nil
}

// cel is for an expression of the Common Expression Language, of type string, int or bool.
func cel(text string) (getter, error) {
	var program expression.Program
	var t expression.Type
	var err error
	for _, t = range []expression.Type{expression.Text, expression.Int, expression.Bool} {
		if program, err = expression.Compile(text, t, expression.Options{}); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	rules := authz.Path{Mode: "normalize"}
	return func(s filter.Stream) string {
		r, _ := rules.Request(s, s.RequestHeaders()) // no path is ambiguous to the mode normalize
		switch v, err := program.Evaluate(&r); {
		case err != nil:
			return ""
		case t == expression.Text:
			return v.Text
		case t == expression.Int:
			return strconv.FormatInt(v.Int, 10)
		default:
			return strconv.FormatBool(v.Bool)
		}
	}, nil
}
