package jsonrewrite

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

func TestJSONRewrite(t *testing.T) {
	for chunk := range 5 {
		h := filtertest.New(t, &JSONRewrite{Rename: map[string]string{"user": "userName", "a": "b", "b": "a"}})
		h.Chunk = chunk
		h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("content-type", r.Header.Get("content-type"))
			io.Copy(w, r.Body)
		})
		for _, c := range []struct{ sent, upstream, client string }{
			{`{"user":"tom"}`, `{"userName":"tom"}`, `{"user":"tom"}`},
			{`{"user":{"user":1e400}}`, `{"userName":{"user":1e400}}`, `{"user":{"user":1e400}}`},
			{`{"a":1,"b":2}`, `{"a":2,"b":1}`, `{"a":1,"b":2}`},
			{`[{"user":1}]`, `[{"user":1}]`, `[{"user":1}]`},
			{`null`, `null`, `null`},
			{``, ``, ``},
		} {
			t.Run(c.sent, func(t *testing.T) {
				r := h.Post("/", c.sent, "content-type", "application/json; charset=utf-8")
				if r.Sent != c.upstream || r.Body != c.client || r.Status != 200 {
					t.Errorf("%s: %d, upstream %s, client %s", c.sent, r.Status, r.Sent, r.Body)
				}
			})
		}
		for sent, want := range map[string]string{
			`{`: "unexpected end of JSON", `{"user":1,"userName":2}`: `two members`,
		} {
			t.Run(sent, func(t *testing.T) {
				r := h.Post("/", sent, "content-type", "application/json")
				if r.Status != 400 || r.Upstream != nil || !strings.Contains(r.Body, want) {
					t.Errorf("%s: r.Status = %d, want 400; r.Upstream = %+v, want nil; r.Body = %q, want it to contain %q",
						sent, r.Status, r.Upstream, r.Body, want)
				}
			})
		}
		if r := h.Post("/", "{"); r.Sent != "{" || r.Body != "{" {
			t.Error("what is not JSON has changed")
		}
	}
}

func TestResponseThatIsNotWhatItSays(t *testing.T) {
	h := filtertest.New(t, &JSONRewrite{Rename: map[string]string{"a": "b"}})
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "application/json")
		io.WriteString(w, "<html>")
	})
	if r := h.Get("/"); r.Body != "<html>" || !strings.Contains(h.Log(), "cannot be rewritten") {
		t.Errorf("r.Body = %q, want %q; h.Log() = %q, want it to contain %q",
			r.Body, "<html>", h.Log(), "cannot be rewritten")
	}
}

func TestRefused(t *testing.T) {
	err := new(filtertest.Host).Load(t, &JSONRewrite{Rename: map[string]string{"a": "c", "b": "c"}})
	if want := "rename: a and b both become c (jsonrewrite)"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}
