package ui

import (
	"fmt"
	"net/http"
	"time"
)

// maxStreams bounds how many pages learn of changes at a time; others are still served.
const maxStreams = 16

// eventsEvery is how often a page learns of changes at most.
const eventsEvery = time.Second

// events tells a page that there is something new, by server-sent events. What is new, the page asks for itself.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	full := s.streams >= maxStreams
	if !full {
		s.streams++
	}
	s.mu.Unlock()
	if full {
		w.Header().Set("Retry-After", "10")
		s.refuse(w, http.StatusServiceUnavailable, "Too many pages are open that update themselves.")
		return
	}
	defer func() {
		s.mu.Lock()
		s.streams--
		s.mu.Unlock()
	}()
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // nothing more is to be read; how long the server waits for a request does not count
	send := func(text string) bool {
		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err := fmt.Fprint(w, text)
		return err == nil && c.Flush() == nil
	}
	w.Header().Set("Content-Type", "text/event-stream")
	last := s.version()
	if !send("retry: 2000\n\n") {
		return
	}
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	for quiet := 0; ; {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
		now := s.version()
		switch {
		case now != last:
			last, quiet = now, 0
			if !send("data: changed\n\n") {
				return
			}
		case quiet >= 15: // so that a connection that is gone is noticed
			quiet = 0
			if !send(": quiet\n\n") {
				return
			}
		default:
			quiet++
		}
	}
}

// version changes with what the pages show.
func (s *Server) version() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.version() + s.loads
}
