package exchange

import (
	"iter"
	"strconv"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/grpcstatus"
)

// Reply is a response of the chain's own. Its headers are in the chain's block.
type Reply struct {
	Begun, End bool
	Sent       bool // Envoy has all of it, or what there was when it began
	Body       []byte
	Limit      int  // how much Body may be; 0 is unlimited
	TooLarge   bool // the plugin's reader gave more
}

func (r *Reply) begin(end bool) { r.Begun, r.End = true, end }

func (r *Reply) add(p []byte, end bool) {
	if r.TooLarge {
		return
	}
	r.Body, r.End = append(r.Body, p...), end
	if r.Limit > 0 && len(r.Body) > r.Limit {
		r.TooLarge, r.End, r.Body = true, true, nil
	}
}

// ReplyStatus returns the HTTP status among the headers of the chain's reply.
func (x *Exchange) ReplyStatus() int {
	for _, f := range x.Chain.H[core.ResponseHeaders].Fields {
		if f.Name == ":status" {
			if n, err := strconv.Atoi(f.Value); err == nil {
				return n
			}
		}
	}
	return 200
}

// ReplyFields are the headers of the chain's reply but for those that Envoy's local reply sets itself. To gRPC requests
// that sends trailers only, with the body as grpc-message.
func (x *Exchange) ReplyFields(grpc bool) iter.Seq[core.Field] {
	return func(yield func(core.Field) bool) {
		for _, f := range x.Chain.H[core.ResponseHeaders].Fields {
			switch f.Name {
			case ":status", "content-length":
				continue
			case "grpc-status", "grpc-message", "content-type":
				if grpc {
					continue
				}
			}
			if !yield(f) {
				return
			}
		}
	}
}

// ReplyGRPC returns the gRPC status of the chain's reply: the plugin's, or that of the HTTP status.
func (x *Exchange) ReplyGRPC(status int) int {
	if code := x.Chain.ReplyGRPC; code >= 0 {
		return code
	}
	return grpcstatus.OfHTTP(status)
}

// IsGRPC reports whether a request with these headers is one of gRPC.
func IsGRPC(fields []core.Field) bool {
	for _, f := range fields {
		if f.Name == "content-type" {
			return grpcstatus.IsRequest(f.Value)
		}
	}
	return false
}
