package ui

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"mosn.io/moe/framework/debugview"
)

// Options say what a Server shows.
type Options struct {
	// Slow is the time from which on a request is slow whose plugins take as long together.
	Slow time.Duration
	// Hosts are DNS names under which the page may be asked for, besides IP addresses and localhost.
	Hosts []string
	// Plugins are those that are compiled in.
	Plugins []Plugin
	// Edit, unless nil, has forms that change the file.
	Edit *Edit
}

// Server serves the pages. Its methods may be called from any goroutine.
type Server struct {
	o     Options
	store *Store
	guard *guard
	http  *http.Server
	ended context.CancelFunc // ends streams of events

	known map[string]*Plugin

	mu      sync.Mutex
	streams int    // of events
	model   *model // what runs; nil at first
	loads   uint64

	editing sync.Mutex // one check and one save at a time
}

//go:embed templates static
var files embed.FS

// New returns a Server.
func New(o Options) *Server {
	o.Plugins = slices.Clone(o.Plugins)
	s := &Server{o: o, store: NewStore(o.Slow), guard: newGuard(o.Hosts)}
	s.known = map[string]*Plugin{}
	for i := range s.o.Plugins {
		p := &s.o.Plugins[i]
		p.schema = parseSchema(p.Schema)
		if p.InChain {
			s.known[p.Name] = p
		}
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // it is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+staticPath, http.StripPrefix(staticPath, http.FileServerFS(static)))
	mux.HandleFunc("GET /{$}", s.live)
	mux.HandleFunc("GET /requests", s.requests)
	mux.HandleFunc("GET /requests/{number}", s.request)
	mux.HandleFunc("GET /configuration", s.configuration)
	mux.HandleFunc("GET /plugins", s.plugins)
	mux.HandleFunc("GET /plugins/{name}", s.plugin)
	if s.o.Edit != nil {
		mux.HandleFunc("GET /edit", s.editForm)
		mux.HandleFunc("POST /edit", s.editSent)
		mux.HandleFunc("POST /edit/check", s.editCheck)
	}
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		s.refuse(w, http.StatusNotFound, "There is no such page.")
	})
	s.guard.next, s.guard.refuse = mux, s.refuse
	ctx, cancel := context.WithCancel(context.Background())
	s.ended = cancel
	s.http = &http.Server{
		Handler: s.guard, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	return s
}

// Add shows a request. The record must not change any more.
func (s *Server) Add(r *debugview.Record) { s.store.Add(r) }

// URL is where the page is that is served at an address, with the token.
func (s *Server) URL(at net.Addr) string {
	return fmt.Sprintf("http://%s/?%s=%s", at, TokenParameter, s.guard.token)
}

// Serve serves the pages until Close. It returns nil then.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.http.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// Close ends all connections.
func (s *Server) Close() error {
	s.ended()
	return s.http.Close()
}

// page is what every page has.
type page struct {
	Title string
	At    string // the part of the site: live, requests, configuration or plugins
	CSRF  string
	Data  any
}

var templates = func() map[string]*template.Template {
	layout := template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/layout.html", "templates/parts.html"))
	names, err := fs.Glob(files, "templates/page_*.html")
	if err != nil {
		panic(err)
	}
	all := map[string]*template.Template{}
	for _, name := range names {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, name))
	}
	return all
}()

// show writes a page, whole or not at all.
func (s *Server) show(w http.ResponseWriter, status int, name string, p page) {
	p.CSRF = s.guard.csrf
	var b bytes.Buffer
	if err := templates["templates/page_"+name+".html"].ExecuteTemplate(&b, "layout.html", p); err != nil {
		http.Error(w, "the page "+name+" cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // nobody looks any more
}

// refuse answers with a page that says why there is no other.
func (s *Server) refuse(w http.ResponseWriter, status int, text string) {
	s.show(w, status, "refused", page{Title: http.StatusText(status), Data: text})
}
