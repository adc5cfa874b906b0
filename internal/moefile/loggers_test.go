package moefile

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/accesslog"
	moeboot "mosn.io/moe/framework/bootstrap"
	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/framework/listener"
	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/udp"
	"mosn.io/moe/internal/bootstrap"
)

// lines is an access logger that is particular about its configuration.
type lines struct {
	To string `json:"to" validate:"required"`
}

func init() { accesslog.Register[lines]("lines") }

func (*lines) Log(accesslog.Entry) {}

func (l *lines) Validate() error {
	if l.To == "nowhere" {
		return errors.New("to: leads nowhere")
	}
	return nil
}

// plugins is the rest of a file that is good.
const plugins = "plugins: [{name: probe, config: {n: 1}}]\n"

// Access loggers are checked as plugins are, with places.
func TestAccessLoggers(t *testing.T) {
	for _, c := range []struct {
		name, text string
		host       Host
		want       []string
	}{
		{name: "good", text: plugins + "accessLoggers:\n- {name: lines, config: {to: a}}\n", host: Dynmod},
		{
			name: "everything wrong", host: Dynmod,
			text: plugins + "accessLoggers:\n- name: lins\n- name: lines\n- name: lines\n  config: {to: nowhere}\n- name: lines\n  config: {two: a}\n",
			want: []string{
				`moe.yaml:3:3: accessLoggers[0].name: "lins": unknown access logger; did you mean "lines"?`,
				`moe.yaml:4:3: accessLoggers[1].config.to: is required (lines)`,
				`moe.yaml:6:12: accessLoggers[2].config.to: leads nowhere (lines)`,
				`moe.yaml:8:12: accessLoggers[3].config.two: unknown field; did you mean "to"? (lines)`,
			},
		},
		{
			name: "a host that has none", text: plugins + "accessLoggers:\n- {name: lines, config: {to: a}}\n", host: Golang,
			want: []string{`moe.yaml:2:1: accessLoggers: they run in Envoys that load MoE as a dynamic module, and this is for the host golang`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Name: "moe.yaml", Host: c.host, Check: CheckPlugins}.Parse([]byte(c.text))
			if diff := cmp.Diff(c.want, messagesOf(err)); diff != "" {
				t.Errorf("the errors (-want +got):\n%s", diff)
			}
		})
	}
}

// lister is a bootstrap extension that is particular about its configuration.
type lister struct {
	File string `json:"file" validate:"required"`
}

func init() { moeboot.Register[lister]("lister") }

func (*lister) OnServerInitialized(context.Context, *moeboot.Server) error { return nil }

// Bootstrap extensions are checked likewise, and Envoy has them whatever the listeners are for.
func TestBootstrapExtensions(t *testing.T) {
	tcp := "listeners: [{name: a, address: ':1', tcp: {upstream: '127.0.0.1:2'}}]\n"
	for _, c := range []struct {
		name, text string
		host       Host
		want       []string
	}{
		{name: "good", text: plugins + "bootstrap:\n- {name: lister, config: {file: a}}\n", host: Dynmod},
		{name: "beside TCP", text: tcp + "bootstrap:\n- {name: lister, config: {file: a}}\n", host: Dynmod},
		{
			name: "everything wrong", host: Dynmod, text: plugins + "bootstrap:\n- name: liste\n- name: lister\n- name: lister\n  config: {fiel: a}\n",
			want: []string{
				`moe.yaml:3:3: bootstrap[0].name: "liste": unknown bootstrap extension; did you mean "lister"?`,
				`moe.yaml:4:3: bootstrap[1].config.file: is required (lister)`,
				`moe.yaml:6:12: bootstrap[2].config.fiel: unknown field; did you mean "file"? (lister)`,
			},
		},
		{
			name: "a host that has none", text: plugins + "bootstrap:\n- {name: lister, config: {file: a}}\n", host: Golang,
			want: []string{`moe.yaml:2:1: bootstrap: they run in Envoys that load MoE as a dynamic module, and this is for the host golang`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Loader{Name: "moe.yaml", Host: c.host, Check: CheckPlugins}.Parse([]byte(c.text))
			if diff := cmp.Diff(c.want, messagesOf(err)); diff != "" {
				t.Fatalf("the errors (-want +got):\n%s", diff)
			}
			if err != nil {
				return
			}
			if got := f.Bootstrap("127.0.0.1:0", "").Extensions; len(got) != 1 || got[0].Name != "lister" {
				t.Errorf("Envoy is to have the extensions %v, want lister", got)
			}
		})
	}
}

