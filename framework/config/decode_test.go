package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mosn.io/moe/framework/extension"
)

type level int

func (l *level) UnmarshalText(b []byte) error {
	switch string(b) {
	case "low":
		*l = 1
	case "high":
		*l = 2
	case "panic":
		panic("oh " + string(b))
	default:
		return errors.New("level " + string(b) + " is neither low nor high")
	}
	return nil
}

type rule struct {
	ID      string         `json:"id" validate:"required"`
	Pattern *regexp.Regexp `json:"pattern"`
	In      string         `json:"in" enum:"head,body" default:"head"`
	Weight  int8           `json:"weight" default:"7"`
}

type common struct {
	Verbose bool `json:"verbose" default:"true"`
}

type limits struct {
	Size  extension.Size `json:"size" default:"1MiB"`
	Delay time.Duration  `json:"delay" default:"3s"`
}

type everything struct {
	common
	Name    string                      `json:"name" validate:"omitempty,min=2,max=8"`
	Rate    float64                     `json:"rate" default:"1.5"`
	Count   uint16                      `json:"count" default:"3"`
	Big     uint64                      `json:"big"`
	Flag    *bool                       `json:"flag" default:"true"`
	Limits  limits                      `json:"limits"`
	Rules   []rule                      `json:"rules" merge:"append"`
	ByName  map[string]rule             `json:"byName"`
	Codes   map[int]string              `json:"codes"`
	Nets    []netip.Prefix              `json:"nets" default:"10.0.0.0/8,::1"`
	Words   []string                    `json:"words" default:"[\"a\",\"b\"]" merge:"append"`
	Modes   []string                    `json:"modes" enum:"on,off"`
	URL     *url.URL                    `json:"url"`
	Peer    netip.AddrPort              `json:"peer"`
	IP      netip.Addr                  `json:"ip"`
	Secret  extension.Secret            `json:"secret"`
	Secrets map[string]extension.Secret `json:"secrets"`
	Level   level                       `json:"level"`
	Any     any                         `json:"any"`
	Pair    [2]int                      `json:"pair"`
	Since   time.Time                   `json:"since"`
	Match   regexp.Regexp               `json:"match"`
	Next    *everything                 `json:"next"`
	Ignored string                      `json:"-"`
}

func parse(t testing.TB, text string) any {
	t.Helper()
	v, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return v
}

func TestDecode(t *testing.T) {
	t.Setenv("CONFIG_TEST_SECRET", "from env")
	got := &everything{}
	err := Decode(parse(t, `
verbose: false
name: moe
rate: 2
big: 18446744073709551615
flag: false
limits: { size: 64KiB }
rules:
  - { id: a, pattern: "^x" }
  - { id: b, in: body, weight: 0 }
byName: { c: { id: c } }
codes: { 404: gone, 0x10: hex }
words: []
modes: [on, "off"]
url: https://u:p@example.com/a?b
peer: "[::1]:80"
ip: 10.1.2.3
secret: { env: CONFIG_TEST_SECRET }
secrets: { a: plain }
level: high
any: { x: [1, null, { y: 1.5 }] }
pair: [1, 2]
since: 2024-05-06T07:08:09Z
match: a+
next: { name: inner, limits: null, nets: null }
`), got)
	if err == nil || err.Error() != `codes.0x10: the key: expected a number, got a string` {
		t.Fatalf("a key that is not a number: got error %v", err)
	}
	err = Decode(parse(t, `{"verbose": false, "name": "moe", "rate": 2, "big": 18446744073709551615, "flag": false,
		"limits": {"size": "64KiB"}, "rules": [{"id": "a", "pattern": "^x"}, {"id": "b", "in": "body", "weight": 0}],
		"byName": {"c": {"id": "c"}}, "codes": {"404": "gone"}, "words": [], "modes": ["on", "off"],
		"url": "https://u:p@example.com/a?b", "peer": "[::1]:80", "ip": "10.1.2.3",
		"secret": {"env": "CONFIG_TEST_SECRET"}, "secrets": {"a": "plain"}, "level": "high",
		"any": {"x": [1, null, {"y": 1.5}]}, "pair": [1, 2.0], "since": "2024-05-06T07:08:09Z", "match": "a+",
		"next": {"name": "inner", "limits": null, "nets": null}}`), got)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	yes, no := true, false
	nets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	u, _ := url.Parse("https://u:p@example.com/a?b")
	want := &everything{
		Name: "moe", Rate: 2, Count: 3, Big: 1<<64 - 1, Flag: &no,
		Limits: limits{64 << 10, 3 * time.Second},
		Rules: []rule{
			{"a", regexp.MustCompile("^x"), "head", 7},
			{"b", nil, "body", 0},
		},
		ByName: map[string]rule{"c": {"c", nil, "head", 7}},
		Codes:  map[int]string{404: "gone"},
		Nets:   nets, Words: []string{}, Modes: []string{"on", "off"}, URL: u,
		Peer: netip.MustParseAddrPort("[::1]:80"), IP: netip.MustParseAddr("10.1.2.3"),
		Secret: extension.NewSecret("from env"), Secrets: map[string]extension.Secret{"a": extension.NewSecret("plain")},
		Level: 2, Any: map[string]any{"x": []any{int64(1), nil, map[string]any{"y": 1.5}}}, Pair: [2]int{1, 2},
		Since: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC), Match: *regexp.MustCompile("a+"),
		Next: &everything{
			common: common{true}, Name: "inner", Rate: 1.5, Count: 3, Flag: &yes,
			Limits: limits{1 << 20, 3 * time.Second}, Nets: nets, Words: []string{"a", "b"},
		},
	}
	if diff := cmp.Diff(want, got, sameEverything); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
}

