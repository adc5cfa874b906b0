package extprocd

import (
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/host/extproc"
)

// admin serves /metrics for Prometheus, /ready (503 while the process stops) and /live.
type admin struct {
	ln       net.Listener
	server   *http.Server
	draining atomic.Bool
}

func startAdmin(address string, s *extproc.Server, r *extproc.Registry) (*admin, error) {
	a := &admin{}
	if address == "" {
		return a, nil
	}
	if r == nil {
		r = extproc.DefaultRegistry
	}
	var err error
	if a.ln, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", r)
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "live") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case a.draining.Load():
			http.Error(w, "stopping", http.StatusServiceUnavailable)
		case !s.Loaded():
			http.Error(w, "no configuration", http.StatusServiceUnavailable)
		default:
			fmt.Fprintln(w, "ready")
		}
	})
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go a.server.Serve(a.ln)
	return a, nil
}

func (a *admin) addr() string {
	if a.ln == nil {
		return ""
	}
	return a.ln.Addr().String()
}

func (a *admin) close() {
	if a.server != nil {
		a.server.Close()
	}
}
