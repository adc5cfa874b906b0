package ldapauth

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/internal/ldaptest"
)

func everybody() []ldaptest.Person {
	return []ldaptest.Person{
		{DN: "cn=reader,dc=a", Password: "r3ader"},
		{
			DN: "uid=alice,ou=people,dc=a", Password: "wonder:land",
			Attributes: map[string][]string{"uid": {"alice"}, "mail": {"alice@a.example"}, "memberOf": {"cn=staff", "cn=admin"}},
		},
		{DN: "uid=bob,ou=people,dc=a", Password: "b", Attributes: map[string][]string{"uid": {"robert", "Bob"}}},
		{DN: "uid=two,ou=people,dc=a", Password: "p", Attributes: map[string][]string{"uid": {"two"}}},
		{DN: "cn=x,uid=two,ou=people,dc=a", Password: "p", Attributes: map[string][]string{"uid": {"two"}}},
		{DN: "uid=nameless,ou=people,dc=a", Password: "p", Attributes: map[string][]string{"cn": {"x"}}},
	}
}

func serve(t *testing.T, people ...ldaptest.Person) *ldaptest.Responder {
	t.Helper()
	s, err := ldaptest.Respond(people...)
	if err != nil {
		t.Fatalf("ldaptest.Respond: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// bindMode and searchMode are configurations for the server, with more members, in JSON after a comma.
func bindMode(s *ldaptest.Responder, more string) string {
	return fmt.Sprintf(`{"url": "ldap://%s", "userDN": "uid={username},ou=people,dc=a"%s}`, s.Addr(), more)
}

func searchMode(s *ldaptest.Responder, more string) string {
	return fmt.Sprintf(`{"url": "ldap://%s", "search": {"bindDN": "cn=reader,dc=a", "password": "r3ader",
		"base": "ou=people,dc=a"}%s}`, s.Addr(), more)
}

func load(t *testing.T, config string, consumers ...*filter.Consumer) *filtertest.Host {
	t.Helper()
	h := &filtertest.Host{Consumers: consumers, ConsumerHeader: "x-who"}
	if err := h.Load(t, filtertest.Config{Name: "ldapauth", JSON: config}); err != nil {
		t.Fatalf("loading ldapauth: %v", err)
	}
	return h
}

func with(user, password string) []string {
	return []string{"authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

// outcome is the consumer of a request that passes, or the reason why it does not.
func outcome(r *filtertest.Response) string {
	if r.Upstream != nil {
		return r.Upstream.Header.Get("x-who")
	}
	return fmt.Sprint(r.Status, " ", strings.TrimPrefix(r.Details, "moe.ldapauth."))
}

func TestPasswords(t *testing.T) {
	modes := map[string]func(*ldaptest.Responder) string{
		"bind":   func(s *ldaptest.Responder) string { return bindMode(s, "") },
		"search": func(s *ldaptest.Responder) string { return searchMode(s, "") },
	}
	for mode, config := range modes {
		for _, c := range []struct{ name, user, password, want string }{
			{"right", "alice", "wonder:land", "alice"},
			{"right, the name in upper case", "ALICE", "wonder:land", "alice"},
			{"right, of several names the one that was given", "bob", "b", "Bob"},
			{"wrong", "alice", "wonderland", "401 wrong"},
			{"another's", "alice", "b", "401 wrong"},
			{"nobody's", "nobody", "b", "401 wrong"},
			{"empty", "alice", "", "401 malformed"},
			{"an empty name", "", "b", "401 malformed"},
			{"a name that is a part of a filter", "*", "b", "401 wrong"},
			{"a name that ends the filter", "alice)(uid=*", "wonder:land", "401 wrong"},
			{"a name that is a part of a DN", "alice,ou=people,dc=a", "wonder:land", "401 wrong"},
			{"a NUL", "alice\x00", "wonder:land", "401 malformed"},
			{"a long name", strings.Repeat("a", 300), "b", "401 malformed"},
		} {
			t.Run(mode+": "+c.name, func(t *testing.T) {
				s := serve(t, everybody()...)
				h := load(t, config(s))
				for range 2 { // the second time from the cache
					r := h.Get("/", append(with(c.user, c.password), "x-who", "forged")...)
					if got := outcome(r); got != c.want {
						t.Errorf("got %s, want %s", got, c.want)
					}
					if r.Upstream != nil && r.Upstream.Header.Get("authorization") != "" {
						t.Error("the upstream sees the password")
					}
				}
				if strings.Contains(h.Log(), "wonder") || strings.Contains(h.Log(), "r3ader") {
					t.Errorf("the log has a password: %s", h.Log())
				}
				for _, dn := range s.Binds() {
					if dn == "" {
						t.Error("there was an unauthenticated bind")
					}
				}
			})
		}
	}
	t.Run("search: two entries", func(t *testing.T) {
		if got := outcome(load(t, searchMode(serve(t, everybody()...), "")).Get("/", with("two", "p")...)); got != "401 several" {
			t.Errorf("got %s, want 401 several", got)
		}
	})
	t.Run("bind: an entry without a name", func(t *testing.T) {
		if got := outcome(load(t, bindMode(serve(t, everybody()...), "")).Get("/", with("nameless", "p")...)); got != "401 nameless" {
			t.Errorf("got %s, want 401 nameless", got)
		}
	})
	t.Run("without credentials", func(t *testing.T) {
		h := load(t, bindMode(serve(t), ""))
		r := h.Get("/")
		if want := `Basic realm="moe", charset="UTF-8"`; outcome(r) != "401 missing" || r.Header.Get("www-authenticate") != want {
			t.Errorf("got %s and %q, want 401 missing and %q", outcome(r), r.Header.Get("www-authenticate"), want)
		}
		if got := outcome(h.Get("/", append(with("a", "b"), with("a", "b")...)...)); got != "401 ambiguous" {
			t.Errorf("twice: got %s, want 401 ambiguous", got)
		}
	})
}

func TestAttributes(t *testing.T) {
	for _, c := range []struct{ name, more, want string }{
		{"a group", `, "requiredAttributes": [{"claim": "memberOf", "anyOf": ["cn=admin", "cn=other"]}]`, "alice"},
		{"not all groups", `, "requiredAttributes": [{"claim": "memberOf", "allOf": ["cn=admin", "cn=other"]}]`, "403 attributes"},
		{"an attribute that is missing", `, "requiredAttributes": [{"claim": "title"}]`, "403 attributes"},
		{"a consumer by an attribute", `, "consumerClaim": "mail"`, "listed"},
		{"no consumer by an attribute", `, "consumerClaim": "title"`, "401 consumer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, searchMode(serve(t, everybody()...), c.more+
				`, "claimsToHeaders": [{"claim": "mail", "header": "X-Mail"}], "claimsToMetadata": ["memberOf"]`),
				&filter.Consumer{Name: "listed", Credentials: map[string]map[string]any{"ldapauth": {"subject": "alice@a.example"}}})
			r := h.Get("/", append(with("alice", "wonder:land"), "x-mail", "forged")...)
			if got := outcome(r); got != c.want {
				t.Fatalf("got %s, want %s", got, c.want)
			}
			if r.Upstream == nil {
				return
			}
			got := []any{r.Upstream.Header.Values("x-mail"), r.Metadata["moe.ldapauth/memberOf"]}
			if diff := cmp.Diff([]any{[]string{"alice@a.example"}, []any{"cn=staff", "cn=admin"}}, got); diff != "" {
				t.Errorf("header and metadata (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCache(t *testing.T) {
	s := serve(t, everybody()...)
	h := load(t, bindMode(s, `, "cacheTTL": "2s", "refusedTTL": "1h"`))
	for range 3 {
		h.Get("/", with("alice", "wonder:land")...)
		h.Get("/", with("alice", "wrong")...)
	}
	if binds := s.Binds(); len(binds) != 2 {
		t.Errorf("3 requests each with a right and a wrong password: binds of %q, want 2", binds)
	}
	s.Set(func() { s.People[1].Password = "changed" })
	deadline := time.Now().Add(10 * time.Second)
	for outcome(h.Get("/", with("alice", "wonder:land")...)) != "401 wrong" {
		if time.Now().After(deadline) {
			t.Fatal("a password that was changed is still good")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestConnections: connections are kept and bounded, and one that has died is replaced without a request failing.
func TestConnections(t *testing.T) {
	s := serve(t, everybody()...)
	h := load(t, searchMode(s, `, "cacheSize": 0, "connections": 2`))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			user, password := "alice", "wonder:land"
			if i%2 == 0 {
				user, password = "bob", "b"
			}
			if got := outcome(h.Get("/", with(user, password)...)); !strings.EqualFold(got, user) {
				t.Errorf("got %s, want %s", got, user)
			}
		})
	}
	wg.Wait()
	if n := s.Drop(); n < 2 || n > 4 {
		t.Errorf("%d connections, want 2 for users and 2 for searches at most", n)
	}
	if got := outcome(h.Get("/", with("alice", "wonder:land")...)); got != "alice" {
		t.Errorf("after the directory has closed all connections: got %s, want alice; the log:\n%s", got, h.Log())
	}
}

func TestDirectoryFails(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*ldaptest.Responder)
	}{
		{"busy", func(s *ldaptest.Responder) { s.Code = ldap.LDAPResultBusy }},
		{"another error", func(s *ldaptest.Responder) { s.Code = ldap.LDAPResultOther }},
		{"a referral", func(s *ldaptest.Responder) { s.Code = ldap.LDAPResultReferral }},
		{"mute", func(s *ldaptest.Responder) { s.Mute = true }},
		{"the reader's password is wrong", func(s *ldaptest.Responder) { s.People[0].Password = "x" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, everybody()...)
			s.Set(func() { c.change(s) })
			h := load(t, searchMode(s, `, "timeout": "100ms"`))
			if got := outcome(h.Get("/", with("alice", "wonder:land")...)); got != "503 no_answer" {
				t.Errorf("got %s, want 503 no_answer", got)
			}
			if strings.Contains(h.Log(), "the secret text") {
				t.Errorf("the log has the directory's text: %s", h.Log())
			}
			s.Set(func() { s.Code, s.Mute, s.People[0].Password = 0, false, "r3ader" })
			if got := outcome(h.Get("/", with("alice", "wonder:land")...)); got != "alice" {
				t.Errorf("when it answers again: got %s, want alice", got)
			}
		})
	}
	t.Run("down", func(t *testing.T) {
		s := serve(t)
		h := load(t, bindMode(s, ""))
		s.Close()
		if got := outcome(h.Get("/", with("alice", "wonder:land")...)); got != "503 no_answer" {
			t.Errorf("got %s, want 503 no_answer", got)
		}
	})
}

func TestConfiguration(t *testing.T) {
	const bind, search = `"userDN": "uid={username},dc=a"`, `"search": {"base": "dc=a"}`
	for _, c := range []struct{ name, config, want string }{
		{"no url", `{` + bind + `}`, "url"},
		{"http", `{"url": "http://a", ` + bind + `}`, "ldaps://host"},
		{"passwords in the clear", `{"url": "ldap://a.example", ` + bind + `}`, "must be ldaps"},
		{"TLS twice", `{"url": "ldaps://a.example", "tls": {"startTLS": true}, ` + bind + `}`, "leave tls.startTLS out"},
		{"a path", `{"url": "ldaps://a.example/dc=a??sub", ` + bind + `}`, "nothing but a host"},
		{"neither userDN nor search", `{"url": "ldaps://a.example"}`, "userDN or search"},
		{"both", `{"url": "ldaps://a.example", ` + bind + `, ` + search + `}`, "userDN or search"},
		{"a userDN without the name", `{"url": "ldaps://a.example", "userDN": "uid=x,dc=a"}`, "userDN"},
		{"a userDN that is none", `{"url": "ldaps://a.example", "userDN": "{username}"}`, "userDN"},
		{"a filter that is none", `{"url": "ldaps://a.example", "search": {"base": "dc=a", "filter": "uid={username}("}}`, "search.filter"},
		{"a filter without the name", `{"url": "ldaps://a.example", "search": {"base": "dc=a", "filter": "(uid=x)"}}`, "search.filter"},
		{"a reader without a password", `{"url": "ldaps://a.example", "search": {"base": "dc=a", "bindDN": "cn=r"}}`, "bindDN and password"},
		{"all attributes", `{"url": "ldaps://a.example", ` + search + `, "claimsToMetadata": ["*"]}`, "claimsToMetadata"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "ldapauth", JSON: c.config})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzName: whatever the user name, it is one value in the DN and one in the filter, and neither has another shape.
func FuzzName(f *testing.F) {
	for _, name := range []string{"alice", "a,b=c", ` a"+;<>\# `, "*)(uid=*", "ä\xff", "a=b", "#ab", "a\\20"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" || strings.ContainsRune(name, 0) || !utf8.ValidString(name) {
			return // refused before
		}
		text := fill("uid={username},ou=people,dc=a", ldap.EscapeDN(name))
		dn, err := ldap.ParseDN(text)
		if err != nil || len(dn.RDNs) != 3 || len(dn.RDNs[0].Attributes) != 1 || dn.RDNs[0].Attributes[0].Value != name {
			t.Fatalf("the name %q makes the DN %q, which is read as %+v, %v", name, text, dn, err)
		}
		text = fill("(&(uid={username})(objectClass=person))", ldap.EscapeFilter(name))
		p, err := ldap.CompileFilter(text)
		if err != nil || len(p.Children) != 2 || p.Children[0].Tag != ldap.FilterEqualityMatch ||
			p.Children[0].Children[1].Data.String() != name {
			t.Fatalf("the name %q makes the filter %q: %v", name, text, err)
		}
	})
}
