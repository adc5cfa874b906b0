package extproc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/upstream"
)

// peakRSS is the most memory that a server has had.
func (p *process) peakRSS(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		t.Fatal("no VmHWM")
	}
	n, _ := strconv.ParseInt(string(found[1]), 10, 64)
	return n << 10
}

// upper is what a plugin makes of a body.
type upper struct{ io.Reader }

func (u upper) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

// TestLargeBody sends 100 MiB, there and back, through plugins that stream it and through plugins that wait for all of it.
func TestLargeBody(t *testing.T) {
	// What the server may grow by. Its program with every plugin takes 50 MiB and more, and a body more than this. Without
	// frequent collections, most of what it grows by is garbage, and how much of it depends on what else the machine does.
	const fits = 64 << 20
	t.Setenv("GOGC", "20")
	sum := sha256.New()
	io.Copy(sum, upper{io.LimitReader(&upstream.Pattern{}, large)})
	want := hex.EncodeToString(sum.Sum(nil))
	onEach(t, func(b *bed) {
		p, serve := b.probes()
		before := p.peakRSS(b.T)
		streams := serve(probe("probebody", "request_body", "body upper"))
		waits := serve(probe("probewhole", "request", "set x-a b"))
		for _, c := range []struct {
			name, mode, server string
			h1                 bool
			status             int
		}{
			{name: "streams, in full duplex", mode: "FULL_DUPLEX_STREAMED", server: streams, status: 200},
			{name: "streams", mode: "STREAMED", server: streams, status: 200},
			{name: "waits, in full duplex", mode: "FULL_DUPLEX_STREAMED", server: waits, status: 413},
			{name: "waits, buffered", mode: "BUFFERED", server: waits, status: 413},
			// Over HTTP/2 Envoy collects more in it than a message may have.
			{name: "waits, partly buffered", mode: "BUFFERED_PARTIAL", server: waits, h1: true, status: 413},
		} {
			b.Run(c.name, func(t *testing.T) {
				front, stats := b.listen(modes(c.mode), c.server)
				body := io.LimitReader(&upstream.Pattern{}, large)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				r, err := client.Do(front, client.Request{Path: "/mirror", Reader: body, H2: !c.h1, Context: ctx})
				cancel()
				if err != nil || r.Status != c.status {
					b.Fatalf("client.Do: got %+v and error %v, want status %d", r, err, c.status)
				}
				if c.status == 200 && (r.Bytes != large || r.SHA256 != want || r.Err != nil) {
					b.Errorf("%d bytes come back, as they should: %v, %v", r.Bytes, r.SHA256 == want, r.Err)
				}
				all, _ := b.envoy.Stats("^" + stats)
				if all[stats+"streams_failed"] != 0 || all[stats+"spurious_msgs_received"] != 0 {
					b.Errorf("Envoy complains: %v", all)
				}
			})
		}
		grown := p.peakRSS(b.T) - before
		b.Logf("the server grew by %d MiB, from %d", grown>>20, before>>20)
		if grown > fits && !raceEnabled {
			b.Errorf("the server grew by %d MiB, want at most %d", grown>>20, fits>>20)
		}
	})
}
