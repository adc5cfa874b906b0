package conformance

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/framework/filter"
)

// bad is a document that must be refused, and what the message must say.
type bad struct {
	name string
	doc  any
	want []string
	of   string // the filter's name, default "moe"
}

var badDocuments = []bad{
	{"an unknown plugin", Chain(M{"name": "nosuch"}), []string{`plugins[0].name`, `nosuch`}, ""},
	{"an unknown plugin by name", M{}, []string{`nosuch`}, "nosuch"},
	{"an unknown field", Chain(M{"name": "passthrough"}, cfg(M{"rat": 1})), []string{`plugins[1].config.rat`}, ""},
	{"an unknown field of an object", Chain(cfg(M{"nested": M{"z": 1}})), []string{`plugins[0].config.nested.z`}, ""},
	{"an unknown field of the document", M{"plugins": A{M{"name": "passthrough"}}, "plugin": 1}, []string{`plugin`}, ""},
	{"a wrong type", Chain(cfg(M{"rate": "fast"})), []string{`plugins[0].config.rate`, `number`}, ""},
	{"a wrong type of a list", Chain(cfg(M{"tags": M{"a": 1}})), []string{`plugins[0].config.tags`}, ""},
	{"a wrong type of the document", A{1, 2}, nil, ""},
	{"a value out of bounds", Chain(cfg(M{"rate": -1})), []string{`plugins[0].config.rate`}, ""},
	{"a bad duration", Chain(cfg(M{"wait": "soon"})), []string{`plugins[0].config.wait`, `duration`}, ""},
	{"a failing Validate", Chain(cfg(M{"fail": "validate"})), []string{`plugins[0]`, `told to fail in Validate`}, ""},
	{"a failing Provision", Chain(cfg(M{"fail": "provision"})), []string{`plugins[0]`, `told to fail in Provision`}, ""},
	{"a panic in Provision", Chain(cfg(M{"fail": "panic"})), []string{`plugins[0]`, `told to panic in Provision`}, ""},
	{
		"a secret whose file is missing", Chain(cfg(M{"token": M{"file": "/nowhere/at/all"}})),
		[]string{`plugins[0].config.token`, `/nowhere/at/all`},
		"",
	},
	{
		"a secret whose variable is missing", Chain(cfg(M{"token": M{"env": "MOE_E2E_NOWHERE"}})),
		[]string{`plugins[0].config.token`, `MOE_E2E_NOWHERE`},
		"",
	},
	{"a duplicate id", Chain(cfg(M{}), cfg(M{})), []string{`plugins[1]`, `c`, `duplicate`}, ""},
	{"an empty chain", Chain(), []string{`plugins`, `empty`}, ""},
	{"no chain", M{}, []string{`plugins`}, ""},
	{"a plugin without a name", Chain(M{"id": "x"}), []string{`plugins[0].name`}, ""},
	{
		"no UTF-8", []byte("{\"plugins\": [{\"name\": \"probeconfig\", \"config\": {\"pad\": \"\xff\xfe\"}}]}"),
		[]string{`UTF-8`},
		"",
	},
	{"broken JSON", []byte(`{"plugins": [`), nil, ""},
	{"nothing", []byte(nil), nil, ""},
	{"1 MiB of rubbish", []byte(strings.Repeat("[", 1<<20)), nil, ""},
	{"1 MiB in a wrong type", Chain(cfg(M{"rate": strings.Repeat("x", 1<<20)})), []string{`plugins[0].config.rate`}, ""},
}

func badInputScenarios() []Scenario {
	var out []Scenario
	for _, bad := range badDocuments {
		out = append(out, Scenario{Name: "refused: " + bad.name, Run: bad.run})
	}
	for name, c := range map[string]filter.Capability{
		"probeprompt": filter.CanPipePromptly, "probecallouts": filter.CanCallout, "probesecrets": filter.CanReadSecret,
	} {
		lacking := bad{"a capability that the host lacks", Chain(M{"name": name}), []string{`plugins[0]`, c.String()}, ""}
		out = append(out, Scenario{Name: "refused: " + name + " where the host lacks " + c.String(), Lacks: c, Run: lacking.run})
	}
	return append(out, rejectionScenarios()...)
}

// run tries the document as an update of a listener that serves.
func (bad bad) run(b *Bed) {
	ln := b.Listen(Listen{Chain: Chain(cfg(M{"rate": 1}))})
	count := func() (n int) {
		n, _ = strconv.Atoi(ln.Do(client.Request{}).Header.Get("x-count"))
		return n
	}
	before := count()
	mark := b.HostLog().Mark()
	reason := refusal(b, ln.Update(Listen{Name: bad.of, Chain: bad.doc}))
	text := reason + b.HostLog().Since(mark)
	for _, w := range bad.want {
		Contains(b, "the reason", text, w)
	}
	for line := range strings.Lines(text) {
		if len(line) > 4000 {
			b.Errorf("a line of %d bytes: %s…", len(line), line[:200])
		}
	}
	if m := regexp.MustCompile(`(?i)goroutine \d+ \[`).FindString(text); m != "" && !strings.Contains(bad.name, "panic") {
		b.Errorf("a stack in the message: %s", text)
	}
	Equal(b, "the old configuration serves on", count(), before+1)
	client.CloseIdle()
	Equal(b, "also for new connections", count(), before+2)
	if err := ln.Update(Listen{Chain: Chain(cfg(M{"rate": 2}))}); err != nil {
		b.Fatalf("a good configuration after it: %v", err)
	}
	client.CloseIdle()
	shown(b, ln.Do(client.Request{}), "rate", 2)
}

