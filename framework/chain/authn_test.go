package chain_test

import (
	"context"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// login authenticates by a header x-ID: its value is the consumer's name, "wrong" is a wrong credential.
type login struct {
	ID    string
	How   string // "", "later", "whole"
	Login string // where to send who has no credential
}

func (l *login) decide(s filter.Stream, h filter.RequestHeaders) filter.Action {
	challenge := filter.WithHeader("www-authenticate", l.ID)
	switch who := h.Get("x-" + l.ID); {
	case who == "wrong":
		return filter.Reply(401, "wrong "+l.ID, challenge)
	case who != "":
		s.SetConsumer(&filter.Consumer{Name: who})
		return filter.Continue
	case l.Login != "":
		return filter.Unauthenticated(filter.Redirect(l.Login))
	}
	return filter.Unauthenticated(filter.Reply(401, "no "+l.ID, challenge))
}

func (l *login) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Add("x-asked", l.ID)
	switch l.How {
	case "later":
		return filter.Go(func(context.Context) filter.Action { return l.decide(s, h) })
	case "whole":
		return filter.WaitBody
	}
	return l.decide(s, h)
}

func (l *login) OnRequest(s filter.Stream, h filter.RequestHeaders, _ filter.Body) filter.Action {
	return l.decide(s, h)
}

func (l *login) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Add("x-seen", l.ID)
	return filter.Continue
}

// guest takes who has no credential.
type guest struct{}

func (guest) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Add("x-asked", "guest")
	s.SetConsumer(&filter.Consumer{Name: "guest", Groups: []string{"guests"}})
	return filter.Continue
}

// tell has the upstream know the consumer.
type tell struct{}

func (tell) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if c := s.Consumer(); c != nil {
		h.Set("x-who", c.Name)
	}
	return filter.Continue
}

func init() {
	filter.Register[login]("login", filter.Authn, filter.Authenticates())
	filter.Register[guest]("guest", filter.Authn, filter.AuthenticatesLast())
	filter.Register[tell]("tell", filter.Authz)
}

func TestSchemes(t *testing.T) {
	a, b := &login{ID: "a"}, &login{ID: "b"}
	for _, c := range []struct {
		name   string
		any    bool
		guest  bool
		second *login
		header string // blanks between
		want   string // status, who, asked; or status, challenges, body
	}{
		{name: "all, both", second: b, header: "x-a=tom x-b=tom", want: "200 tom a,b"},
		{name: "all, two consumers", second: b, header: "x-a=tom x-b=ann", want: "401 moe.authentication.two_consumers"},
		{name: "all, one absent", second: b, header: "x-a=tom", want: "401 b no b"},
		{name: "all, the first absent", second: b, header: "x-b=tom", want: "401 a no a"},
		{name: "all, none", second: b, want: "401 a,b no a"},
		{name: "all, one wrong", second: b, header: "x-b=wrong", want: "401 b wrong b"},
		{name: "any, both", any: true, second: b, header: "x-a=tom x-b=ann", want: "200 tom a"},
		{name: "any, the first", any: true, second: b, header: "x-a=tom", want: "200 tom a"},
		{name: "any, the second", any: true, second: b, header: "x-b=ann", want: "200 ann a,b"},
		{name: "any, the second is not asked", any: true, second: b, header: "x-a=tom x-b=wrong", want: "200 tom a"},
		{name: "any, the first wrong", any: true, second: b, header: "x-a=wrong x-b=ann", want: "401 a wrong a"},
		{name: "any, none", any: true, second: b, want: "401 a,b no a"},
		{name: "any, a login page", any: true, second: &login{ID: "b", Login: "/login"}, want: "302"},
		{name: "any, later", any: true, second: &login{ID: "b", How: "later"}, header: "x-b=ann", want: "200 ann a,b"},
		{name: "any, later, none", any: true, second: &login{ID: "b", How: "later"}, want: "401 a,b no a"},
		{name: "any, whole", any: true, second: &login{ID: "b", How: "whole"}, header: "x-b=ann", want: "200 ann a,b"},
		{name: "any, whole, none", any: true, second: &login{ID: "b", How: "whole"}, want: "401 a,b no a"},
		{name: "any, guest", any: true, guest: true, second: b, want: "200 guest a,b,guest"},
		{name: "any, no guest", any: true, guest: true, second: b, header: "x-b=ann", want: "200 ann a,b"},
		{name: "any, wrong is not a guest", any: true, guest: true, second: b, header: "x-b=wrong", want: "401 b wrong b"},
		{name: "all, guest", guest: true, second: b, want: "200 guest a,b,guest"},
		{name: "all, half is not a guest", guest: true, second: b, header: "x-b=ann", want: "401 a no a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{AnyScheme: c.any}
			list := []any{a, c.second}
			if c.guest {
				list = append(list, &guest{})
			}
			if err := h.Load(t, append(list, &tell{})...); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			for _, method := range []string{"GET", "POST"} {
				t.Run(method, func(t *testing.T) {
					r := filtertest.NewRequest(method, "/", strings.Repeat("x", len(method)-3))
					for f := range strings.FieldsSeq(c.header) {
						k, v, _ := strings.Cut(f, "=")
						r.Header.Set(k, v)
					}
					if got := outcome(h.Do(r)); got != c.want {
						t.Errorf("%s: %s, want %s", method, got, c.want)
					}
				})
			}
		})
	}
}

