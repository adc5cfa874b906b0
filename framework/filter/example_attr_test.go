package filter_test

import (
	"errors"
	"fmt"

	"mosn.io/moe/framework/filter"
)

// Connection notes what Envoy knows of a stream, when it is over.
type Connection struct {
	note func(name filter.Attr, value string)
}

func init() { filter.Register[Connection]("connection", filter.Observe) }

// noted are attributes that this package names; "connection.id" is one of Envoy's others.
var noted = []filter.Attr{
	filter.AttrRequestID, filter.AttrProtocol, filter.AttrRequestSize, filter.AttrDuration,
	filter.AttrResponseSize, filter.AttrResponseFlags, filter.AttrCodeDetails,
	filter.AttrSourceAddress, filter.AttrDestinationAddress,
	filter.AttrTLSVersion, filter.AttrServerName, filter.AttrPeerSubject, filter.AttrPeerURISAN, filter.AttrPeerDNSSAN,
	filter.AttrPeerDigest,
	filter.AttrUpstreamAddress, filter.AttrUpstreamFailure,
	filter.AttrRouteName, filter.AttrVirtualHostName, filter.AttrClusterName,
	filter.Attr("connection.id"),
}

func (c *Connection) OnComplete(s filter.Stream) {
	for _, name := range noted {
		value, err := s.Attr(name)
		switch {
		case errors.Is(err, filter.ErrNotFound): // this stream has none, as a server name without TLS
		case errors.Is(err, filter.ErrUnsupported): // this host cannot tell
		case err == nil:
			c.note(name, value)
		}
	}
}

// Attributes are what Envoy knows of a stream, under the names that Envoy gives them.
func ExampleAttr() {
	h := run(&Connection{note: func(name filter.Attr, value string) { fmt.Println(name, value) }})
	h.Attrs = map[filter.Attr]string{filter.AttrProtocol: "HTTP/2", filter.AttrClusterName: "backend"}
	h.Get("/")
	// Output:
	// request.protocol HTTP/2
	// xds.cluster_name backend
}