// pinned is a certificate validator that is particular about its configuration.
type pinned struct {
	Sum string `json:"sum" validate:"required"`
}

func init() { certvalidator.Register[pinned]("pinned") }

func (*pinned) Verify(certvalidator.Handshake) certvalidator.Verdict { return certvalidator.Accept() }

// Certificate validators are checked likewise, wherever they are.
func TestCertValidators(t *testing.T) {
	text := plugins + `listeners:
- {name: a, address: ":1", tls: {certificates: [{certificateChain: c, privateKey: k}], clientCertificates: {validator: {name: pined}}}}
upstreams:
- {name: u, endpoints: ["a.test:1"], tls: {validator: {name: pinned, config: {sun: x}}}}
upstream: u
`
	for _, c := range []struct {
		name string
		host Host
		want []string
	}{
		{name: "what is wrong", host: Dynmod, want: []string{
			`moe.yaml:3:121: listeners[0].tls.clientCertificates.validator.name: "pined": unknown certificate validator; did you mean "pinned"?`,
			`moe.yaml:5:79: upstreams[0].tls.validator.config.sun: unknown field; did you mean "sum"? (pinned)`,
		}},
		{name: "a host that has none", host: Golang, want: []string{
			`moe.yaml:3:109: listeners[0].tls.clientCertificates.validator: they run in Envoys that load MoE as a dynamic module, ` +
				`and this is for the host golang`,
			`moe.yaml:5:44: upstreams[0].tls.validator: they run in Envoys that load MoE as a dynamic module, ` +
				`and this is for the host golang`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Name: "moe.yaml", Host: c.host, Check: CheckPlugins}.Parse([]byte(text))
			if diff := cmp.Diff(c.want, messagesOf(err)); diff != "" {
				t.Errorf("the errors (-want +got):\n%s", diff)
			}
		})
	}
}

// What Envoy is given has them on every listener.
func TestAccessLoggersOfListeners(t *testing.T) {
	f, err := Loader{Host: Dynmod, Check: CheckPlugins}.Parse([]byte(
		plugins + "listeners:\n- {name: a, address: \":1\"}\n- {name: b, address: \":2\"}\naccessLoggers:\n- {name: lines, config: {to: x}}\n"))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	b, err := bootstrap.New(f.Bootstrap("127.0.0.1:0", "127.0.0.1:1"))
	if err != nil {
		t.Fatalf("bootstrap.New: %v", err)
	}
	text, err := bootstrap.YAML(b)
	if err != nil {
		t.Fatalf("bootstrap.YAML: %v", err)
	}
	if n := strings.Count(string(text), "logger_name: lines"); n != 2 {
		t.Errorf("the access logger stands %d times in the configuration, want 2:\n%s", n, text)
	}
}

// stones is a network filter that is particular about its configuration.
type stones struct {
	N int `json:"n" validate:"required"`
}

func init() { network.Register[stones]("stones") }

func (*stones) OnConnection(*network.Conn) network.Action { return network.Continue }

