package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/websocket"
)

type countError struct {
	id   string
	n, m int
}

func (e *countError) Error() string {
	return fmt.Sprintf("upstream has seen %d complete requests %q, want %d", e.n, e.id, e.m)
}

// handler serves
//
//	/echo?status=N&h=NAME:VALUE&t=NAME:VALUE  after the whole request: its description as JSON, with response headers
//	                                          h and trailers t
//	/body/TEXT                                TEXT, with its content-length
//	/mirror                                   the request's body and trailers, as they arrive
//	/bytes?n=N&chunk=N&pause=DURATION         n patterned bytes, flushed per chunk (default 16 KiB)
//	/flaky?fail=N                             503 for the first N requests with this x-id, then as /echo
//	/cached?etag=TAG&pause=DURATION&…         after a pause, 304 if the client has TAG, or the status that the request has in
//	                                          x-status, or else as /echo, with this etag
//	/early                                    403 before the body is read
//	/hang                                     nothing until the client goes away
//	/ws                                       a WebSocket that sends back what it gets
//	/abort                                    a connection that ends after the headers and 5 of 10 bytes
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	recorded := func(f func(http.ResponseWriter, *http.Request, *record)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			rec := s.record(r)
			f(w, r, rec)
			rec.done(r, nil)
		}
	}
	for path, f := range map[string]func(http.ResponseWriter, *http.Request, *record){
		"/": s.echo, "/body/": s.body, "/mirror": s.mirror, "/bytes": s.bytes, "/flaky": s.flaky, "/cached": s.cached, "/early": s.early,
		"/hang": s.hang, "/abort": s.abort,
	} {
		mux.HandleFunc(path, recorded(f))
	}
	mux.Handle("/ws", websocket.Handler(func(ws *websocket.Conn) {
		for {
			var message []byte
			if websocket.Message.Receive(ws, &message) != nil || websocket.Message.Send(ws, string(message)) != nil {
				return
			}
		}
	}))
	echo := recorded(s.echo)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would redirect these to a clean path, and nobody would see what Envoy has sent.
		if strings.Contains(r.URL.Path, "//") || strings.Contains(r.URL.Path, "/.") {
			echo(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// drain reads the body to its end.
func (c *record) drain(r *http.Request) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(buf)
		c.data(buf[:n])
		if err == io.EOF {
			c.done(r, nil)
			return nil
		}
		if err != nil {
			c.done(r, err)
			return err
		}
	}
}

// Echo is what /echo answers.
type Echo struct {
	Method, Path, Host string
	Header             http.Header
	Body, SHA256       string
	Bytes              int64
	Trailer            http.Header
}

func (s *Server) echo(w http.ResponseWriter, r *http.Request, rec *record) {
	if rec.drain(r) != nil {
		return
	}
	q := r.URL.Query()
	for _, kv := range q["h"] {
		add(w.Header(), "", kv)
	}
	defer func() {
		for _, kv := range q["t"] {
			add(w.Header(), http.TrailerPrefix, kv)
		}
	}()
	s.mu.Lock()
	e := Echo{r.Method, r.RequestURI, r.Host, r.Header, rec.v.Body, rec.v.SHA256, rec.v.Bytes, rec.v.Trailer}
	s.mu.Unlock()
	p, _ := json.Marshal(e)
	w.Header().Set("content-type", "application/json")
	w.Header().Set("x-upstream", s.Addr)
	w.Header().Set("x-upstream-path", r.RequestURI)
	if status, err := strconv.Atoi(q.Get("status")); err == nil {
		w.WriteHeader(status)
		if status == http.StatusNoContent || status == http.StatusNotModified {
			return
		}
	}
	if q.Has("t") { // else net/http counts the bytes and leaves the trailers out
		http.NewResponseController(w).Flush()
	}
	w.Write(p)
}

func (s *Server) body(w http.ResponseWriter, r *http.Request, rec *record) {
	if rec.drain(r) != nil {
		return
	}
	p := r.URL.Path[len("/body/"):]
	w.Header().Set("content-type", "text/plain")
	w.Header().Set("content-length", strconv.Itoa(len(p)))
	io.WriteString(w, p)
}