// refusal returns what a refused update said.
func refusal(b *Bed, err error) string {
	b.Helper()
	if err == nil {
		b.Fatalf("the configuration was taken")
	}
	return err.Error()
}

func rejectionScenarios() []Scenario {
	return []Scenario{
		{Name: "refused: visible on Envoy's admin page", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(cfg(M{}))})
			var rejected *envoytest.Rejected
			if err := ln.Update(Listen{Chain: Chain(cfg(M{"rate": "x"}))}); !errors.As(err, &rejected) {
				b.Logf("%v: the host refuses by itself", err)
				if err == nil {
					b.Fatal("the configuration was taken")
				}
				return
			}
			stats, err := b.Envoy.Stats(`listener_manager\.lds\.update_rejected`)
			if err != nil || stats["listener_manager.lds.update_rejected"] < 1 {
				b.Errorf("listener_manager.lds.update_rejected: %v %v", stats, err)
			}
			dump, err := b.Envoy.Admin("/config_dump?resource=dynamic_listeners&mask=name,error_state")
			if err != nil {
				b.Fatal(err)
			}
			Contains(b, "config_dump", dump, `"error_state"`)
			Contains(b, "config_dump", dump, ln.Name)
		}},
		{Name: "refused: a route's configuration, while the old routes serve", Run: func(b *Bed) {
			ln := b.Listen(Listen{
				RDS: true, Chain: Chain(cfg(M{})),
				Routes: []M{To("up", "/body/r", b.PerRoute(Chain(cfg(M{"rate": 3})))), To("up", "/")},
			})
			shown(b, ln.Do(client.Request{Path: "/body/r"}), "rate", 3)
			for _, doc := range []any{Chain(cfg(M{"rate": "x"})), Chain(M{"name": "nosuch"}), Chain(cfg(M{"rat": 1}))} {
				c, err := b.Host.Route(b, FilterName, doc)
				if err == nil {
					err = ln.SetRoutes(To("up", "/", M{"typed_per_filter_config": M{FilterName: c}}))
				}
				text := refusal(b, err) + b.HostLog().Since(b.mark)
				Contains(b, "the reason", text, "plugins[0]")
				shown(b, ln.Do(client.Request{Path: "/body/r"}), "rate", 3)
			}
		}},
		{Name: "refused: what only the merge shows, at the latest by that route", Run: func(b *Bed) {
			// The route's part is good by itself; over the filter's it is not.
			ln, err := b.TryListen(Listen{Chain: Chain(cfg(M{"rate": 1})), Routes: []M{
				To("up", "/body/r", b.PerRoute(Chain(cfg(M{"fail": "provision"})))), To("up", "/"),
			}})
			if err == nil {
				r := ln.Do(client.Request{Path: "/body/r"})
				Equal(b, "status", r.Status, 500)
				Equal(b, "upstream requests", len(b.Up.Seen(r.ID)), 0)
				shown(b, ln.Do(client.Request{Path: "/body/x"}), "rate", 1)
			}
			b.WaitLog("told to fail in Provision")
		}},
		{Name: "refused: secrets stay out of messages", Run: func(b *Bed) {
			secret := "hush-" + client.NewID()
			ln := b.Listen(Listen{Chain: Chain(cfg(M{"token": secret}))})
			shown(b, ln.Do(client.Request{}), "token", len(secret))
			for _, c := range []M{
				{"token": secret, "rate": "x"},
				{"token": M{"nofile": secret}},
				{"token": A{secret}},
				{"token": secret, "fail": "provision"},
				{"token": secret, "fail": "validate"},
			} {
				refusal(b, ln.Update(Listen{Chain: Chain(cfg(c))}))
			}
			b.Access(ln.Do(client.Request{}).ID)
			if log := b.HostLog().Since(b.mark); strings.Contains(log, secret) {
				b.Errorf("the log has the secret: %s", regexp.MustCompile(`.*`+secret+`.*`).FindString(log))
			}
		}},
		{Name: "refused: ten at once leave nothing behind", Run: func(b *Bed) {
			b.Sweep()
			before := b.Live()
			for i := range 10 {
				// The first plugin is provisioned, the second fails: the first must be closed again.
				_, err := b.TryListen(Listen{Chain: Chain(Probe(fmt.Sprint("p", i)), cfg(M{"fail": "provision"}))})
				refusal(b, err)
			}
			b.Poll(func() error {
				now := b.Live()
				p, c := now["provisioned"]-before["provisioned"], now["closed"]-before["closed"]
				if p != c || p != 10 {
					return fmt.Errorf("%d provisioned, %d closed, want 10 of each", p, c)
				}
				return nil
			})
		}},
	}
}