// Network filters are checked likewise, and a file of TCP alone needs no plugins and no upstream of HTTP.
func TestNetworkFilters(t *testing.T) {
	const nobody = "no listener takes HTTP: give the file one without tcp and udp, or leave this out"
	const tcp = "listeners:\n- name: tcp\n  address: ':1'\n  tcp: {upstream: '127.0.0.1:2'}\n"
	for _, c := range []struct {
		name, text string
		host       Host
		want       []string
	}{
		{name: "good", text: tcp + "  networkFilters: [{name: stones, config: {n: 1}}]\n", host: Dynmod},
		{name: "TCP alone", text: tcp, host: Dynmod},
		{
			name: "plugins for nobody", text: plugins + tcp, host: Dynmod,
			want: []string{`moe.yaml:1:1: plugins: no listener takes HTTP: give the file one without tcp and udp, or leave this out`},
		},
		{
			name: "a chain, routes and HTTP for nobody", host: Dynmod,
			text: tcp + "consumers: [{name: a}]\norder: listed\ntimeout: 1s\nroutes: [{match: {prefix: /a}}]\nhttp: {maxHeadersCount: 7}\n" +
				"trustedProxies: [10.0.0.0/8]\nenvoyFilters: [{name: envoy.filters.http.cors}]\n" +
				"accessLoggers: [{name: lines, config: {to: x}}]\n",
			want: []string{
				`moe.yaml:5:1: consumers: ` + nobody, `moe.yaml:6:1: order: ` + nobody, `moe.yaml:7:1: timeout: ` + nobody,
				`moe.yaml:8:1: routes: ` + nobody, `moe.yaml:9:1: http: ` + nobody,
				`moe.yaml:10:1: trustedProxies: ` + nobody, `moe.yaml:11:1: envoyFilters: ` + nobody,
				`moe.yaml:12:1: accessLoggers: ` + nobody,
			},
		},
		{
			name: "limits", host: Dynmod, text: tcp + "limits: {maxConnections: 7}\n",
		},
		{
			name: "everything wrong", host: Dynmod, text: tcp + "  networkFilters:\n  - name: stone\n  - name: stones\n",
			want: []string{
				`moe.yaml:6:5: listeners[0].networkFilters[0].name: "stone": unknown network filter; did you mean "stones"?`,
				`moe.yaml:7:5: listeners[0].networkFilters[1].config.n: is required and not 0 (stones)`,
			},
		},
		{
			name: "an upstream that is not there", host: Dynmod, text: strings.Replace(tcp, "127.0.0.1:2", "down", 1),
			want: []string{`moe.yaml:4:9: listeners[0].tcp.upstream: unknown upstream; there is none; give a name of upstreams, or an address such as HOST:PORT`},
		},
		{
			name: "a host that has none", host: Golang, text: tcp + "  networkFilters: [{name: stones, config: {n: 1}}]\n",
			want: []string{`moe.yaml:5:3: listeners[0].networkFilters: they run in Envoys that load MoE as a dynamic module, and this is for the host golang`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Name: "moe.yaml", Host: c.host, Check: CheckPlugins}.Parse([]byte(c.text))
			if diff := cmp.Diff(c.want, messagesOf(err)); diff != "" {
				t.Errorf("the errors (-want +got):\n%s", diff)
			}
		})
	}
}

// drops is a UDP filter that is particular about its configuration.
type drops struct {
	N int `json:"n" validate:"required"`
}

func init() { udp.Register[drops]("drops") }

func (*drops) OnDatagram(*udp.Datagram, []byte) udp.Action { return udp.Drop }

// UDP filters are checked likewise.
func TestUDPFilters(t *testing.T) {
	const dns = "listeners:\n- name: dns\n  address: ':1'\n  udp: {upstream: '127.0.0.1:2'}\n"
	for _, c := range []struct {
		name, text string
		host       Host
		want       []string
	}{
		{name: "good", text: dns + "  udpFilters: [{name: drops, config: {n: 1}}]\n", host: Dynmod},
		{name: "no upstream", text: strings.Replace(dns, "upstream: '127.0.0.1:2'", "", 1) + "  udpFilters: [{name: drops, config: {n: 1}}]\n", host: Dynmod},
		{
			name: "everything wrong", host: Dynmod, text: dns + "  udpFilters:\n  - name: drop\n  - name: drops\n",
			want: []string{
				`moe.yaml:6:5: listeners[0].udpFilters[0].name: "drop": unknown UDP filter; did you mean "drops"?`,
				`moe.yaml:7:5: listeners[0].udpFilters[1].config.n: is required and not 0 (drops)`,
			},
		},
		{
			name: "an upstream that is not there", host: Dynmod, text: strings.Replace(dns, "127.0.0.1:2", "down", 1),
			want: []string{`moe.yaml:4:9: listeners[0].udp.upstream: unknown upstream; there is none; give a name of upstreams, or an address such as HOST:PORT`},
		},
		{
			name: "plugins for nobody", host: Dynmod, text: plugins + dns,
			want: []string{`moe.yaml:1:1: plugins: no listener takes HTTP: give the file one without tcp and udp, or leave this out`},
		},
		{
			name: "a host that has none", host: Golang, text: dns + "  udpFilters: [{name: drops, config: {n: 1}}]\n",
			want: []string{`moe.yaml:5:3: listeners[0].udpFilters: they run in Envoys that load MoE as a dynamic module, and this is for the host golang`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Name: "moe.yaml", Host: c.host, Check: CheckPlugins}.Parse([]byte(c.text))
			if diff := cmp.Diff(c.want, messagesOf(err)); diff != "" {
				t.Errorf("the errors (-want +got):\n%s", diff)
			}
		})
	}
}

