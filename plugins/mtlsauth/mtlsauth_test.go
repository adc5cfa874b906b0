package mtlsauth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

const (
	digestOfWeb   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestOfProxy = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	proxyURI      = "spiffe://mesh/gateway"
)

func consumer(name string, credential map[string]any) *filter.Consumer {
	return &filter.Consumer{Name: name, Credentials: map[string]map[string]any{"mtlsauth": credential}}
}

func everybody() []*filter.Consumer {
	return []*filter.Consumer{
		consumer("digest", map[string]any{"sha256": strings.ToUpper(digestOfWeb)}),
		consumer("uri", map[string]any{"uri": "spiffe://mesh/web"}),
		consumer("dns", map[string]any{"certificates": []any{map[string]any{"dns": "a.example"}, map[string]any{"dns": "b.example"}}}),
		consumer("subject", map[string]any{"subject": "CN=web,O=Example"}),
		consumer("both", map[string]any{"uri": "spiffe://mesh/strict", "subject": "CN=strict"}),
	}
}

func load(t *testing.T, config string) *filtertest.Host {
	t.Helper()
	h := &filtertest.Host{Consumers: everybody(), ConsumerHeader: "x-who"}
	if err := h.Load(t, filtertest.Config{Name: "mtlsauth", JSON: config}); err != nil {
		t.Fatalf("loading mtlsauth: %v", err)
	}
	return h
}

// shows has the connections of h show a certificate.
func shows(h *filtertest.Host, c certificate) {
	h.Attrs = map[filter.Attr]string{filter.AttrPeerSubject: c.subject, filter.AttrPeerDigest: c.digest}
	if len(c.uris) > 0 {
		h.Attrs[filter.AttrPeerURISAN] = c.uris[0]
	}
	if len(c.dns) > 0 {
		h.Attrs[filter.AttrPeerDNSSAN] = c.dns[0]
	}
}

// outcome is the consumer of a request that passes, or the reason why it does not.
func outcome(r *filtertest.Response) string {
	if r.Upstream != nil {
		return r.Upstream.Header.Get("x-who")
	}
	return fmt.Sprint(r.Status, " ", strings.TrimPrefix(r.Details, "moe.mtlsauth."))
}

func TestConnection(t *testing.T) {
	for _, c := range []struct {
		name, config, want string
		shown              certificate
	}{
		{name: "no certificate", want: "401 missing"},
		{name: "a digest", shown: certificate{digest: digestOfWeb, subject: "CN=x"}, want: "digest"},
		{name: "a URI", shown: certificate{uris: []string{"spiffe://mesh/web"}, subject: "CN=x"}, want: "uri"},
		{name: "a DNS name", shown: certificate{dns: []string{"b.example"}}, want: "dns"},
		{name: "a subject", shown: certificate{subject: "CN=web,O=Example"}, want: "subject"},
		{name: "nobody's", shown: certificate{subject: "CN=web,O=Evil", digest: digestOfProxy}, want: "401 unknown"},
		{name: "a subject in another order", shown: certificate{subject: "O=Example,CN=web"}, want: "401 unknown"},
		{
			name: "that of two consumers", want: "401 ambiguous",
			shown: certificate{digest: digestOfWeb, uris: []string{"spiffe://mesh/web"}},
		},
		{
			name: "a URI without the subject that it needs", want: "401 unknown",
			shown: certificate{uris: []string{"spiffe://mesh/strict"}, subject: "CN=other"},
		},
		{
			name: "a URI with the subject that it needs", want: "both",
			shown: certificate{uris: []string{"spiffe://mesh/strict"}, subject: "CN=strict"},
		},
		{name: "nobody's, left to others", config: `{"unknownIsMissing": true}`, shown: certificate{subject: "CN=x"}, want: "401 missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, c.config)
			shows(h, c.shown)
			// Without forwarded, the header is nothing to the plugin.
			r := h.Get("/", header, `Hash=`+digestOfWeb, "x-who", "forged")
			if got := outcome(r); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if r.Upstream != nil && r.Upstream.Header.Get(header) == "" {
				t.Error("the header is removed, want it to stay")
			}
		})
	}
}

