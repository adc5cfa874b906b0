package chain_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// badge authenticates by one request header and sets others.
type badge struct {
	ID    string
	Reads string   // the header with the credential: any value is one
	Sets  []string // headers of the caller, which get the value "set by ID"
}

func (b *badge) OwnsRequestHeaders() []string { return b.Sets }
func (b *badge) ReadsCredentials() filter.CredentialPlaces {
	return filter.CredentialPlaces{Headers: []string{b.Reads}}
}

func (b *badge) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if h.Get(b.Reads) == "" {
		return filter.Unauthenticated(filter.Reply(401, "no "+b.ID))
	}
	s.SetConsumer(&filter.Consumer{Name: "caller"})
	for _, name := range b.Sets {
		h.Set(name, "set by "+b.ID)
	}
	return filter.Continue
}

func init() { filter.Register[badge]("badge", filter.Authn, filter.Authenticates()) }

// permutations calls f with every order of list.
func permutations[T any](list []T, f func([]T)) {
	var walk func(done, rest []T)
	walk = func(done, rest []T) {
		if len(rest) == 0 {
			f(slices.Clone(done))
		}
		for i := range rest {
			walk(append(slices.Clone(done), rest[i]), append(slices.Clone(rest[:i]), rest[i+1:]...))
		}
	}
	walk(nil, list)
}

// TestOwnedHeadersAreNotForged sends every header of the caller in requests through every chain of some badges, in every
// order and mode, with every set of credentials, and looks at what the upstream would believe.
func TestOwnedHeadersAreNotForged(t *testing.T) {
	badges := []*badge{
		{ID: "key", Reads: "x-key"},
		{ID: "token", Reads: "authorization", Sets: []string{"X-User"}},
		{ID: "session", Reads: "x-session", Sets: []string{"x-user", "x-mail", "Authorization"}},
	}
	requests, passed := 0, 0
	for subset := 1; subset < 1<<len(badges); subset++ {
		permutations(pick(badges, subset), func(order []*badge) {
			for mode := range 4 {
				h := &filtertest.Host{AnyScheme: mode&1 == 1}
				withGuest := mode&2 == 2
				var list []any
				var name []string
				for _, b := range order {
					list, name = append(list, b), append(name, b.ID)
				}
				if withGuest {
					list, name = append(list, &guest{}), append(name, "guest")
				}
				if err := h.Load(t, append(list, &tell{})...); err != nil {
					t.Fatalf("Load of %v: %v", name, err)
				}
				for credentials := range 1 << len(badges) {
					requests++
					what := fmt.Sprintf("%v, any %t, credentials of %d", name, h.AnyScheme, credentials)
					if checkOwned(t, h, what, order, pick(badges, credentials)) {
						passed++
					}
				}
			}
		})
	}
	if requests < 400 || passed < 100 {
		t.Errorf("got %d requests of which %d passed, want at least 400 and 100", requests, passed)
	}
}

// pick returns those of list whose bits are set.
func pick[T any](list []T, bits int) (some []T) {
	for i, v := range list {
		if bits>>i&1 == 1 {
			some = append(some, v)
		}
	}
	return some
}

// checkOwned sends one request with the credentials that some badges read, and reports whether it passed.
func checkOwned(t *testing.T, h *filtertest.Host, what string, order, credentials []*badge) bool {
	t.Helper()
	sent := []string{"x-user", "forged", "x_user", "forged", "x-mail", "forged"}
	for _, b := range credentials {
		sent = append(sent, b.Reads, "forged")
	}
	up := h.Get("/", sent...).Upstream
	if up == nil {
		return false
	}
	// The badge that has let the request pass; where all must, it is all of them.
	passer := slices.IndexFunc(order, func(b *badge) bool { return slices.Contains(credentials, b) })
	for i, b := range order {
		for _, header := range b.Sets {
			header = strings.ToLower(header)
			got := up.Header.Values(header)
			if header == "x-user" {
				got = append(slices.Clone(got), up.Header.Values("x_user")...)
			}
			vouched := passer >= 0 && order[passer].Reads == header // it has verified what the client sent
			if slices.Contains(got, "forged") && !vouched {
				t.Errorf("%s: the upstream got %q as %s, which is %s's to set", what, got, header, order[i].ID)
			}
		}
	}
	return true
}

// FuzzOwnedHeaders tries spellings of an owned header: other cases, _ for -, and the header more than once.
func FuzzOwnedHeaders(f *testing.F) {
	f.Add("x-user", "x_user", uint8(1), true)
	f.Add("X-User", "x-mail", uint8(0), false)
	f.Add("x-uѕer", "x--user", uint8(3), true)
	reserved := []string{"x-key", "x-session", "authorization", "x-asked", "x-who"}
	f.Fuzz(func(t *testing.T, one, two string, credentials uint8, anyScheme bool) {
		var sent []string
		for _, name := range []string{one, two} {
			name = strings.ToLower(name)
			if !token(name) || slices.Contains(reserved, name) {
				return
			}
			sent = append(sent, name, "forged")
		}
		for i, name := range []string{"x-key", "x-session"} {
			if credentials>>i&1 == 1 {
				sent = append(sent, name, "forged")
			}
		}
		h := &filtertest.Host{AnyScheme: anyScheme}
		if err := h.Load(t, &badge{ID: "key", Reads: "x-key"},
			&badge{ID: "session", Reads: "x-session", Sets: []string{"x-user", "x-mail"}}, &guest{}); err != nil {
			t.Fatalf("Load: %v", err)
		}
		up := h.Get("/", sent...).Upstream
		if up == nil {
			return
		}
		for name, values := range up.Header {
			plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
			if (plain == "x-user" || plain == "x-mail") && slices.Contains(values, "forged") {
				t.Errorf("sent %q: the upstream got the client's %s", sent, name)
			}
		}
	})
}

// token reports whether name is the name of a header in lower case.
func token(name string) bool {
	for _, c := range []byte(name) {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_.", rune(c)) {
			return false
		}
	}
	return name != "" && name != "host" && name != "content-length" && name != "transfer-encoding" && name != "connection" &&
		name != "trailer" && name != "te" && name != "upgrade" && name != "expect"
}