func outcome(r *filtertest.Response) string {
	challenges := strings.Join(r.Header.Values("www-authenticate"), ",")
	switch {
	case r.Status == 200:
		return "200 " + r.Upstream.Header.Get("x-who") + " " + strings.Join(r.Upstream.Header["X-Asked"], ",")
	case challenges != "":
		return "401 " + challenges + " " + r.Body
	case r.Status == 401:
		return "401 " + r.Details
	case r.Status == 302 && r.Header.Get("location") == "/login":
		return "302"
	}
	return "?"
}

// A scheme sees no response to a request that it has not passed on, as with any reply.
func TestRefusalIsAnOnion(t *testing.T) {
	h := filtertest.New(t, &mark{"first"}, &login{ID: "a"}, &login{ID: "b"}, &tell{})
	r := h.Get("/", "x-a", "tom")
	if r.Status != 401 || strings.Join(r.Header.Values("x-seen"), ",") != "a" || r.Header.Get("x-trace") != "first" {
		t.Errorf("status %d, headers %v; want 401, seen by a alone, and traced by first", r.Status, r.Header)
	}
}

func TestIdentity(t *testing.T) {
	h := &filtertest.Host{ConsumerHeader: "x-user-name"}
	if err := h.Load(t, &login{ID: "a"}, &guest{}, &tell{}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	forged := []string{
		"X-User-Name", "root", "x-user-name", "root", "x_user_name", "root", "x-user_name", "root",
		"X-MOE-Consumer", "root", "x_moe_consumer", "root", "x-user-names", "kept",
	}
	for _, c := range []struct {
		header []string
		who    string
		groups any
	}{
		{[]string{"x-a", "tom"}, "tom", nil},
		{nil, "guest", "guests"},
	} {
		t.Run(c.who, func(t *testing.T) {
			r := h.Get("/", append(c.header, forged...)...)
			up := r.Upstream.Header
			if got := up.Values("x-user-name"); len(got) != 1 || got[0] != c.who {
				t.Errorf("the upstream sees %q", got)
			}
			for _, name := range []string{"X_user_name", "X-User_name", "X-Moe-Consumer", "X_moe_consumer"} {
				t.Run(name, func(t *testing.T) {
					if up[name] != nil {
						t.Errorf("%s reached the upstream: %v", name, up)
					}
				})
			}
			if up.Get("x-user-names") != "kept" {
				t.Error("another header is gone")
			}
			if r.Metadata["moe/consumer"] != c.who {
				t.Errorf(`r.Metadata["moe/consumer"] = %v, want %v: %v`, r.Metadata["moe/consumer"], c.who, r.Metadata)
			}
			if list, _ := r.Metadata["moe/consumer_groups"].([]any); c.groups != nil && (len(list) != 1 || list[0] != c.groups) {
				t.Errorf("the metadata is %v, want the groups %v", r.Metadata, c.groups)
			}
		})
	}
	if n := h.Metric("moe.consumer.requests", "tom"); n != 1 {
		t.Errorf("%d requests of tom are counted", n)
	}
}
