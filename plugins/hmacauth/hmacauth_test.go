package hmacauth

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// The secret and the messages of RFC 9421, appendix B, and of AWS's test suite for signature version 4.
const (
	rfcSecret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
	rfcTime   = 1618884473
	awsSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

func consumer(name string, cred map[string]any) *filter.Consumer {
	return &filter.Consumer{Name: name, Credentials: map[string]map[string]any{"hmacauth": cred}}
}

func consumers() []*filter.Consumer {
	return []*filter.Consumer{
		consumer("rfc", map[string]any{"accessKey": "test-shared-secret", "secret": rfcSecret, "encoding": "base64"}),
		consumer("aws", map[string]any{"accessKey": "AKIDEXAMPLE", "secret": awsSecret}),
		consumer("tom", map[string]any{"accessKey": "tom", "secret": "s3cret"}),
	}
}

func at(seconds int64) func() time.Time { return func() time.Time { return time.Unix(seconds, 0) } }

func plugin(now func() time.Time) *HMACAuth {
	return &HMACAuth{
		Schemes: []string{"rfc9421", "aws4"}, MaxSkew: time.Minute, ReplayCache: 1000, Realm: "moe", now: now,
		Required: []string{"@method", "@authority", "@path", "@query"},
	}
}

func load(t testing.TB, p *HMACAuth) *filtertest.Host {
	t.Helper()
	h := &filtertest.Host{Consumers: consumers(), ConsumerHeader: "x-who"}
	if err := h.Load(t, p); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	return h
}

func newReq(method, host, path, body string, header ...string) *http.Request {
	r := filtertest.NewRequest(method, path, body, header...)
	r.Host = host
	return r
}

func TestRFC9421(t *testing.T) {
	p := plugin(at(rfcTime + 30))
	p.Required, p.UnsignedBody = []string{"@authority"}, true
	h := load(t, p)
	r := h.Do(newReq("POST", "example.com", "/foo?param=Value&Pet=dog", `{"hello": "world"}`,
		"date", "Tue, 20 Apr 2021 02:07:55 GMT", "content-type", "application/json",
		"signature-input", `sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
		"signature", `sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:`))
	if r.Status != 200 || r.Upstream.Header.Get("x-who") != "rfc" {
		t.Fatalf("r.Status = %d, want 200; r.Upstream.Header.Get(\"x-who\") = %q, want %q: %s\n%s",
			r.Status, r.Upstream.Header.Get("x-who"), "rfc", r.Details, h.Log())
	}
	if r.Upstream.Header.Get("signature") != "" || r.Upstream.Header.Get("signature-input") != "" {
		t.Error("the upstream sees the signature")
	}
}

func TestAWS4(t *testing.T) {
	day := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	const credential = awsScheme + " Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
	for _, c := range []struct {
		name, method, path, signature string
		header                        []string
	}{
		{
			name: "get-vanilla", method: "GET", path: "/",
			signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
		},
		{
			name: "post-vanilla", method: "POST", path: "/",
			signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
		},
		{
			name: "get-vanilla-query-order-key-case", method: "GET", path: "/?Param2=value2&Param1=value1",
			signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plugin(func() time.Time { return day.Add(20 * time.Second) })
			p.Region, p.Service = "us-east-1", "service"
			h := load(t, p)
			send := func(signature string) *filtertest.Response {
				return h.Do(newReq(c.method, "example.amazonaws.com", c.path, "", "x-amz-date", "20150830T123600Z",
					"authorization", credential+"SignedHeaders=host;x-amz-date, Signature="+signature))
			}
			if r := send(c.signature); r.Status != 200 || r.Upstream.Header.Get("x-who") != "aws" {
				t.Errorf(`%s: r.Status = %d, want 200; r.Upstream.Header.Get("x-who") = %q, want %q: %s`,
					c.name, r.Status, r.Upstream.Header.Get("x-who"), "aws", r.Details)
			}
			if r := send(c.signature); r.Status != 401 || r.Details != "moe.hmacauth.replayed" {
				t.Errorf("%s: again: %d %s", c.name, r.Status, r.Details)
			}
			if r := send(strings.Repeat("0", 64)); r.Status != 401 || r.Details != "moe.hmacauth.wrong" {
				t.Errorf("%s: wrong: %d %s", c.name, r.Status, r.Details)
			}
		})
	}
}

// sign makes a signature by RFC 9421 as a client would.
func sign(r *http.Request, secret, covered, params string) {
	var b strings.Builder
	for _, c := range strings.Fields(covered) {
		v := r.Header.Get(c)
		switch c {
		case "@method":
			v = r.Method
		case "@authority":
			v = r.Host
		case "@path":
			v = r.URL.EscapedPath()
		case "@query":
			v = "?" + r.URL.RawQuery
		case "@target-uri":
			v = "http://" + r.Host + r.URL.RequestURI()
		case "@request-target":
			v = r.URL.RequestURI()
		case "@scheme":
			v = "http"
		}
		fmt.Fprintf(&b, "%q: %s\n", c, v)
	}
	quoted := ""
	for i, c := range strings.Fields(covered) {
		if i > 0 {
			quoted += " "
		}
		quoted += `"` + c + `"`
	}
	input := "(" + quoted + ")" + params
	b.WriteString(`"@signature-params": ` + input)
	r.Header.Set("signature-input", "s="+input)
	r.Header.Set("signature", "s=:"+base64.StdEncoding.EncodeToString(mac([]byte(secret), b.String()))+":")
}

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

const line = "@method @authority @path @query"

func TestSignatures(t *testing.T) {
	const now = 1_700_000_000
	created := func(d int64) string { return fmt.Sprintf(`;created=%d;keyid="tom"`, now+d) }
	for _, c := range []struct {
		name, covered, params string
		change                func(r *http.Request)
		body                  string
		want                  string // "" passes
	}{
		{name: "right", covered: line, params: created(0)},
		{name: "a little late", covered: line, params: created(-60)},
		{name: "a little early", covered: line, params: created(60)},
		{
			name: "more parameters", covered: line,
			params: created(0) + `;alg="hmac-sha256";nonce="x\"y";tag="app";expires=1700000001`,
		},
		{name: "target-uri", covered: "@method @target-uri", params: created(0)},
		{name: "request-target", covered: "@method @authority @request-target @scheme", params: created(0)},
		{name: "a header", covered: line + " x-more", params: created(0)},
		{name: "a body", covered: line + " content-digest", params: created(0), body: "hello"},

		{name: "late", covered: line, params: created(-61), want: "skewed"},
		{name: "early", covered: line, params: created(61), want: "skewed"},
		{name: "created in milliseconds", covered: line, params: `;created=1700000000000;keyid="tom"`, want: "skewed"},
		{name: "created 292 years ahead", covered: line, params: created(293 * 365 * 86400), want: "skewed"},
		{
			name: "created as late as can be written", covered: line, params: `;created=999999999999999;keyid="tom"`,
			want: "skewed",
		},
		{name: "created in 1970", covered: line, params: `;created=0;keyid="tom"`, want: "skewed"},
		{name: "expires as late as can be written", covered: line, params: created(0) + ";expires=999999999999999"},
		{name: "expired", covered: line, params: created(0) + ";expires=1700000000", want: "expired"},
		{name: "without a time", covered: line, params: `;keyid="tom"`, want: "malformed"},
		{name: "without a key", covered: line, params: ";created=1700000000", want: "malformed"},
		{name: "a time that is a text", covered: line, params: `;created="1700000000";keyid="tom"`, want: "malformed"},
		{name: "nobody's", covered: line, params: `;created=1700000000;keyid="zoe"`, want: "unknown"},
		{name: "another algorithm", covered: line, params: created(0) + `;alg="rsa-pss-sha512"`, want: "algorithm"},
		{
			name: "another method", covered: line, params: created(0), change: func(r *http.Request) { r.Method = "DELETE" },
			want: "wrong",
		},
		{
			name: "another host", covered: line, params: created(0), change: func(r *http.Request) { r.Host = "evil.example" },
			want: "wrong",
		},
		{
			name: "another path", covered: line, params: created(0), change: func(r *http.Request) { r.URL.Path = "/b" },
			want: "wrong",
		},
		{
			name: "another query", covered: line, params: created(0), change: func(r *http.Request) { r.URL.RawQuery = "x=2" },
			want: "wrong",
		},
		{
			name: "another header", covered: line + " x-more", params: created(0),
			change: func(r *http.Request) { r.Header.Set("x-more", "2") }, want: "wrong",
		},
		{
			name: "no header", covered: line + " x-more", params: created(0),
			change: func(r *http.Request) { r.Header.Del("x-more") }, want: "incomplete",
		},
		{name: "without the method", covered: "@authority @path @query", params: created(0), want: "incomplete"},
		{name: "without the query", covered: "@method @authority @path", params: created(0), want: "incomplete"},
		{name: "twice", covered: line + " @method", params: created(0), want: "incomplete"},
		{name: "what is not known", covered: line + " @status", params: created(0), want: "incomplete"},
		{name: "a body that is not signed", covered: line, params: created(0), body: "hello", want: "incomplete"},
		{name: "another body", covered: line + " content-digest", params: created(0), change: func(r *http.Request) {
			r.Header.Set("x-digest", "keep")
			r.Body = http.NoBody
			r.Body = newReq("POST", "h", "/", "hellO").Body
		}, body: "hello", want: "digest"},
		{
			name: "a malformed digest", covered: line + " content-digest", params: created(0), change: func(r *http.Request) {},
			body: "bad", want: "digest",
		},
		{name: "two signatures", covered: line, params: created(0), change: func(r *http.Request) {
			r.Header.Add("signature-input", r.Header.Get("signature-input")[0:0]+`t=();created=1;keyid="tom"`)
		}, want: "ambiguous"},
		{name: "one label twice", covered: line, params: created(0), change: func(r *http.Request) {
			r.Header.Add("signature-input", r.Header.Get("signature-input"))
		}, want: "malformed"},
		{
			name: "input alone", covered: line, params: created(0), change: func(r *http.Request) { r.Header.Del("signature") },
			want: "malformed",
		},
		{
			name: "signature alone", covered: line, params: created(0),
			change: func(r *http.Request) { r.Header.Del("signature-input") }, want: "malformed",
		},
		{
			name: "empty", covered: line, params: created(0),
			change: func(r *http.Request) { r.Header.Set("signature-input", "") }, want: "malformed",
		},
		{name: "long", covered: line, params: created(0), change: func(r *http.Request) {
			r.Header.Set("signature-input", "s=("+strings.Repeat(`"a" `, 1<<18)+")")
		}, want: "malformed"},
		{
			name: "no UTF-8", covered: line, params: created(0),
			change: func(r *http.Request) { r.Header.Set("signature", "s=:\xff\xfe:") }, want: "malformed",
		},
		{name: "with another scheme", covered: line, params: created(0), change: func(r *http.Request) {
			r.Header.Set("authorization", awsScheme+" Credential=x")
		}, want: "ambiguous"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, plugin(at(now)))
			method := "GET"
			if c.body != "" {
				method = "POST"
			}
			r := newReq(method, "example.com", "/a?x=1", c.body, "x-more", "1")
			switch c.body {
			case "":
			case "bad":
				r.Header.Set("content-digest", "md5=:AAAA:")
			default:
				r.Header.Set("content-digest", digest(c.body))
			}
			sign(r, "s3cret", c.covered, c.params)
			if c.change != nil {
				c.change(r)
			}
			got := h.Do(r)
			if c.want == "" {
				if got.Status != 200 || got.Upstream.Header.Get("x-who") != "tom" {
					t.Errorf(`got.Status = %d, want 200; got.Upstream.Header.Get("x-who") = %q, want %q: %s`,
						got.Status, got.Upstream.Header.Get("x-who"), "tom", got.Details)
				}
				return
			}
			if got.Status != 401 || got.Details != "moe.hmacauth."+c.want || got.Upstream != nil {
				t.Errorf("%d %s, want %s", got.Status, got.Details, c.want)
			}
			if log := h.Log(); strings.Contains(log, "s3cret") || !strings.Contains(log, "unauthorized") {
				t.Error("the log:", log)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	h := load(t, plugin(time.Now))
	for _, header := range [][]string{nil, {"authorization", "Bearer x"}, {"authorization", "Basic x"}, {"authorization", ""}} {
		t.Run(fmt.Sprint(header), func(t *testing.T) {
			if r := h.Get("/", header...); r.Status != 401 || r.Details != "moe.hmacauth.missing" ||
				r.Header.Get("www-authenticate") != `Signature realm="moe"` {
				t.Errorf("%v: got %d %s, want 401 moe.hmacauth.missing with a challenge", header, r.Status, r.Details)
			}
		})
	}
}

// signAWS signs as an SDK would; hash is what it says of the body, "" for nothing.
func signAWS(t *testing.T, r *http.Request, p *HMACAuth, day time.Time, body, hash string) {
	t.Helper()
	r.Header.Set("x-amz-date", day.Format(awsTime))
	names := "host;x-amz-date"
	if hash != "" {
		r.Header.Set("x-amz-content-sha256", hash)
		names = "host;x-amz-content-sha256;x-amz-date"
	} else {
		hash = hashOf([]byte(body))
	}
	text := r.Method + "\n" + r.URL.EscapedPath() + "\n\nhost:" + r.Host + "\n"
	if strings.Contains(names, "sha256") {
		text += "x-amz-content-sha256:" + hash + "\n"
	}
	text += "x-amz-date:" + day.Format(awsTime) + "\n\n" + names + "\n" + hash
	scopeText := day.Format("20060102") + "/eu-1/orders/aws4_request"
	base := awsScheme + "\n" + day.Format(awsTime) + "\n" + scopeText + "\n" + hashOf([]byte(text))
	key := (&scope{date: day.Format("20060102"), region: "eu-1", service: "orders"}).signingKey("s3cret")
	r.Header.Set("authorization", fmt.Sprintf("%s Credential=tom/%s, SignedHeaders=%s, Signature=%x", awsScheme, scopeText,
		names, mac(key, base)))
}

func TestAWS4Bodies(t *testing.T) {
	day := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name, body, signed, hash string
		unsigned                 bool
		now                      time.Duration
		want                     string
	}{
		{name: "no body"},
		{name: "body, hash in the header", body: "hello", signed: "hello", hash: hashOf([]byte("hello"))},
		{name: "body, no header", body: "hello", signed: "hello"},
		{name: "another body", body: "hellO", signed: "hello", hash: hashOf([]byte("hello")), want: "digest"},
		{name: "another body, no header", body: "hellO", signed: "hello", want: "wrong"},
		{name: "body that was not there", body: "hello", hash: hashOf(nil), want: "digest"},
		{name: "unsigned", body: "hello", hash: unsigned, want: "incomplete"},
		{name: "unsigned, allowed", body: "hello", hash: unsigned, unsigned: true},
		{name: "streaming", body: "hello", hash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", unsigned: true, want: "malformed"},
		{name: "late", now: 61 * time.Second, want: "skewed"},
		{name: "early", now: -61 * time.Second, want: "skewed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plugin(func() time.Time { return day.Add(c.now) })
			p.UnsignedBody = c.unsigned
			h := load(t, p)
			r := newReq("PUT", "example.com", "/a", c.body)
			signAWS(t, r, p, day, c.signed, c.hash)
			got := h.Do(r)
			if c.want == "" && (got.Status != 200 || got.Upstream.Header.Get("authorization") != "") ||
				c.want != "" && (got.Status != 401 || got.Details != "moe.hmacauth."+c.want) {
				t.Errorf("%d %s, want %q", got.Status, got.Details, c.want)
			}
		})
	}
	h := load(t, func() *HMACAuth { p := plugin(time.Now); p.Region = "other"; return p }())
	for auth, want := range map[string]string{
		"":    "malformed",
		"x=y": "malformed",
		"Credential=a/20250102/r/s/aws4_request, SignedHeaders=host, Signature=00":                             "malformed",
		"Credential=a/b, SignedHeaders=host, Signature=" + strings.Repeat("0", 64):                             "malformed",
		"Credential=a/20250102/r/s/aws4_request, SignedHeaders=host, Signature=" + strings.Repeat("0", 64):     "malformed", // no date
		"Credential=a, Credential=a, SignedHeaders=host, Signature=" + strings.Repeat("0", 64):                 "malformed",
		"Credential=" + strings.Repeat("a", 1<<20) + ", SignedHeaders=h, Signature=" + strings.Repeat("0", 64): "malformed",
	} {
		t.Run(fmt.Sprintf("%.40q", auth), func(t *testing.T) {
			if r := h.Get("/", "authorization", awsScheme+" "+auth); r.Status != 401 || r.Details != "moe.hmacauth."+want {
				t.Errorf("%.60s: r.Status = %d, want 401; r.Details = %q, want %q",
					auth, r.Status, r.Details, "moe.hmacauth."+want)
			}
		})
	}
	r := newReq("GET", "example.com", "/", "")
	signAWS(t, r, nil, time.Now().UTC(), "", "")
	if got := h.Do(r); got.Details != "moe.hmacauth.scope" {
		t.Errorf("%d: got.Details = %q, want %q", got.Status, got.Details, "moe.hmacauth.scope")
	}
}

func TestFullCacheRefuses(t *testing.T) {
	p := plugin(at(1_700_000_000))
	p.ReplayCache = 2
	h := load(t, p)
	for i, want := range []int{200, 200, 503} {
		t.Run(fmt.Sprintf("request %d", i+1), func(t *testing.T) {
			r := newReq("GET", "example.com", "/", "")
			sign(r, "s3cret", line, fmt.Sprintf(`;created=1700000000;keyid="tom";nonce="%d"`, i))
			if got := h.Do(r); got.Status != want {
				t.Errorf("got status %d, want %d", got.Status, want)
			}
		})
	}
}

// TestClockSetBack: a signature that is no longer remembered does not become good again with its time.
func TestClockSetBack(t *testing.T) {
	const start = 1_700_000_000
	now := time.Unix(start, 0)
	h := load(t, plugin(func() time.Time { return now }))
	for _, c := range []struct {
		name          string
		created, time int64
		want          string // the details of the reply, if the request does not pass
	}{
		{name: "new", created: start, time: start},
		{name: "when the first is forgotten", created: start + 600, time: start + 600},
		{name: "the first, with the clock set back", created: start, time: start, want: "moe.hmacauth.skewed"},
		{name: "after it", created: start + 601, time: start + 601},
	} {
		t.Run(c.name, func(t *testing.T) {
			now = time.Unix(c.time, 0)
			r := newReq("GET", "example.com", "/", "")
			sign(r, "s3cret", line, fmt.Sprintf(`;created=%d;keyid="tom"`, c.created))
			if got := h.Do(r); got.Details != c.want || (got.Status == 200) != (c.want == "") {
				t.Errorf("got %d %q, want the details %q", got.Status, got.Details, c.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ conf, cred, want string }{
		{`{maxSkew: 0s}`, "", "maxSkew"},
		{`{maxSkew: 48h}`, "", "maxSkew"},
		{`{schemes: [x]}`, "", "schemes"},
		{`{schemes: []}`, "", "schemes"},
		{`{required: ["@status"]}`, "", "required[0]"},
		{`{required: [Date]}`, "", "required[0]"},
		{`{replayCache: -1}`, "", "replayCache"},
		{`{}`, "accessKey=a", "secret"},
		{`{}`, "secret=geheim", "accessKey"},
		{`{}`, "accessKey=a secret=ge!heim encoding=base64", "invalid base64"},
	} {
		t.Run(fmt.Sprintf("%v %v", c.conf, c.want), func(t *testing.T) {
			h := &filtertest.Host{}
			if c.cred != "" {
				cred := map[string]any{}
				for f := range strings.FieldsSeq(c.cred) {
					k, v, _ := strings.Cut(f, "=")
					cred[k] = v
				}
				h.Consumers = []*filter.Consumer{consumer("x", cred)}
			}
			err := h.Load(t, filtertest.Config{Name: "hmacauth", JSON: c.conf})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "heim") {
				t.Errorf("%s %s: got %v, want an error with %q and no secret", c.conf, c.cred, err, c.want)
			}
		})
	}
}

// FuzzDictionary: what is read is written so that it is read alike.
func FuzzDictionary(f *testing.F) {
	f.Add(`sig1=("@method" "x";bs);created=1;keyid="a\"b";ok;no=?0, t=:AAAA:;x=-5;y=a/b`)
	f.Add(`a=()`)
	f.Fuzz(func(t *testing.T, s string) {
		all, err := parseDictionary(s)
		if err != nil {
			return
		}
		for _, m := range all {
			if !m.isList {
				continue
			}
			var b strings.Builder
			b.WriteString(m.key + "=")
			m.write(&b)
			again, err := parseDictionary(b.String())
			if err != nil || len(again) != 1 || fmt.Sprint(again[0]) != fmt.Sprint(m) {
				t.Errorf("%q is written as %q and read as %v, %v", s, b.String(), again, err)
			}
		}
	})
}

func FuzzAWS(f *testing.F) {
	f.Add("Credential=tom/20250102/r/s/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20250102T030405Z", "a=b&c")
	f.Fuzz(func(t *testing.T, auth, date, query string) {
		h := load(t, plugin(time.Now))
		r := newReq("GET", "example.com", "/", "")
		r.URL.RawQuery = strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' || r == '#' {
				return 'x'
			}
			return r
		}, query)
		r.Header["Authorization"] = []string{awsScheme + " " + auth}
		r.Header["X-Amz-Date"] = []string{date}
		if got := h.Do(r); got.Status != 401 {
			t.Errorf("got.Status = %d, want 401", got.Status)
		}
	})
}

// TestUpgrade: a signed request for a WebSocket passes, in either form, and one that is not signed does not.
func TestUpgrade(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name   string
		sign   func(r *http.Request)
		status int
	}{
		{"rfc9421", func(r *http.Request) { sign(r, "s3cret", line, fmt.Sprintf(`;created=%d;keyid="tom"`, now.Unix())) }, 200},
		{"aws4", func(r *http.Request) { signAWS(t, r, nil, now, "", "") }, 200},
		{"aws4 with a hash", func(r *http.Request) { signAWS(t, r, nil, now, "", hashOf(nil)) }, 200},
		{"by another", func(r *http.Request) { sign(r, "other", line, fmt.Sprintf(`;created=%d;keyid="tom"`, now.Unix())) }, 401},
		{"not signed", func(*http.Request) {}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReq("GET", "example.com", "/ws", "what the tunnel carries", "connection", "Upgrade", "upgrade", "websocket")
			c.sign(r)
			got := load(t, plugin(func() time.Time { return now })).Do(r)
			if got.Status != c.status || (got.Upstream != nil) != (c.status == 200) {
				t.Errorf("got %d %s, want %d", got.Status, got.Details, c.status)
			}
		})
	}
}
