package ldapauth

import (
	"fmt"
	"net"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// listen has serve talk to each connection to the address that it returns.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go serve(c)
		}
	}()
	return ln.Addr().String()
}

// answer answers a request with a good result.
func answer(c net.Conn, tag ber.Tag) error {
	p, err := ber.ReadPacket(c)
	if err != nil {
		return err
	}
	m := ber.NewSequence("")
	m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, p.Children[0].Value.(int64), ""))
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(0), ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	m.AppendChild(r)
	_, err = c.Write(m.Bytes())
	return err
}

// TestConnectionIsBounded: a directory that goes silent in the middle, or does not stop talking, has no request wait.
func TestConnectionIsBounded(t *testing.T) {
	for _, c := range []struct {
		name, scheme, more string
		serve              func(net.Conn)
	}{
		{
			name: "silent after it has agreed to TLS", scheme: "ldap", more: `, "tls": {"startTLS": true}`,
			serve: func(c net.Conn) { _ = answer(c, ldap.ApplicationExtendedResponse) },
		},
		{name: "silent when asked for TLS", scheme: "ldap", more: `, "tls": {"startTLS": true}`, serve: func(net.Conn) {}},
		{name: "silent in the handshake", scheme: "ldaps", serve: func(net.Conn) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, fmt.Sprintf(`{"url": "%s://%s", "timeout": "200ms", "userDN": "uid={username},dc=a"%s}`,
				c.scheme, listen(t, c.serve), c.more))
			start := time.Now()
			if got := outcome(h.Get("/", with("alice", "wonder:land")...)); got != "503 no_answer" {
				t.Errorf("got %s, want 503 no_answer", got)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("the request waited for %v, want about 200ms", took)
			}
		})
	}
	t.Run("endless", func(t *testing.T) {
		sent := make(chan int, 1)
		addr := listen(t, func(c net.Conn) {
			n := 0
			defer func() { sent <- n }()
			if answer(c, ldap.ApplicationBindResponse) != nil {
				return
			}
			if _, err := ber.ReadPacket(c); err != nil {
				return
			}
			// The beginning of a message of 1 GiB, and its content without an end.
			_, _ = c.Write([]byte{0x30, 0x84, 0x40, 0, 0, 0, 0x04, 0x84, 0x3f, 0xff, 0xff, 0xf0})
			for block := make([]byte, 1<<16); n < 16*maxAnswer; n += len(block) {
				if _, err := c.Write(block); err != nil {
					return
				}
			}
		})
		h := load(t, fmt.Sprintf(`{"url": "ldap://%s", "timeout": "20s", "userDN": "uid={username},dc=a"}`, addr))
		if got := outcome(h.Get("/", with("alice", "wonder:land")...)); got != "503 no_answer" {
			t.Errorf("got %s, want 503 no_answer", got)
		}
		// What is beyond the bound is in the buffers of the kernel.
		if n := <-sent; n >= 16*maxAnswer {
			t.Errorf("the directory could send %d bytes, want it to be cut off after %d", n, maxAnswer)
		}
	})
}