// sameEverything compares values of [everything].
var sameEverything = cmp.Options{
	cmp.AllowUnexported(everything{}),
	cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}, netip.AddrPort{}),
	cmp.Comparer(func(a, b regexp.Regexp) bool { return a.String() == b.String() }),
	cmp.Comparer(func(a, b url.URL) bool { return a.String() == b.String() }),
	cmp.Comparer(func(a, b extension.Secret) bool { return a.Reveal() == b.Reveal() }),
}

func TestDefaults(t *testing.T) {
	got := &everything{}
	if err := Decode(nil, got); err != nil {
		t.Fatalf("Decode: %v", err)
	}
	yes := true
	want := &everything{
		common: common{Verbose: true}, Rate: 1.5, Count: 3, Flag: &yes, Limits: limits{Size: 1 << 20, Delay: 3 * time.Second},
		Nets:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Words: []string{"a", "b"},
	}
	if diff := cmp.Diff(want, got, sameEverything); diff != "" {
		t.Errorf("Decode of nothing (-want +got):\n%s", diff)
	}
}

// Every mistake has an error that says where, what was expected and of what kind the value is.
func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`rate: "5"`, `rate: expected a number, got a string`},
		{`rate: [1]`, `rate: expected a number, got a list`},
		{`rate: true`, `rate: expected a number, got a boolean`},
		{`count: 1.5`, `count: expected a whole number, got a number with a fraction`},
		{`count: -1`, `count: expected a whole number from 0 to 65535, got one out of this range`},
		{`count: 65536`, `count: expected a whole number from 0 to 65535, got one out of this range`},
		{`big: 1e30`, `big: expected a whole number, got one out of range`},
		{
			`rules: [{id: x, weight: 128}]`,
			`rules[0].weight: expected a whole number from -128 to 127, got one out of this range`,
		},
		{`name: 5`, `name: expected a string, got a number`},
		{`verbose: "true"`, `verbose: expected true or false, got a string`},
		{`flag: 1`, `flag: expected true or false, got a number`},
		{`limits: [1]`, `limits: expected an object, got a list`},
		{`rules: {id: x}`, `rules: expected a list, got an object`},
		{`rules: [x, 1, null]`, `rules[0]: expected an object, got a string; ` +
			`rules[1]: expected an object, got a number; rules[2]: expected an object, got null`},
		{`byName: []`, `byName: expected an object, got a list`},
		{`byName: {a.b: 1}`, `byName["a.b"]: expected an object, got a number`},
		{`codes: {x: y}`, `codes.x: the key: expected a number, got a string`},
		{`[1]`, `expected an object, got a list`},
		{`just text`, `expected an object, got a string`},
		{`nam: x`, `nam: unknown field; did you mean "name"?`},
		{`Name: x`, `Name: unknown field; did you mean "name"?`},
		{`limits: {dealy: 1s}`, `limits.dealy: unknown field; did you mean "delay"?`},
		{`limits: {zzzzz: 1s}`, `limits.zzzzz: unknown field; expected "delay" or "size"`},
		{`Ignored: x`, `Ignored: unknown field`},
		{`internal: x`, `internal: unknown field`},
		{`"-": x`, `-: unknown field`},
		{`common: {}`, `common: unknown field`},
		{
			`limits: {delay: 5}`,
			`limits.delay: expected a duration such as "1s" or "250ms", got a number without a unit`,
		},
		{
			`limits: {delay: 5 sec}`,
			`limits.delay: expected a duration such as "1s" or "250ms", got another string`,
		},
		{`limits: {delay: ""}`, `limits.delay: expected a duration such as "1s" or "250ms", got an empty string`},
		{
			`limits: {size: 1 Mb}`,
			`limits.size: expected a size such as "64KiB", "10MiB" or a number of bytes, got another string`,
		},
		{
			`limits: {size: -1}`,
			`limits.size: expected a size such as "64KiB", "10MiB" or a number of bytes, got a negative number`,
		},
		{`limits: {size: 1.5}`, `limits.size: expected a whole number, got a number with a fraction`},
		{`modes: [on, offf]`, `modes[1]: expected "on" or "off", got another string; did you mean "off"?`},
		{`rules: [{id: x, in: ""}]`, `rules[0].in: expected "head" or "body", got an empty string`},
		{`url: "http://a b/"`, `url: expected a URL such as "https://example.com/path", got another string`},
		{`match: "[a"`, `match: expected a regular expression (RE2), got another string: missing closing ]`},
		{`nets: [10.0.0.0/40]`, `nets[0]: expected a CIDR such as "10.0.0.0/8", got another string`},
		{`ip: 1`, `ip: expected an IP address such as "10.0.0.1", got a number`},
		{
			`peer: localhost:80`,
			`peer: expected an IP address and port such as "10.0.0.1:80", got another string`,
		},
		{`since: yesterday`, `since: expected a time such as "2006-01-02T15:04:05Z", got another string`},
		{`level: middle`, `level: level … is neither low nor high`},
		{`level: panic`, `level: UnmarshalText of the plugin's type config.level panics`},
		{`codes: {01: x}`, `codes.01: the key: expected a whole number as usually written`},
		{`level: 1`, `level: expected a string, got a number`},
		{`pair: [1]`, `pair: expected a list of 2, got one of 1`},
		{`secret: 5`, `secret: expected a secret: {env: NAME}, {file: PATH} or a string, got a number`},
		{`secret: {}`, `secret: expected a secret: {env: NAME}, {file: PATH} or a string, got an object with 0 fields`},
		{
			`secret: {key: x}`,
			`secret: expected a secret: {env: NAME}, {file: PATH} or a string, got an object with another field`,
		},
		{
			`secret: {env: CONFIG_TEST_UNSET}`,
			`secret: environment variable CONFIG_TEST_UNSET is not set; set it where Envoy is started`,
		},
		{
			`secret: {env: not a name}`,
			`secret: expected the name of an environment variable in env, got another string`,
		},
		{`secret: {env: 5}`, `secret: expected the name of an environment variable in env, got a number`},
		{`secret: {file: /nonexistent/x}`, `secret: secret file /nonexistent/x: no such file or directory`},
		{`secret: {file: /}`, `secret: secret file /: is not a file with content`},
		{`secret: {file: [x]}`, `secret: expected the path of a file in file, got a list`},
		{`name: x`, `name: expected at least 2 characters`},
		{`name: much too long`, `name: expected at most 8 characters`},
		{`rules: [{}, {id: x}, {in: body}]`, `rules[0].id: is required; rules[2].id: is required`},
		{`byName: {k: {}}`, `byName.k.id: is required`},
		{`next: {rules: [{}]}`, `next.rules[0].id: is required`},
		{
			`{rate: x, limits: {delay: 1}, nope: 1}`,
			`limits.delay: expected a duration such as "1s" or "250ms", got a number without a unit; ` +
				`nope: unknown field; rate: expected a number, got a string`,
		},
	} {
		t.Run(c.doc, func(t *testing.T) {
			err := Decode(parse(t, c.doc), &everything{})
			if err == nil {
				t.Errorf("%s: no error", c.doc)
			} else if err.Error() != c.want {
				t.Errorf("%s:\n got %s\nwant %s", c.doc, err, c.want)
			}
		})
	}
}