// pebbles is a listener filter that is particular about its configuration.
type pebbles struct {
	N int `json:"n" validate:"required"`
}

func init() { listener.Register[pebbles]("pebbles") }

func (*pebbles) OnAccept(*listener.Socket) listener.Action { return listener.Continue }

// Listener filters are checked likewise.
func TestListenerFilters(t *testing.T) {
	const tcp = "listeners:\n- name: tcp\n  address: ':1'\n  tcp: {upstream: '127.0.0.1:2'}\n"
	for _, c := range []struct {
		name, text string
		host       Host
		want       []string
	}{
		{name: "good", text: tcp + "  listenerFilters: [{name: pebbles, config: {n: 1}}]\n", host: Dynmod},
		{
			name: "everything wrong", host: Dynmod, text: tcp + "  listenerFilters:\n  - name: pebble\n  - name: pebbles\n",
			want: []string{
				`moe.yaml:6:5: listeners[0].listenerFilters[0].name: "pebble": unknown listener filter; did you mean "pebbles"?`,
				`moe.yaml:7:5: listeners[0].listenerFilters[1].config.n: is required and not 0 (pebbles)`,
			},
		},
		{
			name: "a host that has none", host: Golang, text: tcp + "  listenerFilters: [{name: pebbles, config: {n: 1}}]\n",
			want: []string{`moe.yaml:5:3: listeners[0].listenerFilters: they run in Envoys that load MoE as a dynamic module, and this is for the host golang`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Name: "moe.yaml", Host: c.host, Check: CheckPlugins}.Parse([]byte(c.text))
			if diff := cmp.Diff(c.want, messagesOf(err)); diff != "" {
				t.Errorf("the errors (-want +got):\n%s", diff)
			}
		})
	}
}

// NeedsServerName is network.ServerNamer's.
func (s *stones) NeedsServerName() bool { return s.N == 7 }

// SetsServerName is listener.ServerNamer's.
func (p *pebbles) SetsServerName() bool { return p.N == 7 }

// A network filter that needs the server name is refused where nobody looks for it.
func TestServerNames(t *testing.T) {
	const head = "listeners:\n- name: tcp\n  address: ':1'\n  networkFilters: [{name: stones, config: {n: 7}}]\n"
	const tcp = "  tcp: {upstream: '127.0.0.1:2'}\n"
	refused := []string{"moe.yaml:4:21: listeners[0].networkFilters[0].name: stones needs the server name that the client's TLS asks " +
		"for, and nobody looks for it on this listener; add serverNames: true to its tcp, or the listener filter clienthello"}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{name: "nobody", text: head + tcp, want: refused},
		{name: "a filter that does not", text: head + tcp + "  listenerFilters: [{name: pebbles, config: {n: 1}}]\n", want: refused},
		{name: "a listener filter", text: head + tcp + "  listenerFilters: [{name: pebbles, config: {n: 7}}]\n"},
		{name: "the TLS inspector", text: head + "  tcp: {upstream: '127.0.0.1:2', serverNames: true}\n"},
		{name: "it is not needed", text: strings.Replace(head, "7", "1", 1) + tcp},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Name: "moe.yaml", Host: Dynmod, Check: CheckPlugins}.Parse([]byte(c.text))
			if diff := cmp.Diff(c.want, messagesOf(err)); diff != "" {
				t.Errorf("the errors (-want +got):\n%s", diff)
			}
		})
	}
}
