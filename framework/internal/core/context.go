package core

import "context"

type hostKey struct{}

// WithHost returns a context that carries a stream's host, so that what is given the context alone, an
// http.RoundTripper, finds its stream.
func WithHost(ctx context.Context, h Host) context.Context { return context.WithValue(ctx, hostKey{}, h) }

// HostOf returns the host of the stream that ctx belongs to, or nil.
func HostOf(ctx context.Context) Host {
	h, _ := ctx.Value(hostKey{}).(Host)
	return h
}
