package mosn

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// delay is that of the delayed configuration.
const delay = 300 * time.Millisecond

// tcpConfiguration is a list of network filters, in JSON, before tcp_proxy.
type tcpConfiguration struct {
	filters string
	// accept is a list of listener filters, in JSON, in which ELSEWHERE is the address of a listener that greets, and LINES the upstream's.
	accept string
	// toOriginal says that its clients get to the address that a listener filter has set. MOSN's tcp_proxy closes them, so
	// they are to get from Envoy what those get whose cluster has the address.
	toOriginal bool
	// waits says that its listener filters take Envoy 1.39: the one before closes connections.
	waits bool
	// atOnce has clients say all at once: MOSN runs ContinueReading beside what comes meanwhile, and now and then loses it.
	atOnce bool
}

var tcpConfigurations = map[string]tcpConfiguration{
	"fault_inject": {
		filters: `{"type": "fault_inject", "config": {"delay_percent": 100, "delay_duration": "300ms"}}`, atOnce: true,
	},
	"fault_inject, never":    {filters: `{"type": "fault_inject", "config": {"delay_percent": 0, "delay_duration": "10s"}}`},
	"greets":                 {filters: doTCP("greet")},
	"denies":                 {filters: doTCP("deny")},
	"changes what comes":     {filters: doTCP("upper")},
	"holds lines":            {filters: doTCP("lines")},
	"drains":                 {filters: doTCP("drop the first byte")},
	"goes on later":          {filters: doTCP("later"), atOnce: true},
	"answers and closes":     {filters: doTCP("answer")},
	"changes what goes":      {filters: doTCP("mark")},
	"keeps what goes":        {filters: doTCP("mute")},
	"several":                {filters: doTCP("greet") + "," + doTCP("lines") + "," + doTCP("upper") + "," + doTCP("mark")},
	"denies the client":      {accept: onAccept(`"do": "deny", "addr": "127.0.0.1"`)},
	"denies another client":  {accept: onAccept(`"do": "deny", "addr": "192.0.2.1"`)},
	"accepts later":          {accept: `{"type": "demo_accept", "config": {"do": "later"}}`, waits: true},
	"hands over":             {accept: onAccept(`"do": "hand over", "addr": "ELSEWHERE"`), filters: doTCP("deny")},
	"hands over to nobody":   {accept: onAccept(`"do": "hand over", "addr": "192.0.2.1:1"`), filters: doTCP("upper")},
	"connects elsewhere":     {accept: onAccept(`"do": "hand over", "addr": "LINES"`), filters: doTCP("mark"), toOriginal: true},
	"denies who passes":      {accept: onAccept(`"do": "deny", "addr": "192.0.2.1"`) + "," + onAccept(`"do": "deny", "addr": "127.0.0.1"`)},
	"a greeting and a delay": {filters: doTCP("greet") + "," + doTCP("later") + "," + doTCP("upper"), atOnce: true},
}

// onAccept is a listener filter that does not block.
func onAccept(config string) string {
	return `{"type": "demo_accept", "blocking": false, "config": {` + config + `}}`
}

func doTCP(what string) string { return `{"type": "demo_tcp", "config": {"do": "` + what + `"}}` }

// conversations are what a client says, in pieces that do not arrive at once. The last one ends the conversation.
var conversations = map[string][]string{
	"one line":       {"a\nquit\n"},
	"lines":          {"a\n", "secret\n", "b\nquit\n"},
	"pieces of one":  {"a", "b", "c\nquit\n"},
	"a long one":     {strings.Repeat("long ", 4000) + "\n", "quit\n"},
	"nothing before": {"quit\n"},
}

// said is what became of a conversation.
type said struct {
	Text    string // that the client got
	Delayed bool
}

// TestTCPAgainstMOSN has clients talk over TCP to MOSN with network filters, and to Envoys with what moe mosn run makes of the
// same file.
func TestTCPAgainstMOSN(t *testing.T) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	up, err := upstream.Start()
	if err != nil {
		t.Fatalf("upstream.Start: %v", err)
	}
	t.Cleanup(up.Close)
	file, addrs := writeTCP(t, lineServer(t), up.Addr)
	all := slices.Collect(maps.Values(addrs))
	stop, err := startMOSN(peer.of(t), file, all...)
	if err != nil {
		t.Fatalf("cannot start MOSN: %v", err)
	}
	want := talkAll(t, addrs)
	for name := range want {
		if configuration, conversation, _ := strings.Cut(name, "/"); tcpConfigurations[configuration].toOriginal {
			want[name] = want["changes what goes/"+conversation]
		}
	}
	wantHTTP := getBehind(t, addrs["HTTP"], up)
	stop()
	moe, module := command.of(t), library(t)
	for _, bin := range bins {
		t.Run(bin.Version, func(t *testing.T) {
			stop, err := startMoE(moe, file, all, "--envoy", bin.Path, "--module", module, "--concurrency", "1")
			if err != nil {
				t.Fatalf("cannot start Envoy: %v", err)
			}
			defer stop()
			want := maps.Clone(want)
			for name := range want {
				if configuration, _, _ := strings.Cut(name, "/"); tcpConfigurations[configuration].waits && strings.HasPrefix(bin.Version, "1.38.") {
					want[name] = said{}
				}
			}
			if diff := cmp.Diff(want, talkAll(t, addrs)); diff != "" {
				t.Errorf("MOSN and Envoy differ (-MOSN +Envoy):\n%s", diff)
			}
			if diff := cmp.Diff(wantHTTP, getBehind(t, addrs["HTTP"], up)); diff != "" {
				t.Errorf("MOSN and Envoy differ in HTTP behind a network filter (-MOSN +Envoy):\n%s", diff)
			}
		})
	}
}

