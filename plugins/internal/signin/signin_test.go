package signin

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestOnward(t *testing.T) {
	for _, c := range []struct {
		name    string
		cookies Cookies
		back    string
		status  int
		body    string
	}{
		{name: "lax", cookies: Cookies{Attributes: Attributes{SameSite: "lax"}}, back: "/a?b=c", status: 302},
		{name: "after a form", cookies: Cookies{Attributes: Attributes{SameSite: "lax"}, StatesArePosted: true}, back: "/a", status: 303},
		{
			name: "strict", cookies: Cookies{Attributes: Attributes{SameSite: "strict"}}, back: `/a?b="><script>'&c`, status: 200,
			body: `content="0;url=/a?b=&#34;&gt;&lt;script&gt;&#39;&amp;c"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, _ := c.cookies.Onward(c.back)
			if status != c.status || !strings.Contains(body, c.body) || (body == "") != (c.body == "") || strings.Contains(body, "<script") {
				t.Errorf("got %d %q, want %d with %q", status, body, c.status, c.body)
			}
		})
	}
}

func TestStateCookies(t *testing.T) {
	for _, c := range []struct {
		name    string
		cookies Cookies
		want    http.SameSite
	}{
		{name: "redirect, lax", cookies: Cookies{Attributes: Attributes{SameSite: "lax"}}, want: http.SameSiteLaxMode},
		{name: "redirect, strict", cookies: Cookies{Attributes: Attributes{SameSite: "strict"}}, want: http.SameSiteLaxMode},
		{name: "form", cookies: Cookies{Attributes: Attributes{SameSite: "strict"}, StatesArePosted: true}, want: http.SameSiteNoneMode},
		{name: "form over http", cookies: Cookies{Attributes: Attributes{SameSite: "lax", Insecure: true}, StatesArePosted: true}, want: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cookies.Name = "c"
			begun := c.cookies.Begun("state", "text", Jar{}, time.Minute)
			if len(begun) != 1 || begun[0].SameSite != c.want || begun[0].Secure == c.cookies.Insecure {
				t.Errorf("got %v, want one cookie with sameSite %v", begun, c.want)
			}
			if ended := c.cookies.Ended("state"); ended.Name != begun[0].Name || ended.MaxAge >= 0 {
				t.Errorf("got %v, want the removal of %s", ended, begun[0].Name)
			}
		})
	}
}
