package basicauth

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authn"
)

// Hashes of the usual cost take seconds under the race detector on a busy machine.
func TestMain(m *testing.M) {
	h, err := bcrypt.GenerateFromPassword([]byte("nobody's"), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	unknownUser = bcryptHash(h)
	os.Exit(m.Run())
}

func byBcrypt(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatalf("bcrypt.GenerateFromPassword: %v", err)
	}
	return strings.Replace(string(h), "$2a$", "$2y$", 1)
}

func byArgon2(password string) string {
	salt := []byte("saltsaltsalt")
	sum := argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=64,t=1,p=1$%s$%s", enc.EncodeToString(salt), enc.EncodeToString(sum))
}

func basic(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }

func consumer(name string, cred map[string]any) *filter.Consumer {
	return &filter.Consumer{Name: name, Credentials: map[string]map[string]any{"basicauth": cred}}
}

func must(t testing.TB, conf string, consumers ...*filter.Consumer) *filtertest.Host {
	t.Helper()
	h := &filtertest.Host{Consumers: consumers, ConsumerHeader: "x-who", Timeout: time.Minute}
	if err := h.Load(t, filtertest.Config{Name: "basicauth", JSON: conf}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	return h
}

func TestUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "htpasswd")
	text := "# users\n\ndora:" + byBcrypt(t, "d:pw") + "\nemil:" + byArgon2("e-pw") + "\r\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	h := must(t, `{users: `+file+`}`,
		consumer("anna", map[string]any{"username": "a", "password": "a-pw"}),
		consumer("bert", map[string]any{"username": "b", "hash": byBcrypt(t, "b-pw")}),
		consumer("cleo", map[string]any{"username": "c", "hash": byArgon2("pässword")}),
		&filter.Consumer{Name: "emil", Groups: []string{"staff"}})
	mib := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name   string
		header []string
		want   string // the consumer, or the end of the details
	}{
		{"plain", []string{basic("a:a-pw")}, "anna"},
		{"bcrypt", []string{basic("b:b-pw")}, "bert"},
		{"bcrypt, remembered", []string{basic("b:b-pw")}, "bert"},
		{"argon2id", []string{basic("c:pässword")}, "cleo"},
		{"a colon in the password", []string{basic("dora:d:pw")}, "dora"},
		{"listed and in the file", []string{basic("emil:e-pw")}, "emil"},
		{"scheme in another case", []string{"bASIC " + basic("a:a-pw")[6:]}, "anna"},
		{"blanks", []string{"Basic   " + basic("a:a-pw")[6:] + " "}, "anna"},

		{"none", nil, ".missing"},
		{"of another scheme", []string{"Bearer " + basic("a:a-pw")[6:]}, ".missing"},
		{"empty", []string{""}, ".missing"},
		{"no credentials", []string{"Basic"}, ".malformed"},
		{"empty credentials", []string{"Basic "}, ".malformed"},
		{"no base64", []string{"Basic a:a-pw"}, ".malformed"},
		{"no colon", []string{basic("aa-pw")}, ".malformed"},
		{"no name", []string{basic(":a-pw")}, ".malformed"},
		{"no password", []string{basic("a:")}, ".malformed"},
		{"a line break", []string{basic("a:a-pw\n")}, ".malformed"},
		{"NUL", []string{basic("a\x00:a-pw")}, ".malformed"},
		{"no UTF-8", []string{basic("a:\xff\xfe")}, ".malformed"},
		{"long", []string{basic("a:" + mib)}, ".malformed"},
		{"long for a password", []string{basic("a:" + mib[:1500])}, ".malformed"},
		{"doubled", []string{basic("a:a-pw"), basic("a:a-pw")}, ".ambiguous"},
		{"with another scheme", []string{basic("a:a-pw"), "Bearer x"}, ".ambiguous"},
		{"wrong", []string{basic("a:a-pW")}, ".wrong"},
		{"longer", []string{basic("b:b-pw ")}, ".wrong"},
		{"wrong for bcrypt", []string{basic("b:a-pw")}, ".wrong"},
		{"wrong for argon2id", []string{basic("c:password")}, ".wrong"},
		{"nobody", []string{basic("zoe:a-pw")}, ".wrong"},
		{"nobody with the password of the dummy", []string{basic("zoe:nobody's")}, ".wrong"},
		{"the consumer's name is not a user", []string{basic("anna:a-pw")}, ".wrong"},
		{"name in another case", []string{basic("A:a-pw")}, ".wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := filtertest.NewRequest("GET", "/", "", "x-who", "root")
			r.Header["Authorization"] = c.header
			got := h.Do(r)
			if strings.HasPrefix(c.want, ".") {
				if got.Status != 401 || got.Details != "moe.basicauth"+c.want || got.Upstream != nil ||
					got.Header.Get("www-authenticate") != `Basic realm="moe", charset="UTF-8"` {
					t.Errorf("got %d %s %v, want 401 moe.basicauth%s with a challenge", got.Status, got.Details, got.Header, c.want)
				}
				return
			}
			if got.Status != 200 || got.Upstream.Header.Get("x-who") != c.want {
				t.Fatalf(`got.Status = %d, want 200; got.Upstream.Header.Get("x-who") = %q, want %q: %s`,
					got.Status, got.Upstream.Header.Get("x-who"), c.want, got.Details)
			}
			if got.Upstream.Header.Get("authorization") != "" {
				t.Error("the upstream sees the password")
			}
		})
	}
	if n := h.Metric("checked"); n != 11 { // 4 that are right, once each, and 7 that are wrong
		t.Errorf("%d hashes were computed", n)
	}
	if log := h.Log(); strings.Contains(log, "-pw") || !strings.Contains(log, "claims=zoe") {
		t.Error("the log:", log)
	}
}

