package iprestriction

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/clientaddr"
	"mosn.io/moe/plugins/internal/iplists"
	"mosn.io/moe/plugins/internal/plugintest"
)

func host(t *testing.T, config, source string) *filtertest.Host {
	t.Helper()
	h := &filtertest.Host{Attrs: map[filter.Attr]string{}}
	if source != "" {
		h.Attrs[filter.AttrSourceAddress] = source
	}
	if err := h.Load(t, filtertest.Config{Name: "iprestriction", JSON: config}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	return h
}

func TestSource(t *testing.T) {
	const both = `{allow: [10.0.0.0/8, "fd00::/8"], deny: [10.9.0.0/16, "::ffff:10.8.0.0/112"]}`
	for _, c := range []struct {
		config, source string
		status         int
	}{
		{both, "10.0.0.1:1234", 200},
		{both, "[fd00::1]:1234", 200},
		{both, "[::ffff:10.0.0.1]:1234", 200},
		{both, "10.9.0.1:1234", 403},
		{both, "[::ffff:10.9.0.1]:1234", 403},
		{both, "10.8.0.1:1234", 403},
		{both, "192.0.2.1:1234", 403},
		{both, "[2001:db8::1]:1234", 403},
		{both, "/run/socket", 403},
		{both, "", 403},
		{`{deny: [192.0.2.0/24]}`, "192.0.2.255:1", 403},
		{`{deny: [192.0.2.0/24]}`, "192.0.3.0:1", 200},
		{`{deny: [0.0.0.0/0]}`, "192.0.3.0:1", 403},
		{`{deny: [0.0.0.0/0]}`, "[2001:db8::1]:1", 200},
		{`{allow: [192.0.2.1], status: 404, body: nothing}`, "192.0.2.2:1", 404},
		{`{allow: [192.0.2.1], shadow: true}`, "192.0.2.2:1", 200},
		{`{allow: [192.0.2.1], failOpen: true}`, "192.0.2.2:1", 403},
		{`{allow: [192.0.2.1], failOpen: true}`, "", 200},
		{`{allow: [192.0.2.1], errorStatus: 503}`, "", 503},
	} {
		t.Run(fmt.Sprintf("%v %v", c.config, c.source), func(t *testing.T) {
			// What the client says of itself makes no difference.
			h := host(t, c.config, c.source)
			r := h.Get("/?secret=1", "x-forwarded-for", "10.0.0.1", "x-real-ip", "10.0.0.1", "forwarded", "for=10.0.0.1")
			if r.Status != c.status || (r.Upstream != nil) != (c.status == 200) {
				t.Errorf("%s from %q: %d %q", c.config, c.source, r.Status, r.Body)
			}
			if strings.Contains(h.Log(), "secret") {
				t.Errorf("h.Log() = %q, want it without %q", h.Log(), "secret")
			}
		})
	}
}

func TestForwarded(t *testing.T) {
	long := strings.Repeat("1.1.1.1, ", 100_000) + "10.0.0.1"
	for _, c := range []struct {
		hops    string
		headers []string
		status  int
	}{
		{"0", []string{"10.0.0.1"}, 200},
		{"0", []string{"192.0.2.1"}, 403},
		{"0", nil, 403},
		{"0", []string{""}, 403},
		{"0", []string{"192.0.2.1, 10.0.0.1"}, 200},
		{"0", []string{"10.0.0.1, 192.0.2.1"}, 403},
		{"0", []string{"10.0.0.1", "192.0.2.1"}, 403},
		{"0", []string{"192.0.2.1", "10.0.0.1"}, 200},
		{"0", []string{"10.0.0.1:443"}, 200},
		{"0", []string{"[::ffff:10.0.0.1]:443"}, 200},
		{"0", []string{"[::ffff:10.0.0.1]"}, 200},
		{"0", []string{"::ffff:10.0.0.1"}, 200},
		{"0", []string{"\t10.0.0.1 "}, 200},
		{"0", []string{"10.0.0.1,"}, 403},
		{"0", []string{"010.0.0.1"}, 403},
		{"0", []string{"10.0.0.1 10.0.0.1"}, 403},
		{"0", []string{"unknown"}, 403},
		{"0", []string{"10.1"}, 403},
		{"0", []string{"0x0a.0.0.1"}, 403},
		{"0", []string{"\xff\xfe"}, 403},
		{"0", []string{long}, 200},
		{"1", []string{"10.0.0.1"}, 403},
		{"1", []string{"10.0.0.1, 192.0.2.1"}, 200},
		{"1", []string{"10.0.0.1", "192.0.2.1"}, 200},
		{"1", []string{"10.0.0.1, 192.0.2.1, 192.0.2.2"}, 403},
		{"1", []string{"10.0.0.1, nonsense"}, 403},
		{"2", []string{"192.0.2.9, 10.0.0.1, 192.0.2.1, 192.0.2.2"}, 200},
		{"2", []string{"10.0.0.1, 192.0.2.1"}, 403},
	} {
		t.Run(fmt.Sprintf("%s %.40q", c.hops, c.headers), func(t *testing.T) {
			h := host(t, `{allow: [10.0.0.0/8], address: xForwardedFor, failOpen: true, trustedHops: `+c.hops+`}`, "10.0.0.1:1")
			var header []string
			for _, v := range c.headers {
				header = append(header, "x-forwarded-for", v)
			}
			if r := h.Get("/", header...); r.Status != c.status {
				t.Errorf("%s hops, %.40q: %d %q", c.hops, c.headers, r.Status, r.Body)
			}
		})
	}
}

func TestWhatIsNoted(t *testing.T) {
	h := host(t, `{deny: [192.0.2.0/24], shadow: true}`, "192.0.2.7:1")
	r := h.Get("/x?token=geheim")
	if r.Metadata["moe.iprestriction/decision"] != "deny" || r.Metadata["moe.iprestriction/shadow"] != true ||
		r.Metadata["moe.iprestriction/reason"] != "the address is in the list deny" {
		t.Errorf("got %v, want deny, shadow and a reason that names the list deny", r.Metadata)
	}
	log := h.Log()
	if !strings.Contains(log, "source=192.0.2.7") || !strings.Contains(log, "path=/x ") || strings.Contains(log, "geheim") {
		t.Errorf("h.Log() = %q, want it to contain %q, and it to contain %q, and it without %q",
			log, "source=192.0.2.7", "path=/x ", "geheim")
	}
	for name, want := range map[string]int64{"denied": 1, "shadow_denied": 1, "allowed": 0, "failed": 0} {
		t.Run(name, func(t *testing.T) {
			if got := h.Metric(name); int64(got) != want {
				t.Errorf("%s, %v: got %d, want %d", name, got, int64(got), want)
			}
		})
	}
	r = host(t, `{deny: [192.0.2.0/24]}`, "192.0.2.7:1").Get("/")
	if r.Details != "moe.iprestriction.denied" || r.Body != "access denied" {
		t.Errorf("r.Details = %q, want %q; r.Body = %q, want %q",
			r.Details, "moe.iprestriction.denied", r.Body, "access denied")
	}
	if r = host(t, `{deny: [192.0.2.0/24]}`, "").Get("/"); r.Details != "moe.iprestriction.error" {
		t.Errorf("r.Details = %q, want %q", r.Details, "moe.iprestriction.error")
	}
	if r = host(t, `{deny: [192.0.2.0/24]}`, "").GRPC("/a.B/C", ""); r.GRPCStatus != 7 {
		t.Errorf("r.GRPCStatus = %d, want 7", r.GRPCStatus)
	}
}

func replace(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+"~", []byte(text), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatalf("os.Rename: %v", err)
	}
}

