package main

import (
	"fmt"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
)

func init() {
	register("property", func(_ settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &property{stream: stream{cb: cb}}
	})
}

// property reads attributes into headers.
type property struct{ stream }

// attributes of each direction, in the order in which they become headers p0, p1 ….
var attributes = [2][]string{
	{
		"request.path", "request.url_path", "request.host", "request.scheme", "request.method", "request.referer",
		"request.useragent", "request.id", "request.protocol", "request.query", "connection.mtls", "xds.route_name",
		"xds.filter_chain_name", "nonsense", "request.nonsense",
	},
	{
		"response.code", "response.code_details", "upstream.address", "xds.cluster_name", "destination.port", "source.address",
		"response.flags", "upstream.requested_server_name", "xds.virtual_cluster_name", "xds.virtual_host_name",
	},
}

func (f *property) write(h api.HeaderMap, names []string) {
	for i, name := range names {
		v, err := f.cb.GetProperty(name)
		if err != nil {
			v = "error: " + err.Error()
		}
		h.Set(fmt.Sprintf("p%d", i), v)
	}
}

func (f *property) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	f.write(h, attributes[0])
	return api.Continue
}

func (f *property) EncodeHeaders(h api.ResponseHeaderMap, _ bool) api.StatusType {
	f.write(h, attributes[1])
	return api.Continue
}