// Another password holds at once, although the old one is remembered.
func TestChanges(t *testing.T) {
	h := must(t, `{}`, consumer("tom", map[string]any{"username": "tom", "hash": byBcrypt(t, "old")}))
	status := func(password string) int { return h.Get("/", "authorization", basic("tom:"+password)).Status }
	for range 2 {
		if status("old") != 200 || h.Metric("checked") != 1 {
			t.Error("not remembered")
		}
	}
	tom := consumer("tom", map[string]any{"username": "tom", "hash": byBcrypt(t, "new")})
	if err := h.SetConsumers([]*filter.Consumer{tom}); err != nil {
		t.Fatalf("h.SetConsumers: %v", err)
	}
	if status("old") != 401 || status("new") != 200 {
		t.Error("the change does not hold")
	}
	if err := h.SetConsumers(nil); err != nil || status("new") != 401 {
		t.Error("the deletion does not hold", err)
	}
}

func TestFileIsFollowed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "htpasswd")
	put := func(text string) {
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatalf("os.Rename: %v", err)
		}
	}
	put("tom:" + byBcrypt(t, "one"))
	h := must(t, `{users: `+file+`, poll: 10ms, forward: true}`)
	becomes := func(password string, want int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			r := h.Get("/", "authorization", basic("tom:"+password))
			if r.Status == want {
				if want == 200 && r.Upstream.Header.Get("authorization") == "" {
					t.Error("not forwarded")
				}
				return
			}
			if time.Now().After(end) {
				t.Fatalf("time.Now().After(end) = true, want false: %s, %d", password, r.Status)
			}
		}
	}
	becomes("one", 200)
	put("tom:" + byBcrypt(t, "two"))
	becomes("two", 200)
	becomes("one", 401)
	put("tom:two")
	for end := time.Now().Add(20 * time.Second); h.Metric("reload_failed") == 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	becomes("two", 200)
	if h.Metric("reload_failed") == 0 || strings.Contains(h.Log(), "tom:two") || !strings.Contains(h.Log(), "line 1") {
		t.Error("the log:", h.Log())
	}
	put("")
	becomes("two", 401)
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct{ name, conf, file, cred, want string }{
		{name: "quote in the realm", conf: `{realm: 'a"'}`, want: "realm"},
		{name: "cacheTTL of zero", conf: `{cacheTTL: 0s}`, want: "cacheTTL"},
		{name: "negative cacheSize", conf: `{cacheSize: -1}`, want: "cacheSize"},
		{name: "missing file", conf: `{users: /nowhere/x}`, want: "/nowhere/x"},
		{name: "no colon", conf: `{users: FILE}`, file: "geheim\n", want: "line 1: expected NAME:HASH"},
		{name: "no hash", conf: `{users: FILE}`, file: "\na:geheim", want: "line 2: expected a hash"},
		{name: "SHA-1", conf: `{users: FILE}`, file: "a:{SHA}geheim", want: "malformed"},
		{name: "MD5", conf: `{users: FILE}`, file: "a:$apr1$geheim", want: "malformed"},
		{name: "malformed bcrypt", conf: `{users: FILE}`, file: "a:$2y$05$geheim", want: "malformed"},
		{
			name: "costly bcrypt", conf: `{users: FILE}`,
			file: "a:$2y$31$9ZlFd/8dcIpSXM6bCUyqzOw2BN.IbbRSp4CQpRNDwO6OFxh0tCsBq", want: "the most",
		},
		{
			name: "costly argon2", conf: `{users: FILE}`,
			file: "a:$argon2id$v=19$m=999999999,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", want: "at most",
		},
		{
			name: "argon2 without a pass", conf: `{users: FILE}`,
			file: "a:$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", want: "at most",
		},
		{
			name: "argon2 with an unknown parameter", conf: `{users: FILE}`,
			file: "a:$argon2id$v=19$m=64,t=1,p=1,x$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", want: "malformed",
		},
		{
			name: "argon2 of an old version", conf: `{users: FILE}`,
			file: "a:$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", want: "malformed",
		},
		{
			name: "duplicate user", conf: `{users: FILE}`, file: "a:" + byArgon2("x") + "\na:" + byArgon2("y"),
			want: "line 2: duplicate user",
		},
		{name: "no username", conf: `{}`, cred: `password`, want: "username"},
		{name: "colon in a username", conf: `{}`, cred: `username:a:b password:geheim`, want: "colon"},
		{name: "neither password nor hash", conf: `{}`, cred: `username:a`, want: "a password or a hash"},
		{
			name: "both password and hash", conf: `{}`, cred: `username:a password:geheim hash:geheim`,
			want: "a password or a hash",
		},
		{name: "malformed hash of a consumer", conf: `{}`, cred: `username:a hash:geheim`, want: "expected a hash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
				t.Fatalf("os.WriteFile: %v", err)
			}
			h := &filtertest.Host{}
			if c.cred != "" {
				cred := map[string]any{}
				for f := range strings.FieldsSeq(c.cred) {
					k, v, _ := strings.Cut(f, ":")
					cred[k] = v
				}
				h.Consumers = []*filter.Consumer{consumer("tom", cred)}
			}
			err := h.Load(t, filtertest.Config{Name: "basicauth", JSON: strings.ReplaceAll(c.conf, "FILE", file)})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("%s %q %s: got %v, want an error with %q and no secret", c.conf, c.file, c.cred, err, c.want)
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(10, time.Minute)
	now := time.Now()
	for i := range 1000 {
		c.add(c.key("u", "h", fmt.Sprint(i)), now)
	}
	if len(c.ends) > 10 || !c.has(c.key("u", "h", "999"), now) {
		t.Errorf("%d entries", len(c.ends))
	}
	if c.has(c.key("u", "h", "999"), now.Add(2*time.Minute)) || c.has(c.key("u", "other", "999"), now) {
		t.Error("what has ended, or is another, is there")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("YTpi")
	f.Add("a:b")
	f.Fuzz(func(t *testing.T, value string) {
		if user, given, ok := authn.ParseBasic(value); ok && (user == "" || given == "" || strings.Contains(user, ":")) {
			t.Errorf("authn.ParseBasic(%q) = %q, %q; want a name without a colon and a password", value, user, given)
		}
	})
}

func FuzzHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA")
	f.Add("$2y$05$9ZlFd/8dcIpSXM6bCUyqzOw2BN.IbbRSp4CQpRNDwO6OFxh0tCsBq")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parseHash(s); err == nil && p.slow() && p.text() != s {
			t.Errorf("%q is taken for %q", s, p.text())
		}
		users{}.parseFile("f", []byte(s))
	})
}