func TestForwarded(t *testing.T) {
	const config = `{"forwarded": {"peers": [{"uri": "` + proxyURI + `"}]}}`
	proxy := certificate{uris: []string{proxyURI}, digest: digestOfProxy}
	web := `By=spiffe://mesh/gateway;Hash=` + digestOfWeb + `;Subject="CN=x,O=\"y\""`
	for _, c := range []struct {
		name, want string
		peer       certificate
		header     []string
	}{
		{name: "of an ordinary client", peer: certificate{subject: "CN=web,O=Example"}, header: []string{web}, want: "subject"},
		{name: "of a client without a certificate", header: []string{web}, want: "401 missing"},
		{name: "of a proxy", peer: proxy, header: []string{web}, want: "digest"},
		{name: "of a proxy without one", peer: proxy, want: "401 unknown"},
		{name: "the last counts", peer: proxy, header: []string{`URI=spiffe://mesh/web`, web}, want: "digest"},
		{name: "the last counts, in one value", peer: proxy, header: []string{web + `,URI=spiffe://mesh/web`}, want: "uri"},
		{
			name: "with an element of this Envoy's own", peer: proxy, want: "digest",
			header: []string{web + `,By=spiffe://me;Hash=` + digestOfProxy + `;URI=` + proxyURI},
		},
		{name: "several names", peer: proxy, header: []string{`DNS=x.example;DNS=a.example;URI=`}, want: "dns"},
		{
			name: "of a proxy whose digest is not known", peer: certificate{uris: []string{proxyURI}}, header: []string{web},
			want: "500 undecidable",
		},
		{name: "malformed", peer: proxy, header: []string{`Subject="CN=web`}, want: "401 malformed"},
		{name: "an element without anything", peer: proxy, header: []string{`By=spiffe://mesh/gateway`}, want: "401 malformed"},
		{name: "nobody's", peer: proxy, header: []string{`Hash=` + strings.Repeat("c", 64)}, want: "401 unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, config)
			shows(h, c.peer)
			var fields []string
			for _, v := range c.header {
				fields = append(fields, header, v)
			}
			r := h.Get("/", fields...)
			if got := outcome(r); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if r.Upstream != nil && c.want == "subject" && r.Upstream.Header.Get(header) != "" {
				t.Error("the header of an ordinary client goes on to the upstream")
			}
		})
	}
}

// passer lets requests pass that have x-pass.
type passer struct{}

func init() {
	filter.Register[passer]("mtlsauth-passer", filter.Authn, filter.WithCredential[struct{}]())
}

func (*passer) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if !h.Has("x-pass") {
		return filter.Unauthenticated(filter.Reply(401, ""))
	}
	return filter.Continue
}

