package bridge

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestWebsocketGolangFilterChain sends bytes both ways through an upgraded connection, as upstream's test of that name.
func TestWebsocketGolangFilterChain(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		s := b.serve(t, listen{
			plugin: "passthrough", hcm: m{"upgrade_configs": a{m{"upgrade_type": "websocket"}}},
			answer: func(w http.ResponseWriter, _ *http.Request) {
				c, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					return
				}
				defer c.Close()
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				io.Copy(c, rw)
			},
		})
		c, err := net.DialTimeout("tcp", s.addr, patience)
		if err != nil {
			t.Fatalf("net.DialTimeout: %v", err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET /websocket/test HTTP/1.1\r\nHost: host\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("http.ReadResponse: %v", err)
		}
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("status %d", resp.StatusCode)
		}
		echoes := func(said string) {
			io.WriteString(c, said)
			heard := make([]byte, len(said))
			if _, err := io.ReadFull(r, heard); err != nil {
				t.Fatalf("io.ReadFull: %v", err)
			}
			equal(t, "the echo", said, string(heard))
		}
		echoes("Hello")
		echoes("again")
	})
}
