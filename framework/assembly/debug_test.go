package assembly

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

func TestDebugErrors(t *testing.T) {
	a, _ := fixture(t)
	t.Setenv("DEBUG_SHORT", "only 15 of hush")
	t.Setenv("DEBUG_KEY", "0123456789abcdef")
	for _, c := range []struct{ name, debug, want string }{
		{name: "nothing at all", debug: `{}`, want: `debug: shows nothing; set record, slow or serverTiming`},
		{name: "nobody", debug: `{record: true}`, want: `debug.when: chooses no request; set token, header or sample`},
		{
			name: "no client may see it", debug: `{serverTiming: true, when: {sample: 1}}`,
			want: `debug.serverTiming: is for clients who may ask; set when.token or when.header`,
		},
		{
			name: "more than all", debug: `{record: true, when: {sample: 1.5}}`,
			want: `debug.when.sample: expected a share from 0 to 1; 0.01 is one of a hundred requests`,
		},
		{name: "a time in the past", debug: `{slow: -1s}`, want: `debug.slow: expected a duration above 0`},
		{name: "no key", debug: `{record: true, when: {token: {}}}`, want: `debug.when.token.key: is required: the secret that tokens are signed with, as {env: NAME} or {file: PATH}`},
		{
			name: "two keys", debug: `{record: true, when: {token: {key: {env: DEBUG_KEY, file: /key}}}}`,
			want: `debug.when.token.key: expected a secret: {env: NAME}, {file: PATH} or a string, got an object with 2 fields`,
		},
		{
			name: "a short key in the document", debug: `{record: true, when: {token: {key: hush}}}`,
			want: "debug.when.token.key: expected a secret of 16 bytes at least, got one of 4; `openssl rand -hex 32` makes one",
		},
		{
			name: "no such variable", debug: `{record: true, when: {token: {key: {env: DEBUG_NONE}}}}`,
			want: `debug.when.token.key: environment variable DEBUG_NONE is not set; set it where Envoy is started`,
		},
		{
			name: "a short key", debug: `{record: true, when: {token: {key: {env: DEBUG_SHORT}}}}`,
			want: "debug.when.token.key: expected a secret of 16 bytes at least, got one of 15; `openssl rand -hex 32` makes one",
		},
		{
			name: "no header", debug: `{record: true, when: {token: {header: "a b", key: {env: DEBUG_KEY}}}}`,
			want: `debug.when.token.header: expected the name of a header`,
		},
		{
			name: "anybody's header", debug: `{record: true, when: {header: {name: x-show}}}`,
			want: `debug.when.header.networks: is required; list the networks that may ask, such as 10.0.0.0/8`,
		},
		{
			name: "a pseudo-header", debug: `{record: true, when: {header: {name: ":path", networks: [10.0.0.0/8]}}}`,
			want: `debug.when.header.name: expected the name of a header`,
		},
		{
			name: "no network", debug: `{record: true, when: {header: {name: x-show, networks: [intranet]}}}`,
			want: `debug.when.header.networks[0]: expected a CIDR such as "10.0.0.0/8", got another string`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := a.Filter(ChainName, doc(t, `{plugins: [{name: own}], debug: `+c.debug+`}`))
			if err == nil || err.Error() != c.want {
				t.Errorf("a filter's: got error %v, want %s", err, c.want)
			}
			err = ValidateRoute(ChainName, doc(t, `plugins: [{name: own}]`), doc(t, `debug: `+c.debug), host1)
			if err == nil || err.Error() != c.want {
				t.Errorf("a route's: got error %v, want %s", err, c.want)
			}
		})
	}
}

// nowhere is a host without routes.
type nowhere struct{ quietHost }

func (nowhere) Attribute(string) (string, error) { return "", core.ErrUnsupported }

// debugged runs a request, and returns the records in the log.
func debugged(t *testing.T, a *Assembler, h *host, f *Filter, r *Route, token string) string {
	t.Helper()
	before := h.text()
	c, err := f.Chain(r)
	if err != nil {
		t.Fatalf("f.Chain: %v", err)
	}
	st := c.Start(nowhere{}, &countingSink{})
	b := &st.H[core.RequestHeaders]
	b.Fields, b.Present = append(b.Fields, core.Field{Name: "x-moe-debug", Value: token}), true
	st.Headers(core.Request, true)
	st.Done()
	return strings.TrimPrefix(h.text(), before)
}

// The key in a file, and what a route says in place of the filter, decide about each chain.
func TestDebug(t *testing.T) {
	a, h := fixture(t)
	file := filepath.Join(t.TempDir(), "key")
	write := func(key string) {
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	const first, second = "the first of two keys", "the second of two keys"
	token := func(key string) string { return debugview.Sign(key, time.Now().Add(time.Minute)) }
	write(first)
	text := `{plugins: [{name: limit, config: {rate: 1}}], debug: {record: true, when: {token: {key: {file: ` + file + `}}}}}`
	f := mustFilter(t, a, text)
	defer f.Close()
	write(second)
	again := mustFilter(t, a, text)
	defer again.Close()
	quiet := mustRoute(t, a, `debug: {slow: 1h}`)
	defer quiet.Close()
	if got := debugged(t, a, h, f, nil, token(first)); !strings.Contains(got, `limit`) {
		t.Errorf("the first key: the log has %q, want a record of limit", got)
	}
	if got := debugged(t, a, h, f, nil, token(second)); got != "" {
		t.Errorf("the second key, before it is read: the log has %q, want nothing", got)
	}
	if got := debugged(t, a, h, again, nil, token(second)); !strings.Contains(got, `limit`) {
		t.Errorf("the second key, in the configuration that is pushed again: the log has %q, want a record of limit", got)
	}
	if got := debugged(t, a, h, f, quiet, token(first)); got != "" {
		t.Errorf("a route that shows slow requests alone: the log has %q, want nothing", got)
	}
	if pluginOf[limit](t, f, nil, 0) != pluginOf[limit](t, again, nil, 0) {
		t.Error("another key for the debug view makes the plugins anew")
	}
}

// A chain with a debug view sees the headers of both directions and the end, whatever its plugins want; any other chain
// does not, and neither do other consumers' chains.
func TestDebugWants(t *testing.T) {
	a, _ := fixture(t)
	const plugins = `plugins: [{name: key}, {name: limit, config: {rate: 1}}], consumers: [
		{name: alice, credentials: {key: {key: a}}, plugins: [{id: limit, config: {rate: 2}}]}]`
	const seen = phase.RequestHeaders | phase.ResponseHeaders | phase.Complete
	off := mustFilter(t, a, `{`+plugins+`}`)
	defer off.Close()
	on := mustFilter(t, a, `{debug: {slow: 1s}, `+plugins+`}`)
	defer on.Close()
	for _, c := range []struct {
		name string
		f    *Filter
		want phase.Messages
	}{{name: "off", f: off, want: phase.RequestHeaders}, {name: "on", f: on, want: seen}} {
		t.Run(c.name, func(t *testing.T) {
			chains := c.f.Chains(nil)
			if len(chains) != 2 {
				t.Fatalf("got %d chains, want the filter's and alice's", len(chains))
			}
			for i, ch := range chains {
				if got := ch.Wants(); got != c.want {
					t.Errorf("chain %d wants %b, want %b", i, got, c.want)
				}
			}
		})
	}
}
