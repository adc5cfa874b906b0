package extprocd

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Streams beyond --max-streams wait at the client, and begin when others end.
func TestMaxStreams(t *testing.T) {
	d := start(t, func(o *Options) { o.Server.MaxStreams = 2 })
	conn := dial(t, d.addr, insecure.NewCredentials())
	greeted := func() extprocv3.ExternalProcessor_ProcessClient {
		s := open(t, conn)
		if _, err := greeting(s); err != nil {
			t.Fatalf("greeting: %v", err)
		}
		return s
	}
	first := greeted()
	greeted()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := extprocv3.NewExternalProcessorClient(conn).Process(ctx); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a third stream: %v", err)
	}
	first.CloseSend()
	if _, err := first.Recv(); err != io.EOF {
		t.Errorf("the first stream's end: %v", err)
	}
	if got, err := greeting(open(t, conn)); got != "one" || err != nil {
		t.Errorf("after the first has ended: %q %v", got, err)
	}
}

// frame reads the header of an HTTP/2 frame, and skips its contents.
func frame(c net.Conn) (kind, flags byte, err error) {
	var h [9]byte
	if _, err := io.ReadFull(c, h[:]); err != nil {
		return 0, 0, err
	}
	_, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(h[:4])>>8))
	return h[3], h[4], err
}

// A client that is silent is pinged, and let go of when it does not answer.
func TestKeepalive(t *testing.T) {
	d := start(t, func(o *Options) { o.Keepalive = time.Second }) // grpc-go takes no less
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatalf("net.Dial: %v", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	const settings, ping, ack = 4, 6, 1
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	pings := 0
	for {
		kind, flags, err := frame(c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection stays")
		}
		if err != nil {
			break
		}
		switch {
		case kind == settings && flags&ack == 0:
			io.WriteString(c, "\x00\x00\x00\x04\x01\x00\x00\x00\x00")
		case kind == ping && flags&ack == 0:
			pings++
		}
	}
	if pings == 0 {
		t.Error("the connection ends without a ping")
	}
}
