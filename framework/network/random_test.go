package network_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/network/networktest"
)

// Whatever a filter decides and however bytes are cut, all of them pass, in order, and once.
func TestRandom(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { random(t, seed) })
	}
}

func random(t *testing.T, seed uint64) {
	// Methods run on the connection's thread, one at a time.
	r := rand.New(rand.NewPCG(seed, 1))
	decide := func(_ *network.Conn, d *network.Data) network.Action {
		if d.End() {
			return network.Continue
		}
		switch r.IntN(6) {
		case 0:
			return network.Hold
		case 1:
			return network.Pass(r.IntN(d.Len() + 2))
		case 2:
			n := time.Duration(r.IntN(300)) * time.Microsecond
			again := network.Pass(r.IntN(d.Len() + 1))
			return network.Go(func(context.Context) network.Action {
				time.Sleep(n)
				return again
			})
		case 3:
			d.Set(d.Bytes())
		case 4:
			if r.IntN(20) == 0 {
				return network.Pipe(relay)
			}
		case 5:
			if r.IntN(20) == 0 {
				return network.Done
			}
		}
		return network.Continue
	}
	m := methods{read: decide, write: decide}
	if seed%4 == 0 {
		m.connection = func(*network.Conn) network.Action {
			return network.Go(func(context.Context) network.Action { return network.Continue })
		}
	}
	c := connect(t, m, networktest.Peer{BufferLimit: 1 << 10})
	text := strings.Repeat("abcdefghijklmnopqrstuvwxyz0123456789", 20)
	sent := make(chan struct{})
	send := func(part func(string), end func(string), r *rand.Rand) {
		defer func() { sent <- struct{}{} }()
		for rest := text; ; {
			n := min(1+r.IntN(60), len(rest))
			if n == len(rest) {
				end(rest)
				return
			}
			part(rest[:n])
			rest = rest[n:]
			if r.IntN(4) == 0 {
				time.Sleep(50 * time.Microsecond)
			}
		}
	}
	go send(c.FromClient, c.EndFromClient, rand.New(rand.NewPCG(seed, 2)))
	go send(c.FromUpstream, c.EndFromUpstream, rand.New(rand.NewPCG(seed, 3)))
	<-sent
	<-sent
	wantPassed(t, c, text, text)
	c.Eventually("the ends", func() bool { return c.Ended(network.Read) && c.Ended(network.Write) })
}
