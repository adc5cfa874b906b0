// Package echo is the upstream of `moe run` when a plugin's author has none: it shows what came through, and does what
// the request asks it to, so that the plugin's response phases have something to work on.
package echo

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Seen is the reply: the request as it arrived.
type Seen struct {
	Method   string            `json:"method"`
	Host     string            `json:"host"`
	Path     string            `json:"path"` // with the query
	Protocol string            `json:"protocol"`
	Headers  map[string]string `json:"headers"` // names in lower case, several values joined by a comma
	Body     string            `json:"body,omitempty"`
	Trailers map[string]string `json:"trailers,omitempty"`
}

// Serve answers HTTP/1.1 and HTTP/2 without TLS on ln until it is closed.
func Serve(ln net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{
		Handler: Handler(), Protocols: protocols, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
	}
	return s.Serve(ln)
}

// maxBody bounds what is kept of a body to show it.
const maxBody = 1 << 20

// Handler replies with the request as JSON (Seen; a body beyond 1 MiB is cut, one that is not text is quoted). A request
// asks for something else with headers:
//
//	x-echo-status: 503            this status
//	x-echo-header: name: value    this response header; may be repeated
//	x-echo-trailer: name: value   this response trailer; may be repeated
//	x-echo-delay: 250ms           wait so long before the answer
//	x-echo-body: stream           the request's body with its content-type, each piece as it arrives
//
// A gRPC request is streamed back, too, with grpc-status 0: each message is answered by itself.
func Handler() http.Handler { return http.HandlerFunc(handle) }

func handle(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	status, err := prepare(h, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	grpc := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	if grpc {
		h.Set(http.TrailerPrefix+"Grpc-Status", "0")
	}
	for _, t := range r.Header.Values("X-Echo-Trailer") {
		name, value, _ := strings.Cut(t, ":")
		h.Set(http.TrailerPrefix+strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if grpc || r.Header.Get("X-Echo-Body") == "stream" {
		stream(w, r, status)
		return
	}
	seen := Seen{
		Method: r.Method, Host: r.Host, Path: r.RequestURI, Protocol: r.Proto,
		Headers: lower(r.Header), Body: body(r.Body), Trailers: lower(r.Trailer),
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	e.Encode(seen)
}

// prepare sets the headers that the request asks for, waits, and returns the status.
func prepare(h http.Header, r *http.Request) (int, error) {
	status := http.StatusOK
	if s := r.Header.Get("X-Echo-Status"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 200 || n > 599 {
			return 0, fmt.Errorf("x-echo-status: expected a number from 200 to 599, got %q", s)
		}
		status = n
	}
	for _, line := range r.Header.Values("X-Echo-Header") {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return 0, fmt.Errorf("x-echo-header: expected NAME: VALUE, got %q", line)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if s := r.Header.Get("X-Echo-Delay"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("x-echo-delay: %w", err)
		}
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
	return status, nil
}

// stream sends the body back as it arrives.
func stream(w http.ResponseWriter, r *http.Request, status int) {
	if t := r.Header.Get("Content-Type"); t != "" {
		w.Header().Set("Content-Type", t)
	}
	c := http.NewResponseController(w)
	c.EnableFullDuplex()
	w.WriteHeader(status)
	c.Flush()
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			c.Flush()
		}
		if err != nil {
			return
		}
	}
}

func body(r io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(r, maxBody+1))
	io.Copy(io.Discard, r) // so that the trailers arrive, and the connection stays
	cut := ""
	if len(b) > maxBody {
		b, cut = b[:maxBody], "… (cut)"
		for range utf8.UTFMax - 1 { // the cut may have split a character
			if r, n := utf8.DecodeLastRune(b); r == utf8.RuneError && n == 1 {
				b = b[:len(b)-1]
			}
		}
	}
	if !utf8.Valid(b) {
		return strconv.QuoteToASCII(string(b)) + cut
	}
	return string(b) + cut
}

func lower(h http.Header) map[string]string {
	m := make(map[string]string, len(h))
	for k, v := range h {
		m[strings.ToLower(k)] = strings.Join(v, ", ")
	}
	return m
}
