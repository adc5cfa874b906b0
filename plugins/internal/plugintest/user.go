package plugintest

import (
	"net/http"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

// User has a browser that keeps cookies of app.example.
type User struct {
	T    *testing.T
	Host *filtertest.Host
	Jar  map[string]string
}

// NewUser returns a user without cookies.
func NewUser(t *testing.T, h *filtertest.Host) *User {
	return &User{T: t, Host: h, Jar: map[string]string{}}
}

// Ask asks for a page, or with header for something else.
func (b *User) Ask(path string, header ...string) *filtertest.Response {
	b.T.Helper()
	return b.Do(filtertest.NewRequest("GET", path, "", append([]string{"accept", "text/html"}, header...)...))
}

// Do sends a request with the cookies, and takes those of the response.
func (b *User) Do(r *http.Request) *filtertest.Response {
	b.T.Helper()
	if r.Host == "example.com" {
		r.Host = "app.example"
	}
	var all []string
	for k, v := range b.Jar {
		all = append(all, k+"="+v)
	}
	if len(all) > 0 {
		r.Header.Add("cookie", strings.Join(all, "; "))
	}
	w := b.Host.Do(r)
	for _, c := range (&http.Response{Header: w.Header}).Cookies() {
		if len(c.Name)+len(c.Value) > 4000 {
			b.T.Errorf("the cookie %s has %d bytes", c.Name, len(c.Value))
		}
		if c.MaxAge < 0 {
			delete(b.Jar, c.Name)
		} else {
			b.Jar[c.Name] = c.Value
		}
	}
	return w
}
