package filtertest

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/internal/core"
)

// run is one stream.
type run struct {
	h      *Host
	st     *chain.Stream
	r      *Response
	grpc   bool
	head   bool
	tunnel bool // an upgrade or CONNECT
	posts  chan func()
	dead   chan struct{}
	in     [2][]event
	body   [2]bytes.Buffer
	seen   [2]bool // headers
	end    [2]bool
	fed    bool // the upstream has answered
	left   bool
	limit  time.Time
}

// event is something that arrives.
type event struct {
	name string
	feed func()
}

// Do sends r through the chain and returns when the stream is complete. The goroutine that calls it is the stream's
// thread.
func (h *Host) Do(r *http.Request) *Response {
	h.t.Helper()
	if h.chain == nil {
		h.t.Fatal("filtertest: the host has no plugins; see New and Load")
	}
	h.watch()
	x := &run{
		h: h, grpc: isGRPC(r.Header), head: r.Method == http.MethodHead,
		tunnel: r.Method == http.MethodConnect || r.Header.Get("Upgrade") != "",
		posts:  make(chan func(), 64), dead: make(chan struct{}),
		r: &Response{GRPCStatus: -1, Metadata: map[string]any{}, FilterState: map[string]string{}},
	}
	maps.Copy(x.r.Metadata, h.Metadata)
	maps.Copy(x.r.FilterState, h.FilterState)
	h.mu.Lock()
	h.open++
	h.mu.Unlock()
	x.st = h.chain.Start(x, x)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Fatalf("filtertest: reading the request's body: %v", err)
	}
	fields := []core.Field{
		{Name: ":method", Value: r.Method},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: r.Host},
		{Name: ":path", Value: r.URL.RequestURI()},
	}
	if r.TLS != nil {
		fields[1].Value = "https"
	}
	if len(body) > 0 && len(r.Trailer) == 0 && !x.grpc && !x.tunnel {
		fields = append(fields, core.Field{Name: "content-length", Value: strconv.Itoa(len(body))})
	}
	x.arrive(chain.Request, fields, r.Header, body, r.Trailer)
	x.loop()
	x.finish()
	return x.r
}

// arrive makes the events of a message.
func (x *run) arrive(di core.Direction, fields []core.Field, hd http.Header, body []byte, trailer http.Header) {
	name := [2]string{"request ", "response "}[di]
	bytesFollow := di == chain.Request && x.tunnel // of a tunnel, whose client ends it when all are sent
	add := func(what string, feed func()) { x.in[di] = append(x.in[di], event{name + what, feed}) }
	add("headers", func() {
		x.block(di.Headers(), fields, hd)
		x.st.Headers(di, len(body) == 0 && len(trailer) == 0 && !bytesFollow)
	})
	n := x.h.Chunk
	if n <= 0 {
		n = len(body)
	}
	for rest := body; len(rest) > 0; {
		p := bytes.Clone(rest[:min(n, len(rest))])
		rest = rest[len(p):]
		end := len(rest) == 0 && len(trailer) == 0
		add("body", func() { x.st.Data(di, p, end) })
	}
	if bytesFollow && len(body) == 0 {
		add("body", func() { x.st.Data(di, nil, true) })
	}
	if len(trailer) > 0 {
		add("trailers", func() {
			x.block(di.Trailers(), nil, trailer)
			x.st.Trailers(di)
		})
	}
}

func (x *run) block(i int, fields []core.Field, hd http.Header) {
	for _, k := range slices.Sorted(maps.Keys(hd)) {
		for _, v := range hd[k] {
			fields = append(fields, core.Field{Name: strings.ToLower(k), Value: v})
		}
	}
	x.st.Mu.Lock()
	b := &x.st.H[i]
	b.Fields, b.Present = append(b.Fields[:0], fields...), true
	x.st.Mu.Unlock()
}

// loop feeds what arrives while the chain takes it, and runs what is posted.
func (x *run) loop() {
	x.limit = time.Now().Add(x.h.Timeout + 5*time.Second)
	for !x.over() {
		if x.end[chain.Request] && !x.st.Replied && !x.fed {
			x.fed = true
			x.upstream()
		}
		if !x.feed() && !x.over() && !x.wait() {
			return
		}
	}
}