// until polls, with patience for a machine under load.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	allow, deny := filepath.Join(dir, "allow"), filepath.Join(dir, "deny")
	replace(t, allow, "10.0.0.0/8\n")
	replace(t, deny, "# nobody\n")
	h := host(t, `{allowFile: `+allow+`, denyFile: `+deny+`, poll: 10ms}`, "10.0.0.1:1")
	status := func(want int) func() bool { return func() bool { return h.Get("/").Status == want } }
	if !status(200)() {
		t.Fatal("the file does not hold")
	}
	replace(t, deny, "10.0.0.1")
	until(t, "denied", status(403))
	replace(t, deny, "10.0.0.2")
	until(t, "allowed", status(200))
	replace(t, deny, "10.0.0.1\nnonsense")
	until(t, "said why", func() bool { return strings.Contains(h.Log(), "deny:2: expected a network") })
	if !status(200)() {
		t.Error("a broken file changes what holds")
	}
	if err := os.Remove(deny); err != nil {
		t.Fatalf("os.Remove: %v", err)
	}
	until(t, "said why", func() bool { return strings.Contains(h.Log(), "no such file") })
	if !status(200)() {
		t.Error("a file that is gone changes what holds")
	}
	replace(t, deny, "")
	replace(t, allow, "") // nobody
	until(t, "denied to all", status(403))
	if h.Metric("reload_failed") < 2 || h.Metric("reloaded") < 2 {
		t.Error(h.Metric("reload_failed"), h.Metric("reloaded"))
	}
}

func TestRefused(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "list")
	replace(t, broken, "10.0.0.0/8\n10.0.0.0/40\n")
	for config, want := range map[string]string{
		`{}`:                                  "allow",
		`{allow: [10.0.0.0/33]}`:              "allow[0]",
		`{allow: [localhost]}`:                "allow[0]",
		`{allow: 10.0.0.0/8}`:                 "allow",
		`{allowFile: /not/there}`:             "/not/there",
		`{allowFile: ` + broken + `}`:         "list:2",
		`{allow: [10.0.0.1], trustedHops: 1}`: "trustedHops",
		`{allow: [10.0.0.1], address: xForwardedFor, trustedHops: -1}`:                          "trustedHops",
		`{allow: [10.0.0.1], address: forwarded, trustedHops: 1, trustedProxies: [10.0.0.0/8]}`: "exclusive",
		`{allow: [10.0.0.1], address: header}`:                                                  "address",
		`{allow: [10.0.0.1], status: 200}`:                                                      "status",
		`{allow: [10.0.0.1], poll: 1ms}`:                                                        "poll",
		`{denyFile: a, allowFile: a}`:                                                           "denyFile",
	} {
		t.Run(config, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "iprestriction", JSON: config})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: new(filtertest.Host).Load(…): got error %v, want one with %q", config, err, want)
			}
		})
	}
}

func benchmark(b *testing.B, p *IPRestriction) {
	h := filtertest.New(b, p)
	h.Attrs = map[filter.Attr]string{}
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
		if p.OnRequestHeaders(s, h, true) != filter.Continue {
			b.Fatal("denied")
		}
	})
}

// The address comes from x-forwarded-for, as filtertest has no other here; noting the decision is part of it.
func BenchmarkAllowed(b *testing.B) {
	for name, n := range map[string]int{"10": 10, "10000": 10_000} {
		var list []netip.Prefix
		for i := range n {
			list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 25))
		}
		b.Run(name, func(b *testing.B) {
			benchmark(b, &IPRestriction{
				Lists: iplists.Lists{Deny: list}, Finder: clientaddr.Finder{Address: "xForwardedFor"}, Common: authz.Common{Status: 403},
			})
		})
	}
}
