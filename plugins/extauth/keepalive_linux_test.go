package extauth

import (
	"net"
	"strconv"
	"syscall"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// TestUserTimeout: the kernel gives up a connection to the service on which nothing is acknowledged.
func TestUserTimeout(t *testing.T) {
	const tcpUserTimeout = 18 // TCP_USER_TIMEOUT of tcp(7), in milliseconds
	s := serveGRPC(t, always(allow(&authv3.OkHttpResponse{})))
	if r := s.load(t, "").Get("/"); r.Upstream == nil {
		t.Fatalf("got %d %s, want the request to pass", r.Status, r.Details)
	}
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatalf("net.SplitHostPort: %v", err)
	}
	found := 0
	for fd := range 1024 {
		to, err := syscall.Getpeername(fd)
		if a, ok := to.(*syscall.SockaddrInet4); err != nil || !ok || strconv.Itoa(a.Port) != port {
			continue
		}
		found++
		got, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, tcpUserTimeout)
		if want := int(keepAlive.Timeout.Milliseconds()); err != nil || got != want {
			t.Errorf("got a timeout of %d ms, %v; want %d ms", got, err, want)
		}
	}
	if found == 0 {
		t.Error("there is no connection to the service")
	}
}
