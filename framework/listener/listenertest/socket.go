package listenertest

import (
	"maps"
	"net/netip"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/listener"
)

// Peer is what Envoy knows of a connection when it is accepted.
type Peer struct {
	Remote, Local netip.AddrPort
	OriginalDst   netip.AddrPort
	ServerName    string // which a filter before this one has found
	FilterState   map[string]string

	NoWake bool // Envoy is one that cannot be woken, such as 1.38
}

// Known is what Envoy knows of a connection after the filter.
type Known struct {
	Remote, Local        netip.AddrPort
	UseOriginalDst       bool
	ServerName           string
	TransportProtocol    string
	ApplicationProtocols []string
	JA3, JA4             string
	FilterState          map[string]string
	Metadata             map[string]map[string]any // by namespace and key
}

func (p *Peer) known() Known {
	k := Known{Remote: p.Remote, Local: p.Local, ServerName: p.ServerName, FilterState: maps.Clone(p.FilterState)}
	if k.FilterState == nil {
		k.FilterState = map[string]string{}
	}
	k.Metadata = map[string]map[string]any{}
	return k
}

// Socket is an accepted connection at the filter. Its methods may be called from any goroutine, but not by the filter.
type Socket struct {
	t      testing.TB
	flow   *listener.Flow
	direct Peer

	thread sync.Mutex // is the connection's thread

	mu        sync.Mutex // guards what follows
	known     Known
	sent      []byte // by the client, and not drained
	inData    bool   // the filter may be given bytes
	crossings int
	panics    int
	verdict   listener.Verdict
	over      bool
}

// enter runs f on the connection's thread, unless the filter has decided.
func (s *Socket) enter(f func()) {
	s.thread.Lock()
	defer s.thread.Unlock()
	s.mu.Lock()
	over := s.over
	if !over {
		s.crossings++
	}
	s.mu.Unlock()
	if !over {
		f()
	}
}

// take carries out a verdict.
func (s *Socket) take(v listener.Verdict) {
	s.mu.Lock()
	s.verdict, s.over = v, v != listener.Wait
	over := s.over
	s.mu.Unlock()
	if over {
		s.flow.End()
		return
	}
	if least, most := s.flow.Peeks(); least > most || most > listener.MaxPeek {
		s.t.Errorf("the flow peeks at %d to %d bytes", least, most)
	}
	s.offer()
}

// offer has the filter look at what the client has sent, if that is what it waits for. The thread is held.
func (s *Socket) offer() {
	least, _ := s.flow.Peeks()
	s.mu.Lock()
	n := len(s.sent)
	ready := !s.over && least > 0 && n >= least
	s.inData = ready
	s.mu.Unlock()
	if !ready {
		return
	}
	v := s.flow.Data(n)
	s.mu.Lock()
	s.inData = false
	s.mu.Unlock()
	s.take(v)
}

// FromClient has the client send bytes.
func (s *Socket) FromClient(text string) {
	s.thread.Lock()
	defer s.thread.Unlock()
	s.mu.Lock()
	s.sent = append(s.sent, text...)
	s.mu.Unlock()
	s.offer()
}

// CloseFromClient ends the connection as the client does.
func (s *Socket) CloseFromClient() {
	s.enter(func() {
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
		s.flow.Closed()
	})
}

// Passed reports whether the connection has gone on.
func (s *Socket) Passed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.verdict == listener.Pass
}

// Closed returns the details with which the filter has closed the connection, or "".
func (s *Socket) Closed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verdict != listener.Close {
		return ""
	}
	return s.flow.Details()
}

// Rest returns what those behind the filter see of what the client has sent.
func (s *Socket) Rest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.sent)
}

// Known returns what Envoy knows of the connection now.
func (s *Socket) Known() Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known
	k.FilterState, k.Metadata = maps.Clone(k.FilterState), maps.Clone(k.Metadata)
	return k
}

// Crossings returns how many events have entered the filter, and were not for bytes.
func (s *Socket) Crossings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crossings
}

// Panics returns how many panics were caught.
func (s *Socket) Panics() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.panics
}

// Eventually waits until ok returns true, for filters with goroutines, and fails the test after ten seconds.
func (s *Socket) Eventually(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within 10s", what)
		}
	}
}
