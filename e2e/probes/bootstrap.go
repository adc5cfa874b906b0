package probes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"mosn.io/moe/framework/bootstrap"
)

// Bootstrap is a bootstrap extension that behaves as its configuration asks.
type Bootstrap struct {
	Path    string        `json:"path" default:"/probe"` // begins those of its pages
	Told    string        `json:"told"`                  // a file that it writes what it hears to
	Wait    string        `json:"wait"`                  // a file without which it is not initialized
	Do      string        `json:"do" enum:",panic,late"`
	Timeout time.Duration `json:"timeout" default:"30s"`

	ticks *bootstrap.Counter
	env   *bootstrap.Env
	s     chan *bootstrap.Server // holds the server, once it is there
}

func init() { bootstrap.Register[Bootstrap]("probe") }

// Provision declares metrics.
func (b *Bootstrap) Provision(env *bootstrap.Env) error {
	b.ticks, b.env, b.s = env.Counter("ticks"), env, make(chan *bootstrap.Server, 1)
	return nil
}

// InitTimeout is bootstrap's.
func (b *Bootstrap) InitTimeout() time.Duration { return b.Timeout }

// tell appends a line to the file.
func (b *Bootstrap) tell(what string) {
	if b.Told == "" {
		return
	}
	f, err := os.OpenFile(b.Told, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, what)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		b.env.Log().Error("the probe cannot write", "error", err)
	}
}

// OnServerInitialized is bootstrap's.
func (b *Bootstrap) OnServerInitialized(ctx context.Context, s *bootstrap.Server) error {
	b.tell("initialized")
	b.s <- s
	s.Every(10*time.Millisecond, func(context.Context) { b.ticks.Inc() })
	switch b.Do {
	case "panic":
		panic("as told")
	case "late":
		<-ctx.Done()
		return ctx.Err()
	}
	for b.Wait != "" {
		if _, err := os.Stat(b.Wait); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
	s.Log().Info("the probe lets Envoy go on")
	return nil
}

// OnDrainStarted is bootstrap's.
func (b *Bootstrap) OnDrainStarted(*bootstrap.Server) {
	b.tell("drain")
	if b.Do == "panic" {
		panic("as told")
	}
}

// OnShutdown is bootstrap's.
func (b *Bootstrap) OnShutdown(_ context.Context, s *bootstrap.Server) {
	n, err := s.Gauge("server.concurrency")
	b.tell(fmt.Sprint("shutdown ", n, " ", err))
	if b.Do == "panic" {
		panic("as told")
	}
}

// Close is io.Closer's.
func (b *Bootstrap) Close() error {
	b.tell("closed")
	return nil
}

// AdminPages is bootstrap's.
func (b *Bootstrap) AdminPages() []bootstrap.Page {
	page := func(path string, f http.HandlerFunc) bootstrap.Page {
		return bootstrap.Page{Path: b.Path + path, Help: "a probe's", Handler: f}
	}
	change := page("/change", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method, " ", r.FormValue("a")) })
	change.Changes = true
	return []bootstrap.Page{
		page("", b.facts),
		page("/panic", func(http.ResponseWriter, *http.Request) { panic("as told") }),
		page("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		page("/long", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat("x", bootstrap.MaxPage))
		}),
		page("/none", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "none", http.StatusNotFound) }),
		change,
	}
}

// facts shows what Envoy counts.
func (b *Bootstrap) facts(w http.ResponseWriter, r *http.Request) {
	s := <-b.s
	b.s <- s
	added, errAdded := s.Counter("cluster_manager.cluster_added")
	workers, errWorkers := s.Gauge("server.concurrency")
	n, _, errTime := s.Histogram("server.initialization_time_ms")
	_, errNone := s.Counter("no.such.counter")
	fmt.Fprintf(w, "%s workers=%d initializations=%d clusters=%v none=%v errors=%v\n", r.FormValue("who"), workers, n, added > 0,
		errors.Is(errNone, bootstrap.ErrNotFound), errors.Join(errAdded, errWorkers, errTime))
}
