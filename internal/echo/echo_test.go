package echo

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// start returns clients for HTTP/1.1 and HTTP/2, and the URL.
func start(t *testing.T) (map[string]*http.Client, string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	t.Cleanup(func() { ln.Close() })
	go Serve(ln)
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{}},
		"HTTP/2.0": {Transport: &http.Transport{Protocols: h2}},
	}, "http://" + ln.Addr().String()
}

func do(t *testing.T, c *http.Client, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatalf("http.NewRequest: %v", err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("c.Do: %v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("io.ReadAll: %v", err)
	}
	return resp, string(b)
}

func TestShowsTheRequest(t *testing.T) {
	clients, url := start(t)
	for protocol, c := range clients {
		resp, body := do(t, c, url+"/a/b?c=d", "text", "X-Mine", "1", "X-Mine", "2")
		var seen Seen
		if err := json.Unmarshal([]byte(body), &seen); err != nil {
			t.Fatalf("%s: json.Unmarshal: %v: %s", protocol, err, body)
		}
		if seen.Method != "POST" || seen.Path != "/a/b?c=d" || seen.Body != "text" || seen.Protocol != protocol ||
			seen.Headers["x-mine"] != "1, 2" || seen.Host != strings.TrimPrefix(url, "http://") {
			t.Errorf("%s: got %+v, want the request as it was sent", protocol, seen)
		}
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf(`resp.StatusCode = %d, want 200; resp.Header.Get("Content-Type") = %q, want %q: %s, %v`,
				resp.StatusCode, resp.Header.Get("Content-Type"), "application/json", protocol, resp)
		}
	}
}

func TestDoesAsAsked(t *testing.T) {
	clients, url := start(t)
	for protocol, c := range clients {
		resp, body := do(t, c, url, "\x00raw", "X-Echo-Status", "503", "X-Echo-Header", "a: b", "X-Echo-Header", "a:c",
			"X-Echo-Trailer", "x-sum: 7", "X-Echo-Delay", "1ms", "X-Echo-Body", "stream", "Content-Type", "x/y")
		if resp.StatusCode != 503 || strings.Join(resp.Header["A"], ",") != "b,c" || resp.Trailer.Get("X-Sum") != "7" ||
			body != "\x00raw" || resp.Header.Get("Content-Type") != "x/y" {
			t.Errorf("%s: got %v, body %q and trailers %v, want what the x-echo headers ask for",
				protocol, resp, body, resp.Trailer)
		}
	}
}

func TestGRPC(t *testing.T) {
	clients, url := start(t)
	resp, body := do(t, clients["HTTP/2.0"], url, "\x00\x00\x00\x00\x01a", "Content-Type", "application/grpc+proto")
	if body != "\x00\x00\x00\x00\x01a" || resp.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf(`%v: do(…): body = %q, want %q; resp.Trailer.Get("Grpc-Status") = %q, want %q`,
			resp, body, "\x00\x00\x00\x00\x01a", resp.Trailer.Get("Grpc-Status"), "0")
	}
}

func TestBadWishes(t *testing.T) {
	clients, url := start(t)
	for _, h := range [][2]string{{"X-Echo-Status", "100"}, {"X-Echo-Header", "a"}, {"X-Echo-Delay", "soon"}} {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			resp, body := do(t, clients["HTTP/1.1"], url, "", h[0], h[1])
			if resp.StatusCode != 400 || !strings.Contains(body, strings.ToLower(h[0])) {
				t.Errorf("%v: got status %d and body %q, want 400 and the header's name", h, resp.StatusCode, body)
			}
		})
	}
}

func TestBody(t *testing.T) {
	if got := body(strings.NewReader("\xff\x00")); got != `"\xff\x00"` {
		t.Errorf("not text: %s", got)
	}
	got := body(strings.NewReader("x" + strings.Repeat("é", maxBody)))
	if !strings.HasSuffix(got, "é… (cut)") || len(got) > maxBody+20 {
		t.Errorf("long: %d bytes, …%s", len(got), got[len(got)-20:])
	}
}