// writeTCP writes a mosn_config.json with a listener for each configuration, and one with HTTP behind network
// filters. Clusters and virtual hosts are in folders.
func writeTCP(t *testing.T, lines, http string) (file string, addrs map[string]string) {
	t.Helper()
	addrs = map[string]string{}
	var listeners []any
	listen := func(name string, c tcpConfiguration, proxy m) (l m) {
		addr, err := freeAddr()
		if err != nil {
			t.Fatalf("no address is free: %v", err)
		}
		addrs[name] = addr
		l = m{"name": name, "address": addr, "bind_port": true, "filter_chains": []any{
			m{"filters": append(parsed("["+c.filters+"]").([]any), proxy)},
		}}
		if c.accept != "" {
			l["listener_filters"] = parsed("[" + strings.NewReplacer("ELSEWHERE", addrs["elsewhere"], "LINES", lines).Replace(c.accept) + "]")
		}
		listeners = append(listeners, l)
		return l
	}
	to := func(cluster string) m {
		return m{"type": "tcp_proxy", "config": m{"cluster": cluster, "routes": []any{m{"cluster": cluster}}}}
	}
	listen("elsewhere", tcpConfigurations["greets"], to("lines"))["bind_port"] = false
	occupied, err := net.Listen("tcp", addrs["elsewhere"]) // by somebody else, which does not matter to who does not listen
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	t.Cleanup(func() { occupied.Close() })
	for name, c := range tcpConfigurations {
		cluster := "lines"
		if c.toOriginal {
			cluster = "original"
		}
		listen(name, c, to(cluster))
	}
	delete(addrs, "elsewhere")
	listen("HTTP", tcpConfiguration{filters: doTCP("wait for a head")}, m{"type": "proxy", "config": m{
		"downstream_protocol": "Auto", "upstream_protocol": "Auto", "router_config_name": "HTTP",
	}})
	host := func(name, addr string) m {
		return m{"name": name, "type": "SIMPLE", "lb_type": "LB_RANDOM", "hosts": []any{m{"address": addr}}}
	}
	folder := t.TempDir()
	put := func(name string, v any) (file string) {
		file = filepath.Join(folder, name)
		text, err := json.Marshal(v)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(file), 0o755)
		}
		if err == nil {
			err = os.WriteFile(file, text, 0o644)
		}
		if err != nil {
			t.Fatalf("cannot write the configuration: %v", err)
		}
		return file
	}
	put("clusters/lines.json", host("lines", lines))
	original := host("original", "192.0.2.1:1") // to MOSN, a cluster without a host is none
	original["type"] = "ORIGINAL_DST"
	put("clusters/original.json", original)
	put("clusters/servers.json", host("servers", http))
	put("routers/HTTP.json", configuration{name: "HTTP"}.mosnRouter()["virtual_hosts"].([]any)[0])
	return put("mosn_config.json", m{
		"close_graceful": true,
		"servers": []any{m{
			"default_log_path": filepath.Join(folder, "mosn.log"), "default_log_level": "WARN", "listeners": listeners,
			"routers": []any{m{"router_config_name": "HTTP", "router_configs": filepath.Join(folder, "routers")}},
		}},
		"cluster_manager": m{"clusters_configs": filepath.Join(folder, "clusters")},
	}), addrs
}

// lineServer answers each line with "up:" and the line, until one ends in "uit" in any case.
func lineServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					if _, err := fmt.Fprintf(c, "up:%s\n", lines.Text()); err != nil || strings.HasSuffix(strings.ToLower(lines.Text()), "uit") {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// talkAll has every conversation with every configuration.
func talkAll(t *testing.T, addrs map[string]string) map[string]said {
	t.Helper()
	all := map[string]said{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, c := range tcpConfigurations {
		for conversation, pieces := range conversations {
			if c.atOnce && (len(pieces) > 1 || len(pieces[0]) > 100) {
				continue
			}
			wg.Go(func() {
				text, took := talk(t, addrs[name], pieces)
				mu.Lock()
				defer mu.Unlock()
				all[name+"/"+conversation] = said{Text: text, Delayed: name == "fault_inject" && took >= delay}
			})
		}
	}
	wg.Wait()
	return all
}

// talk says the pieces and returns what comes back until the end, and after how long.
func talk(t *testing.T, addr string, pieces []string) (text string, took time.Duration) {
	t.Helper()
	began := time.Now()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Errorf("net.Dial: %v", err)
		return "", 0
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Errorf("SetDeadline: %v", err)
	}
	go func() {
		for _, p := range pieces {
			if _, err := io.WriteString(c, p); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	all, err := io.ReadAll(c)
	if e, is := err.(net.Error); is && e.Timeout() { // any other end is one: a reset too
		t.Errorf("no end of what %s says to %.20q: %.100q", addr, pieces, all)
	}
	return string(all), time.Since(began)
}

// getBehind sends requests through network filters.
func getBehind(t *testing.T, addr string, up *upstream.Server) (all []outcome) {
	t.Helper()
	for _, r := range plainRequests {
		resp, err := r.send(addr, false)
		if err != nil {
			t.Fatalf("%s: no answer: %v", r.name, err)
		}
		all = append(all, r.withoutEcho(r.of(resp, up.Seen(resp.ID))))
	}
	return all
}