type broken struct {
	F func()
}

type badDefault struct {
	N int              `json:"n" default:"x"`
	S extension.Secret `json:"s" default:"x"`
}

type badCheck struct {
	N int `json:"n" validate:"nosuchcheck"`
}

type choosy struct {
	N int `json:"n"`
}

func (c *choosy) Validate() error {
	if c.N == 13 {
		panic("unlucky")
	}
	if c.N < 0 {
		return errors.Join(errors.New("n.x[2][\"a b\"]: must not be negative"), errors.New("m: really not"))
	}
	return nil
}

type needy struct {
	Secret extension.Secret `json:"secret" validate:"required"`
	URL    *url.URL         `json:"url" validate:"required,http_url"`
	Rate   float64          `json:"rate" validate:"required"`
	Net    netip.Prefix     `json:"net" validate:"required"`
	At     time.Time        `json:"at" validate:"required"`
	Addr   string           `json:"addr" validate:"required,hostport"`
	Names  []string         `json:"names" validate:"required,min=1,dive,required"`
}

func TestDecodeOthers(t *testing.T) {
	for _, c := range []struct {
		doc  string
		into any
		want string
	}{
		{`F: x`, &broken{}, "F: the plugin's field has type func(), which no configuration can hold"},
		{``, &badDefault{}, "n: the plugin's default tag is wrong: expected a number, got a string; " +
			"s: the plugin's field has a default tag, and a secret must not"},
		{``, &badCheck{}, "a validate tag of the plugin is wrong: Undefined validation function 'nosuchcheck' on field 'N'"},
		{`n: -1`, &choosy{}, `m: really not; n.x[2]["a b"]: must not be negative`},
		{``, &needy{}, "addr: is required; at: is required; names: is required; net: is required; " +
			"rate: is required and not 0; secret: is required; url: is required"},
		{
			`{addr: x, at: 2024-01-01T00:00:00Z, names: [a, ""], net: 1.2.3.4, rate: 0, secret: "", url: /x}`, &needy{},
			`addr: expected a host and port such as "localhost:8080"; names[1]: is required; ` +
				`rate: is required and not 0; secret: is required; url: expected a URL with a scheme`,
		},
	} {
		t.Run(fmt.Sprintf("%.40q", c.want), func(t *testing.T) {
			err := Decode(parse(t, c.doc), c.into)
			if err == nil || err.Error() != c.want {
				t.Errorf("%T %s:\n got %v\nwant %s", c.into, c.doc, err, c.want)
			}
		})
	}
	err := Decode(parse(t, "n: 13"), &choosy{})
	want := regexp.MustCompile(`^Validate of the plugin panics at decode_test.go:\d+: unlucky$`)
	if err == nil || !want.MatchString(err.Error()) {
		t.Errorf("a Validate that panics: got error %v, want one like %s", err, want)
	}
	d := Decoder{Path: "plugins[1].config", Plugin: "limitreq", Partial: true}
	if err := d.Decode(map[string]any{}, &needy{}); err != nil {
		t.Errorf("d.Decode: %v", err)
	}
	err = d.Decode(map[string]any{"rate": "x"}, &needy{})
	if err == nil || err.Error() != "plugins[1].config.rate: expected a number, got a string (limitreq)" {
		t.Errorf("with a path and a plugin: got error %v", err)
	}
}