func (s *Server) mirror(w http.ResponseWriter, r *http.Request, rec *record) {
	c := http.NewResponseController(w)
	c.EnableFullDuplex()
	c.Flush()
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(buf)
		rec.data(buf[:n])
		if n > 0 {
			w.Write(buf[:n])
			c.Flush()
		}
		if err != nil {
			if err != io.EOF {
				rec.done(r, err)
				panic(http.ErrAbortHandler)
			}
			break
		}
	}
	for k, vs := range r.Trailer {
		for _, v := range vs {
			w.Header().Add(http.TrailerPrefix+k, v)
		}
	}
}

func (s *Server) bytes(w http.ResponseWriter, r *http.Request, rec *record) {
	if rec.drain(r) != nil {
		return
	}
	q := r.URL.Query()
	n, _ := strconv.ParseInt(q.Get("n"), 10, 64)
	chunk, _ := strconv.Atoi(q.Get("chunk"))
	if chunk == 0 {
		chunk = 16 << 10
	}
	pause, _ := time.ParseDuration(q.Get("pause"))
	if q.Has("length") {
		w.Header().Set("content-length", q.Get("n"))
	}
	src, buf := io.LimitReader(&Pattern{}, n), make([]byte, chunk)
	if q.Has("t") {
		http.NewResponseController(w).Flush()
	}
	for {
		m, err := io.ReadFull(src, buf)
		if _, werr := w.Write(buf[:m]); werr != nil || r.Context().Err() != nil {
			return
		}
		http.NewResponseController(w).Flush()
		if err != nil {
			break
		}
		time.Sleep(pause)
	}
	for _, kv := range q["t"] {
		add(w.Header(), http.TrailerPrefix, kv)
	}
}

func (s *Server) flaky(w http.ResponseWriter, r *http.Request, rec *record) {
	id := r.Header.Get("x-id")
	s.mu.Lock()
	s.hits[id]++
	hit := s.hits[id]
	s.mu.Unlock()
	if fail, _ := strconv.Atoi(r.URL.Query().Get("fail")); hit <= fail {
		if rec.drain(r) == nil {
			http.Error(w, "flaky", http.StatusServiceUnavailable)
		}
		return
	}
	s.echo(w, r, rec)
}

func (s *Server) cached(w http.ResponseWriter, r *http.Request, rec *record) {
	q := r.URL.Query()
	if pause, err := time.ParseDuration(q.Get("pause")); err == nil {
		time.Sleep(pause)
	}
	if tag := q.Get("etag"); tag != "" {
		w.Header().Set("etag", tag)
		if r.Header.Get("if-none-match") == tag {
			if rec.drain(r) == nil {
				w.WriteHeader(http.StatusNotModified)
			}
			return
		}
	}
	if status, err := strconv.Atoi(r.Header.Get("x-status")); err == nil && status != http.StatusOK {
		if rec.drain(r) == nil {
			w.WriteHeader(status)
		}
		return
	}
	s.echo(w, r, rec)
}

func (s *Server) early(w http.ResponseWriter, _ *http.Request, _ *record) {
	http.Error(w, "early", http.StatusForbidden)
}

func (s *Server) hang(_ http.ResponseWriter, r *http.Request, rec *record) {
	if rec.drainQuietly(r) == nil {
		<-r.Context().Done()
	}
}

// drainQuietly is drain, but does not mark the request as done.
func (c *record) drainQuietly(r *http.Request) error {
	_, err := io.Copy(io.Discard, r.Body)
	return err
}

func (s *Server) abort(w http.ResponseWriter, _ *http.Request, _ *record) {
	w.Header().Set("content-length", "10")
	io.WriteString(w, "12345")
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func add(h http.Header, prefix, kv string) {
	for i := range kv {
		if kv[i] == ':' {
			h.Add(prefix+kv[:i], kv[i+1:])
			return
		}
	}
}

// Pattern is an endless reader of bytes that differ everywhere, so that a lost or doubled chunk shows.
type Pattern struct{ n uint64 }

// Read fills p.
func (r *Pattern) Read(p []byte) (int, error) {
	for i := range p {
		x := (r.n + uint64(i)) / 7 * 0x9e3779b97f4a7c15
		p[i] = 'a' + byte((x>>57)%26)
	}
	r.n += uint64(len(p))
	return len(p), nil
}
