package filter_test

import (
	"fmt"

	"mosn.io/moe/framework/filter"
)

// Certificate takes clients for who their certificate says they are: there are no credentials to be listed.
type Certificate struct{}

// Guest lets in who has no credential at all.
type Guest struct{}

func init() {
	filter.Register[Certificate]("certificate", filter.Authn, filter.Authenticates())
	filter.Register[Guest]("guest", filter.Authn, filter.AuthenticatesLast())
}

var noCertificate = filter.Unauthenticated(filter.Reply(401, "a client certificate is required"))

func (*Certificate) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	name, err := s.Attr(filter.AttrPeerURISAN)
	if err != nil {
		return noCertificate
	}
	h.Set("x-caller", name)
	s.SetConsumer(&filter.Consumer{Name: name})
	return filter.Continue
}

// OwnsRequestHeaders names the header that only this plugin may set: the chain removes it from what clients send.
func (*Certificate) OwnsRequestHeaders() []string { return []string{"x-caller"} }

var _ filter.HeaderOwner = (*Certificate)(nil)

func (*Guest) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	s.SetConsumer(&filter.Consumer{Name: "guest"})
	return filter.Continue
}

// Unauthenticated leaves it to the other plugins, and to the operator, what becomes of the request.
func ExampleUnauthenticated() {
	strict, open := run(&Certificate{}), run(&Certificate{}, &Guest{})
	fmt.Println(strict.Get("/").Status, open.Get("/").Status)
	fmt.Printf("%q\n", open.Get("/", "x-caller", "forged").Upstream.Header.Get("x-caller"))
	strict.Attrs = map[filter.Attr]string{filter.AttrPeerURISAN: "spiffe://example/ann"}
	fmt.Printf("%q\n", strict.Get("/").Upstream.Header.Get("x-caller"))
	// Output:
	// 401 200
	// ""
	// "spiffe://example/ann"
}

// Limit replies as gRPC clients expect it.
type Limit struct{}

func init() { filter.Register[Limit]("limit", filter.Traffic) }

func (*Limit) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	options := []filter.ReplyOption{
		filter.WithHeader("retry-after", "1"), filter.WithGRPCStatus(8), filter.WithDetails("limit.exceeded"),
	}
	return filter.Reply(429, "slow down", options...)
}

// Options add to a reply; a gRPC status is for gRPC requests only.
func ExampleReplyOption() {
	h := run(&Limit{})
	r, g := h.Get("/"), h.GRPC("/pkg.Service/Method", "")
	fmt.Println(r.Status, r.Header.Get("retry-after"), r.Details)
	fmt.Println(g.GRPCStatus, g.GRPCMessage)
	// Output:
	// 429 1 limit.exceeded
	// 8 slow down
}