func (x *run) over() bool { return x.left || x.r.Reset != "" || x.end[chain.Response] }

func (x *run) feed() bool {
	for di := range core.Directions {
		if len(x.in[di]) == 0 || x.st.Replied || x.st.Busy(di) {
			continue
		}
		e := x.in[di][0]
		x.in[di] = x.in[di][1:]
		e.feed()
		x.ask(e.name)
		return true
	}
	return false
}

// ask lets the client leave.
func (x *run) ask(after string) {
	if x.h.Leave != nil && !x.over() && x.h.Leave(after) {
		x.left = true
	}
}

// wait runs what the chain's goroutines post. It reports false when nothing ever comes.
func (x *run) wait() bool {
	if x.ask("waiting"); x.left {
		return true
	}
	timeout := time.NewTimer(time.Until(x.limit))
	defer timeout.Stop()
	select {
	case f := <-x.posts:
		x.limit = time.Now().Add(x.h.Timeout + 5*time.Second)
		f()
		return true
	case <-timeout.C:
		x.h.bug("(chain)", "hangs: the stream waits for what never comes")
		x.r.Reset = "hangs"
		return false
	}
}

// upstream answers a request that is complete.
func (x *run) upstream() {
	x.r.Sent = x.body[chain.Request].String()
	w := httptest.NewRecorder()
	x.r.Upstream.Body = io.NopCloser(strings.NewReader(x.r.Sent))
	switch {
	case x.h.Upstream != nil:
		x.h.Upstream.ServeHTTP(w, x.r.Upstream)
	case x.grpc:
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "grpc-status")
		io.WriteString(w, x.r.Sent)
		w.Header().Set("Grpc-Status", "0")
	default:
		io.WriteString(w, x.r.Sent)
	}
	res := w.Result()
	body, _ := io.ReadAll(res.Body)
	fields := []core.Field{{Name: ":status", Value: strconv.Itoa(res.StatusCode)}}
	if res.Header.Get("Content-Length") == "" && len(res.Trailer) == 0 && !x.grpc {
		fields = append(fields, core.Field{Name: "content-length", Value: strconv.Itoa(len(body))})
	}
	res.Header.Del("Trailer")
	if x.head {
		body = nil
	}
	x.arrive(chain.Response, fields, res.Header, body, res.Trailer)
}

// finish ends the stream and fills in what is known by then.
func (x *run) finish() {
	x.r.Replied, x.r.Details = x.st.Replied, x.st.ReplyDetails
	x.r.Body = x.body[chain.Response].String()
	x.r.Sent, x.r.SentEnd = x.body[chain.Request].String(), x.end[chain.Request]
	if x.left {
		x.r.Reset = "left"
	}
	if x.r.Reset != "" && !x.seen[chain.Response] {
		x.r.Status = 0
	}
	if x.grpc {
		x.grpcResult(x.st.ReplyGRPC)
	}
	x.st.Done() // while the host can still be asked, as Envoy can in OnComplete
	close(x.dead)
	x.h.mu.Lock()
	x.h.open--
	x.h.mu.Unlock()
}

// grpcResult renders a reply as Envoy does for gRPC, and reads the outcome.
func (x *run) grpcResult(status int) {
	r := x.r
	if r.Replied && x.seen[chain.Response] {
		if status < 0 {
			status = grpcStatus(r.Status)
		}
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Del("Content-Length")
		r.Header.Set("Grpc-Status", strconv.Itoa(status))
		if r.Body != "" {
			r.Header.Set("Grpc-Message", r.Body)
		}
		r.Status, r.Body, r.Chunks = 200, "", nil
	}
	for _, h := range []http.Header{r.Header, r.Trailer} {
		if v := h.Get("Grpc-Status"); v != "" {
			r.GRPCStatus, _ = strconv.Atoi(v)
			r.GRPCMessage = h.Get("Grpc-Message")
		}
	}
}
