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

// TestLargeBody sends 100 MiB, there and back, through plugins that see all of it, and to such that want it whole.
func TestLargeBody(t *testing.T) {
	const fits = 100 << 20
	sum := sha256.New()
	io.Copy(sum, upper{io.LimitReader(&upstream.Pattern{}, large)})
	want := hex.EncodeToString(sum.Sum(nil))
	onEach(t, func(b *bed) {
		p, serve := b.probes()
		streams := serve(probe("probebody", "request_body", "body upper"))
		waits := serve(probe("probewhole", "request", "set x-a b"))
		for _, c := range []struct {
			mode, server string
			h2           bool
			status       int
		}{
			{"FULL_DUPLEX_STREAMED", streams, true, 200},
			{"STREAMED", streams, true, 200},
			{"FULL_DUPLEX_STREAMED", waits, true, 413},
			{"BUFFERED", waits, true, 413},
			{"BUFFERED_PARTIAL", waits, false, 413}, // over HTTP/2 Envoy collects more in it than a message may have
		} {
			front, stats := b.listen(modes(c.mode), c.server)
			body := io.LimitReader(&upstream.Pattern{}, large)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			r, err := client.Do(front, client.Request{Path: "/mirror", Reader: body, H2: c.h2, Context: ctx})
			cancel()
			if err != nil || r.Status != c.status {
				b.Errorf("%s: %d %v, want %d", c.mode, r.Status, err, c.status)
				continue
			}
			if c.status == 200 && (r.Bytes != large || r.SHA256 != want || r.Err != nil) {
				b.Errorf("%s: %d bytes come back, as they should: %v, %v", c.mode, r.Bytes, r.SHA256 == want, r.Err)
			}
			all, _ := b.envoy.Stats("^" + stats)
			if all[stats+"streams_failed"] != 0 || all[stats+"spurious_msgs_received"] != 0 {
				b.Errorf("%s: Envoy complains: %v", c.mode, all)
			}
		}
		rss := p.peakRSS(b.T)
		b.Logf("the server had %d MiB at most", rss>>20)
		if rss > fits && !raceEnabled {
			b.Errorf("the server had %d MiB", rss>>20)
		}
	})
}
