package soak

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
)

// reload pushes a configuration a second, good ones and bad ones, and routes more often, until ctx ends.
func reload(ctx context.Context, b *conformance.Bed, spec *conformance.Listen, ln *conformance.Listener, found *discovered, at *conformance.Reloads) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := b.Envoy.Alive(); err != nil {
			b.Errorf("after %d pushes: %v", n, err)
			return
		}
		b.Up.Forget()
		b.Other.Forget()
		var err error
		switch {
		case n%12 == 4:
			next := *spec
			next.Chain = chain(b.Host, n)
			if err = at.Replace(func() error { return ln.Update(next) }); err == nil {
				*spec = next
			}
		case n%12 == 8:
			err = refused(ln, spec)
		case n%4 == 2 && found != nil:
			err = found.next(b, n)
		default:
			err = ln.SetRoutes(conformance.To("up2", fmt.Sprintf("/generation-%d", n)), conformance.To("up", "/"))
		}
		if err != nil {
			b.Errorf("push %d: %v", n, err)
			return
		}
	}
}

// refused pushes a configuration that must be refused.
func refused(ln *conformance.Listener, spec *conformance.Listen) error {
	bad := *spec
	bad.Chain = conformance.Chain(conformance.Probe("bad", "request_headers", "nonsense"))
	err := ln.Update(bad)
	if err == nil {
		return errors.New("a bad configuration was accepted, want a refusal")
	}
	if !strings.Contains(err.Error(), "nonsense") {
		return fmt.Errorf("a bad configuration was refused with %v, want a reason that names nonsense", err)
	}
	return nil
}

// startDiscovered returns the filter of a listener whose configuration Envoy discovers.
func startDiscovered(b *conformance.Bed, found **discovered) m {
	d, err := discover(b.Envoy)
	if err == nil {
		err = d.next(b, 0)
	}
	if err != nil {
		b.Fatalf("the first discovered configuration: %v", err)
	}
	*found = d
	return d.filter()
}

// next replaces the discovered configuration; each third time the new one is bad, and the one before stays.
func (d *discovered) next(b *conformance.Bed, n int) error {
	doc := chain(b.Host, n)
	if n%3 == 2 {
		doc = conformance.Chain(conformance.Probe("bad", "request_headers", "nonsense"))
	}
	f, err := b.Host.Filter(b, conformance.FilterName, doc)
	if err != nil {
		return fmt.Errorf("a discovered configuration: %w", err)
	}
	return d.replace(f.HTTP[0])
}

// memory watches how much the processes of a host have.
type memory struct {
	b    *conformance.Bed
	quit chan struct{}
	done chan struct{}
	rss  [][]int64 // by process, a sample a second
}

func watchMemory(b *conformance.Bed) *memory {
	m := &memory{b: b, quit: make(chan struct{}), done: make(chan struct{})}
	of := []func() (int64, error){b.Envoy.RSS}
	if h, ok := b.Host.(interface {
		RSS(e *envoytest.Envoy) (int64, error)
	}); ok {
		of = append(of, func() (int64, error) { return h.RSS(b.Envoy) })
	}
	m.rss = make([][]int64, len(of))
	go func() {
		defer close(m.done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			for i, f := range of {
				if n, err := f(); err == nil {
					m.rss[i] = append(m.rss[i], n)
				}
			}
			select {
			case <-m.quit:
				return
			case <-tick.C:
			}
		}
	}()
	return m
}

func (m *memory) stop() {
	close(m.quit)
	<-m.done
}

// check compares the last quarter of the soak with the second one: what grows there goes on growing.
func (m *memory) check(b *conformance.Bed) {
	for i, all := range m.rss {
		quarter := len(all) / 4
		if quarter == 0 {
			b.Errorf("process %d: got %d samples of its memory, want 4 or more", i, len(all))
			continue
		}
		early, late := most(all[quarter:2*quarter]), most(all[len(all)-quarter:])
		b.Logf("process %d: %d MiB in the second quarter, %d MiB in the last", i, early>>20, late>>20)
		slack := int64(64 << 20)
		switch {
		case *soakTime < time.Minute: // its second quarter still warms up
			slack = 200 << 20
		case i > 0: // a server of plugins alone
			slack = 16 << 20
		}
		if late > early+early/10+slack {
			b.Errorf("process %d: its memory has grown from %d to %d MiB, want at most %d", i, early>>20, late>>20, (early+early/10+slack)>>20)
		}
	}
}

func most(all []int64) (n int64) {
	for _, v := range all {
		n = max(n, v)
	}
	return n
}
