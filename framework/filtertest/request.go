package filtertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Response is what the client and the upstream have seen of a stream.
type Response struct {
	Status  int         // 0 if the stream was reset, or the client left, before there was one
	Header  http.Header // of the response
	Body    string
	Chunks  []string // of Body, as they left the chain
	Trailer http.Header

	Reset   string // why the chain reset the stream, or "left" where the client did
	Replied bool   // a plugin, or the framework, replied; not the upstream
	Details string // of the reply: Envoy's response code details

	// To a gRPC request: grpc-status, or -1 where there is none, and grpc-message. As in Envoy, a plugin's reply to one
	// has the status 200, its own status mapped to grpc-status, and its body as grpc-message.
	GRPCStatus  int
	GRPCMessage string

	Upstream *http.Request // what reached the upstream, or nil
	Sent     string        // its body
	SentEnd  bool          // all of the request reached the upstream

	Metadata       map[string]any    // dynamic metadata at the end, by "namespace/key"
	FilterState    map[string]string // at the end
	RouteCleared   int               // how often ClearRouteCache was called
	UpstreamHost   string            // what SetUpstreamHost set
	UpstreamStrict bool
}

// Get sends a GET with header fields given as name, value, ….
func (h *Host) Get(path string, header ...string) *Response {
	h.t.Helper()
	return h.Do(NewRequest("GET", path, "", header...))
}

// Post sends a POST.
func (h *Host) Post(path, body string, header ...string) *Response {
	h.t.Helper()
	return h.Do(NewRequest("POST", path, body, header...))
}

// GRPC sends a gRPC request, with message as its body. Where Upstream is nil it is answered with the message and
// grpc-status 0.
func (h *Host) GRPC(path, message string, header ...string) *Response {
	h.t.Helper()
	header = append([]string{"content-type", "application/grpc", "te", "trailers"}, header...)
	return h.Do(NewRequest("POST", path, message, header...))
}

// NewRequest returns a request for [Host.Do]: set its Trailer, its Host and so on. header is name, value, ….
func NewRequest(method, path, body string, header ...string) *http.Request {
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, b)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func isGRPC(h http.Header) bool {
	t := h.Get("Content-Type")
	rest, ok := strings.CutPrefix(t, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// grpcStatus is Envoy's mapping of a local reply's status.
func grpcStatus(status int) int {
	switch status {
	case 400:
		return 13
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 12
	case 429, 502, 503, 504:
		return 14
	}
	return 2
}