// TestForwardedIsOwned: where another plugin has let a client pass, its header does not reach the upstream.
func TestForwardedIsOwned(t *testing.T) {
	const forwarded = `{"forwarded": {"peers": [{"uri": "` + proxyURI + `"}]}}`
	for _, c := range []struct {
		name, config string
		header       []string
		want         string // what the upstream sees of the header
	}{
		{name: "another plugin passes it", config: forwarded, header: []string{"x-pass", "1"}},
		{name: "without forwarded, it is Envoy's", header: []string{"x-pass", "1"}, want: "URI=spiffe://mesh/web"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{Consumers: everybody(), AnyScheme: true}
			if err := h.Load(t, filtertest.Config{Name: "mtlsauth-passer"}, filtertest.Config{Name: "mtlsauth", JSON: c.config}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			r := h.Get("/", append(c.header, header, "URI=spiffe://mesh/web")...)
			if r.Upstream == nil {
				t.Fatalf("got %d %s, want the request to pass", r.Status, r.Details)
			}
			if got := r.Upstream.Header.Get(header); got != c.want {
				t.Errorf("the upstream sees %q, want %q", got, c.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []*certificate // nil: an error
	}{
		{name: "one", text: `Hash=` + digestOfWeb, want: []*certificate{{digest: digestOfWeb}}},
		{
			name: "quotes", text: `Subject="/C=US/CN=\"a\\b\",;=";URI="a,b"`,
			want: []*certificate{{subject: `/C=US/CN=\"a\\b\",;=`, uris: []string{"a,b"}}},
		},
		{
			name: "a backslash before the end of a subject", text: `Subject="CN=a\\";URI=b`,
			want: []*certificate{{subject: `CN=a\\`, uris: []string{"b"}}},
		},
		{name: "spaces", text: `DNS=a ; URI=b , DNS=c`, want: []*certificate{{dns: []string{"a"}, uris: []string{"b"}}, {dns: []string{"c"}}}},
		{name: "any case", text: `uri=a;SUBJECT="b"`, want: []*certificate{{uris: []string{"a"}, subject: "b"}}},
		{name: "others", text: `By=a;Cert="b";Chain=c`, want: []*certificate{{}}},
		{name: "nothing", text: ``},
		{name: "no value", text: `Hash`},
		{name: "a digest that is short", text: `Hash=ab`},
		{name: "two digests", text: `Hash=` + digestOfWeb + `;Hash=` + digestOfWeb},
		{name: "two subjects", text: `Subject=a;Subject=b`},
		{name: "an unknown key", text: `URI=a;Admin=b`},
		{name: "a quote inside", text: `URI=a"b`},
		{name: "a text after the quotes", text: `URI="a"b`},
		{name: "an open quote", text: `URI="a\"`},
		{name: "a comma at the end", text: `URI=a,`},
		{name: "a semicolon at the end", text: `URI=a;`},
		{name: "too many", text: strings.Repeat(`URI=a,`, 40) + `URI=a`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.text)
			if (err != nil) != (c.want == nil) {
				t.Fatalf("got error %v, want one: %v", err, c.want == nil)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(certificate{})); err == nil && diff != "" {
				t.Errorf("parse (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParse: what is read of a value is read again from the value written anew.
func FuzzParse(f *testing.F) {
	f.Add(`By=a;Hash=` + digestOfWeb + `;Subject="/CN=\"a\"";URI=spiffe://a/b;DNS=c,URI="d,e"`)
	f.Add(`Subject="a\\\"b";URI=,DNS=`)
	quote := func(v string) string { // only what was in quotes needs them
		if strings.ContainsAny(v, `,;"`) || strings.Trim(v, " \t") != v {
			return `"` + v + `"`
		}
		return v
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parse(text)
		if err != nil {
			return
		}
		var elements []string
		for _, c := range list {
			pairs := []string{"By=x"}
			if c.digest != "" {
				pairs = append(pairs, "Hash="+c.digest)
			}
			if c.subject != "" {
				pairs = append(pairs, "Subject="+quote(c.subject))
			}
			for _, v := range c.uris {
				pairs = append(pairs, "URI="+quote(v))
			}
			for _, v := range c.dns {
				pairs = append(pairs, "DNS="+quote(v))
			}
			elements = append(elements, strings.Join(pairs, ";"))
		}
		again, err := parse(strings.Join(elements, ","))
		if err != nil {
			if len(text) > maxValue/4 {
				return // quoting made it too long
			}
			t.Fatalf("%q is read, and written anew as %q it is not: %v", text, elements, err)
		}
		if diff := cmp.Diff(list, again, cmp.AllowUnexported(certificate{})); diff != "" {
			t.Fatalf("%q, and written anew (-want +got):\n%s", text, diff)
		}
	})
}

func TestConfiguration(t *testing.T) {
	for _, c := range []struct {
		name, config, want string
		consumers          []*filter.Consumer
	}{
		{name: "no peers", config: `{"forwarded": {}}`, want: "forwarded.peers"},
		{name: "a peer that is anybody", config: `{"forwarded": {"peers": [{}]}}`, want: "forwarded.peers[0]: must have uri"},
		{name: "a digest that is short", config: `{"forwarded": {"peers": [{"sha256": "ab"}]}}`, want: "sha256: must be 64"},
		{name: "a consumer that is anybody", want: "must have uri", consumers: []*filter.Consumer{consumer("a", map[string]any{})}},
		{
			name: "two consumers with one certificate", want: "a", consumers: []*filter.Consumer{
				consumer("a", map[string]any{"sha256": digestOfWeb}),
				consumer("b", map[string]any{"sha256": strings.ToUpper(digestOfWeb)}),
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&filtertest.Host{Consumers: c.consumers}).Load(t, filtertest.Config{Name: "mtlsauth", JSON: c.config})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
