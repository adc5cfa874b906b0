package assembly

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

const host1 = ^filter.CanPipePromptly

func TestFilterErrors(t *testing.T) {
	many := strings.Repeat("- {name: own, id: x%d}\n", maxPlugins+1)
	n := make([]any, maxPlugins+1)
	for i := range n {
		n[i] = i
	}
	for _, c := range []struct{ doc, want string }{
		{``, `expected an object with "plugins", got nothing`},
		{`[]`, `expected an object, got a list`},
		{`{}`, `plugins: is required; list at least one plugin, as - name: NAME`},
		{`plugins: []`, `plugins: the list is empty; add a plugin, as - name: NAME, or remove the filter`},
		{`plugins:`, `plugins: the list is empty; add a plugin, as - name: NAME, or remove the filter`},
		{`plugins: {name: own}`, `plugins: expected a list, got an object`},
		{`plugins: [own]`, `plugins[0]: expected an object, got a string`},
		{`plugins: [{}]`, `plugins[0].name: is required: the name of a plugin`},
		{`plugins: [{id: x}]`, `plugins[0].name: is required: the name of a plugin`},
		{`plugins: [{name: 5}]`, `plugins[0].name: expected a string, got a number`},
		{`plugins: [{name: limt}]`, `plugins[0].name: unknown plugin "limt"; did you mean "limit"?`},
		{
			`plugins: [{name: zzzzzz}]`,
			`plugins[0].name: unknown plugin "zzzzzz"; expected "claim", "giver", "greedy", "key", "latertaker", "limit", "own", "stepkey", "steps", "taker" or "talker"`,
		},
		{`plugins: [{name: own}, {name: own}]`, `plugins[1]: duplicate plugin "own"; give each an id of its own`},
		{`plugins: [{name: own, id: a}, {name: own, id: a}]`, `plugins[1].id: duplicate id "a"`},
		{`plugins: [{name: own, id: a.b}]`, `plugins[0].id: expected up to 64 letters, digits, - and _`},
		{`plugins: [{name: own, confg: {}}]`, `plugins[0].confg: unknown field; did you mean "config"?`},
		{`plugins: [{name: own, disabled: yes}]`, `plugins[0].disabled: expected true or false, got a string`},
		{`plugins: [{name: own, config: [1]}]`, `plugins[0].config: expected an object, got a list`},
		{`plugins: [{name: limit}]`, `plugins[0].config.rate: is required and not 0 (limit)`},
		{
			`plugins: [{name: own}, {name: limit, config: {rate: "5"}}]`,
			`plugins[1].config.rate: expected a number, got a string (limit)`,
		},
		{
			`plugins: [{name: limit, config: {rate: 5, brust: 1}}]`,
			`plugins[0].config.brust: unknown field; did you mean "burst"? (limit)`,
		},
		{
			`plugins: [{name: limit, config: {rate: 5, fail: validate, secret: hush-hush}}]`,
			`plugins[0].config: it fails as asked with [secret] (limit)`,
		},
		{
			`plugins: [{name: limit, disabled: true, config: {rate: "5"}}]`,
			`plugins[0].config.rate: expected a number, got a string (limit)`,
		},
		{
			`plugins: [{name: greedy}]`,
			`plugins[0]: needs CanPipePromptly, which this host cannot; docs/hosts.md tells which can (greedy)`,
		},
		{`{plugins: [{name: own}], ordr: listed}`, `ordr: unknown field; did you mean "order"?`},
		{`{plugins: [{name: own}], order: random}`, `order: expected "stage" or "listed", got another string`},
		{
			`{plugins: [{name: own}], timeout: 5}`,
			`timeout: expected a duration such as "1s" or "250ms", got a number without a unit`,
		},
		{`{plugins: [{name: own}], timeout: 0s}`, `timeout: expected a duration above 0; leave it out for 30s`},
		{fmt.Sprintf("plugins:\n"+many, n...), `plugins: 101 plugins in one chain; the limit is 100`},
		{`{plugins: [{name: own}], consumers: [{}]}`, `consumers[0].name: is required`},
		{
			`{plugins: [{name: own}], consumers: [{name: a}, {name: a}]}`,
			`consumers[1].name: duplicate consumer name "a"`,
		},
		{
			`{plugins: [{name: own}], consumers: [{name: a, credentials: {kye: {key: x}}}]}`,
			`consumers[0].credentials.kye: unknown plugin "kye"; did you mean "key"?`,
		},
		{
			`{plugins: [{name: own}], consumers: [{name: a, credentials: {key: x}}]}`,
			`consumers[0].credentials.key: expected an object, got a string`,
		},
		{
			`{plugins: [{name: own}], consumers: [{name: a, plugins: [{name: key}]}]}`,
			`consumers[0].plugins[0]: runs in stage authn, before it is known who the consumer is; ` +
				`a consumer's plugins are of stage authz or later (key)`,
		},
		{
			`{plugins: [{name: own}], consumers: [{name: a, plugins: [{name: limit}]}]}`,
			`consumers[0].plugins[0].config.rate: is required and not 0 (limit)`,
		},
		{
			`{plugins: [{name: own}], consumers: [{name: a, plugins: [{id: x}]}]}`,
			`consumers[0].plugins[0].id: the filter has no plugin with id "x"; give its name to add one`,
		},
		{
			`{plugins: [{name: limit, config: {rate: 1}}, {name: key}], order: listed,
			consumers: [{name: a, plugins: [{id: limit, config: {rate: 2}}]}]}`,
			`consumers[0].plugins: consumer "a" changes plugins that run before the last one of stage authn, ` +
				`when it is not known yet who the consumer is; list those after it`,
		},
		{`{plugins: [{name: own}], generic_secrets: {a: b}}`, `generic_secrets: expected a list, got an object`},
		{`{plugins: [{name: own}], generic_secrets: [a]}`, `generic_secrets[0]: expected an object, got a string`},
		{
			`{plugins: [{name: own}], generic_secrets: [{name: a}, {sds_config: {}}, {name: a}]}`,
			`generic_secrets[1].name: is required: the name of a generic secret of Envoy's; ` +
				`generic_secrets[2].name: duplicate secret name "a"`,
		},
		{
			`{plugins: [{name: own}], generic_secrets: [{name: a, sds_config: x}, {name: 5}]}`,
			`generic_secrets[0].sds_config: expected an object, got a string; ` +
				`generic_secrets[1].name: expected a string, got a number`,
		},
		{
			`{plugins: [{name: limit, config: {rate: x}}, {nam: own}, {name: limit, id: b}], order: x, timeout: 1}`,
			`order: expected "stage" or "listed", got another string; ` +
				`plugins[0].config.rate: expected a number, got a string (limit); ` +
				`plugins[1].nam: unknown field; did you mean "name"?; ` +
				`plugins[1].name: is required: the name of a plugin; ` +
				`plugins[2].config.rate: is required and not 0 (limit); ` +
				`timeout: expected a duration such as "1s" or "250ms", got a number without a unit`,
		},
	} {
		t.Run(fmt.Sprintf("%.40q", c.doc), func(t *testing.T) {
			a, _ := fixture(t)
			d := doc(t, c.doc)
			f, err := a.Filter(ChainName, d)
			if err == nil {
				t.Errorf("%s: no error", c.doc)
				f.Close()
				return
			}
			if err.Error() != c.want {
				t.Errorf("%s:\n got %s\nwant %s", c.doc, err, c.want)
			}
			if v := Validate(ChainName, d, host1); v == nil || v.Error() != err.Error() {
				t.Errorf("%s: Validate says %v", c.doc, v)
			}
			if es := config.Errors(nil); !errors.As(err, &es) {
				t.Errorf("%s: the error is a %T", c.doc, err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	a, _ := fixture(t)
	for _, c := range []struct{ name, doc, want string }{
		{"limt", `rate: 1`, `unknown plugin "limt"; did you mean "limit"?`},
		{"me", ``, `unknown plugin "me"; did you mean "moe"?`},
		{"limit", ``, `rate: is required and not 0 (limit)`},
		{"limit", `[]`, `expected an object, got a list (limit)`},
		{"limit", `plugins: []`, `plugins: unknown field; expected "burst", "fail", "mode", "rate", "secret", "sub" or ` +
			`"words" (limit); rate: is required and not 0 (limit)`},
		{"greedy", ``, `needs CanPipePromptly, which this host cannot; docs/hosts.md tells which can (greedy)`},
	} {
		t.Run(fmt.Sprintf("%.40q", c.want), func(t *testing.T) {
			if _, err := a.Filter(c.name, doc(t, c.doc)); err == nil || err.Error() != c.want {
				t.Errorf("%s %s:\n got %v\nwant %s", c.name, c.doc, err, c.want)
			}
		})
	}
	f, err := a.Filter("limit", doc(t, `rate: 5`))
	if err != nil {
		t.Fatalf("a.Filter: %v", err)
	}
	defer f.Close()
	if _, err := a.Route("limit", doc(t, `rate: "5"`)); err == nil ||
		err.Error() != `rate: expected a number, got a string (limit)` {
		t.Errorf("a wrong type in a route of one plugin: got error %v", err)
	}
	r, err := a.Route("limit", doc(t, `burst: 3`))
	if err != nil {
		t.Fatalf("a.Route: %v", err)
	}
	defer r.Close()
	if l := pluginOf[limit](t, f, r, 0); l.Rate != 5 || l.Burst != 3 {
		t.Errorf("l.Rate = %d, want 5; l.Burst = %d, want 3: %+v", l.Rate, l.Burst, l)
	}
}

func TestRouteErrors(t *testing.T) {
	a, _ := fixture(t)
	for _, c := range []struct{ doc, want string }{
		{`[]`, `expected an object, got a list`},
		{`plugins: [{}]`, `plugins[0].name: is required: the name of a plugin`},
		{
			`plugins: [{name: nope-nope}]`,
			`plugins[0].name: unknown plugin "nope-nope"; expected "claim", "giver", "greedy", "key", "latertaker", "limit", "own", "stepkey", "steps", "taker" or "talker"`,
		},
		{
			`plugins: [{name: limit, config: {rate: "5"}}]`,
			`plugins[0].config.rate: expected a number, got a string (limit)`,
		},
		{
			`plugins: [{name: limit, config: {mode: sof}}]`,
			`plugins[0].config.mode: expected "soft" or "hard", got another string; did you mean "soft"? (limit)`,
		},
		{`plugins: [{name: limit}, {name: limit}]`, `plugins[1]: duplicate plugin "limit"; give each an id of its own`},
		{`timeout: -1s`, `timeout: expected a duration above 0; leave it out for 30s`},
	} {
		t.Run(c.doc, func(t *testing.T) {
			if _, err := a.Route(ChainName, doc(t, c.doc)); err == nil || err.Error() != c.want {
				t.Errorf("%s:\n got %v\nwant %s", c.doc, err, c.want)
			}
		})
	}
	for _, ok := range []string{
		``, `{}`, `plugins: []`, `plugins: [{id: x, config: {a: 1}}]`, `order: listed`,
		`plugins: [{name: limit, config: {burst: 2}}]`,
	} {
		mustRoute(t, a, ok).Close()
	}
}

// What is wrong only together with the filter is refused while it fits no filter, and told by Chain if it fits one.
func TestMergeErrors(t *testing.T) {
	const filterDoc = `plugins: [{name: limit, config: {rate: 1, words: [a]}}, {name: own, config: {tags: [p]}}]`
	a, _ := fixture(t)
	f := mustFilter(t, a, filterDoc)
	defer f.Close()
	const merged = "merged with the filter's configuration: "
	for _, c := range []struct{ doc, want string }{
		{
			`plugins: [{id: limit, name: own}]`,
			`plugins[0].name: id "limit" is plugin own here and plugin limit in the filter; choose another id`,
		},
		{`plugins: [{id: limit, config: {rate: null}}]`, `plugins[0].config.rate: is required and not 0 (limit)`},
		{`plugins: [{id: limit, config: {rate: x}}]`, `plugins[0].config.rate: expected a number, got a string (limit)`},
		{`plugins: [{id: own, config: {refuse: true}}]`, `plugins[0].config: refuse is not possible here (own)`},
		{`plugins: [{id: own, config: {first: [1]}}]`, `plugins[0].config.tags[0]: expected a string, got a number (own)`},
		{`plugins: [{id: limit, config: {fail: provision, secret: hush-hush}}]`, `plugins[0]: cannot reach [secret] (limit)`},
	} {
		t.Run(c.doc, func(t *testing.T) {
			_, err := a.Route(ChainName, doc(t, c.doc))
			if err == nil || err.Error() != merged+c.want {
				t.Errorf("%s:\n got %v\nwant %s", c.doc, err, c.want)
			}
			if strings.HasPrefix(c.want, "plugins[0]: cannot") {
				return
			}
			if err := ValidateRoute(ChainName, doc(t, filterDoc), doc(t, c.doc), host1); err == nil || err.Error() != c.want {
				t.Errorf("%s: ValidateRoute says %v", c.doc, err)
			}
		})
	}
	if _, err := a.Route(ChainName, doc(t, `plugins: [{id: own, config: {panic: true}}]`)); err == nil ||
		!strings.Contains(err.Error(), "plugins[0].config: Merge of the plugin panics at plugins_test.go:") {
		t.Errorf("a Merge that panics: got error %v, want one that names the place", err)
	}
	other := mustFilter(t, a, `plugins: [{name: own, id: x}]`)
	defer other.Close()
	r := mustRoute(t, a, `plugins: [{id: x, config: {first: [c]}}]`)
	defer r.Close()
	if _, err := f.Chain(r); err == nil ||
		err.Error() != merged+`plugins[0].id: the filter has no plugin with id "x"; give its name to add one` {
		t.Errorf("an id that the filter does not have: got error %v", err)
	}
	if o := pluginOf[own](t, other, r, 0); len(o.Tags) != 1 || o.Tags[0] != "c" {
		t.Errorf("got %d of o.Tags, want 1: %q; got %q, want o.Tags[0] %q", len(o.Tags), o.Tags, o.Tags, "c")
	}
}
