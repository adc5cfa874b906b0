package extproc

import (
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/internal/core"
)

type headerMap = *corev3.HeaderMap

// maxFields is far more than Envoy lets through.
const maxFields = 10_000

// appendFields copies headers to fields; their values share one allocation.
func appendFields(fields []core.Field, h headerMap) ([]core.Field, error) {
	all := h.GetHeaders()
	if len(all) > maxFields {
		return fields, fmt.Errorf("%d headers; at most %d are taken", len(all), maxFields)
	}
	size := 0
	for _, f := range all {
		size += len(f.GetRawValue())
	}
	var text strings.Builder
	text.Grow(size)
	for _, f := range all {
		text.Write(f.GetRawValue())
	}
	values := text.String()
	fields = slices.Grow(fields, len(all)+8)
	at := 0
	for _, f := range all {
		value := f.GetValue() // of clients other than Envoy
		if n := len(f.GetRawValue()); n > 0 {
			value = values[at : at+n]
			at += n
		}
		fields = append(fields, core.Field{Name: strings.ToLower(f.GetKey()), Value: value})
	}
	return fields, nil
}

// appended is that a field is added to those of its name. Envoy reads the older, deprecated field.
var appended = wrapperspb.Bool(true)

func option(f core.Field, add bool) *corev3.HeaderValueOption {
	o := &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: f.Name, RawValue: []byte(f.Value)},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
	if add {
		o.AppendAction = corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
		//lint:ignore SA1019 it is what Envoy reads
		o.Append = appended
	}
	return o
}

// mutation writes the changes of a block; nil where there are none.
func (s *grpcStream) mutationOf(block int) *extprocv3.HeaderMutation {
	s.Chain.Mu.Lock()
	defer s.Chain.Mu.Unlock()
	b := &s.Chain.H[block]
	if len(b.Changed) == 0 {
		return nil
	}
	m := &extprocv3.HeaderMutation{}
	for _, name := range b.Changed {
		found := false
		for i := range b.Fields {
			if b.Fields[i].Name == name {
				m.SetHeaders = append(m.SetHeaders, option(b.Fields[i], found))
				found = true
			}
		}
		if !found {
			m.RemoveHeaders = append(m.RemoveHeaders, name)
		}
	}
	return m
}

// kinds of messages, for metrics.
const (
	kindUnknown = iota
	kindRequestHeaders
	kindRequestBody
	kindRequestTrailers
	kindResponseHeaders
	kindResponseBody
	kindResponseTrailers
	kindCount
)

var kindNames = [kindCount]string{
	"unknown", "request_headers", "request_body", "request_trailers", "response_headers",
	"response_body", "response_trailers",
}

func kindOf(m *extprocv3.ProcessingRequest) int {
	switch m.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		return kindRequestHeaders
	case *extprocv3.ProcessingRequest_RequestBody:
		return kindRequestBody
	case *extprocv3.ProcessingRequest_RequestTrailers:
		return kindRequestTrailers
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return kindResponseHeaders
	case *extprocv3.ProcessingRequest_ResponseBody:
		return kindResponseBody
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		return kindResponseTrailers
	}
	return kindUnknown
}
