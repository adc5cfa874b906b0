package dynmod

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/framework/filter"
)

type a = conformance.A

const patience = 30 * time.Second

// vault is an Envoy with a static secret in its bootstrap.
type vault struct {
	*testing.T
	envoy *envoytest.Envoy
}

// onEnvoys runs f with each Envoy for which it is.
func onEnvoys(t *testing.T, which func(version string) bool, f func(v *vault)) {
	fixed := m{"static_resources": m{"secrets": a{m{
		"name": "fixed", "generic_secret": m{"secret": m{"inline_string": "from the bootstrap"}},
	}}}}
	conformance.OnEnvoys(t, &Host{}, which, envoytest.Options{Bootstrap: fixed},
		func(t *testing.T, e *envoytest.Envoy, _ *upstream.Server) { f(&vault{t, e}) })
}

func newer(version string) bool { return !older(version) }

// filter is the HTTP filter with secrets and a plugin that tells in x-got what it makes of script.
func (v *vault) filter(script string, secrets ...any) m {
	v.Helper()
	doc := conformance.Chain(conformance.Probe("p", "response_headers", "set x-got '"+script+"'"))
	doc["generic_secrets"] = secrets
	return v.named(conformance.FilterName, doc)
}

func (v *vault) named(name string, doc any) m {
	v.Helper()
	f, err := (&Host{}).Filter(v, name, doc)
	if err != nil {
		v.Fatal(err)
	}
	return f.HTTP[0]
}

// serve has Envoy serve one listener, "l", with filter.
func (v *vault) serve(filter m) error {
	v.Helper()
	return v.envoy.SetListeners([]m{conformance.OwnListener("l", nil, filter)})
}

func (v *vault) got() (string, error) {
	addr, err := v.envoy.ListenerAddress("l")
	if err != nil {
		return "", err
	}
	client.CloseIdle() // another connection may be of another worker
	r, err := client.Do(addr, client.Request{})
	if err != nil {
		return "", err
	}
	return r.Header.Get("x-got"), nil
}

// wait waits until ten requests in a row see want.
func (v *vault) wait(want string) {
	v.Helper()
	if err := envoytest.Poll(patience, func() error {
		for range 10 {
			if got, err := v.got(); err != nil || got != want {
				return fmt.Errorf("got %q, error %v", got, err)
			}
		}
		return nil
	}); err != nil {
		v.Fatalf("want %q: %v", want, err)
	}
}

func (v *vault) file(name, value string) *conformance.SecretFile {
	v.Helper()
	f, err := conformance.NewSecretFile(v.envoy.Dir, name, value)
	if err != nil {
		v.Fatal(err)
	}
	return f
}

// logged waits until Envoy's log has a text.
func (v *vault) logged(mark int, text string) {
	v.Helper()
	if _, err := v.envoy.Log.Wait(mark, regexp.QuoteMeta(text), patience); err != nil {
		v.Error(err)
	}
}

const both = "${secret.fixed}, ${secret.live}, ${secret.other}"

// A document's secrets are Envoy's: static ones, and those of SDS with each value that they get.
func TestSecrets(t *testing.T) {
	onEnvoys(t, newer, func(v *vault) {
		live := v.file("live", "first")
		if err := v.serve(v.filter(both, m{"name": "fixed"}, live.Config())); err != nil {
			v.Fatal(err)
		}
		none := ", error: " + filter.ErrNotFound.Error()
		v.wait("from the bootstrap, first" + none)
		for i := range 3 {
			value := fmt.Sprint("value ", i)
			if err := live.Set(value); err != nil {
				v.Fatal(err)
			}
			v.wait("from the bootstrap, " + value + none)
		}
		// What cannot be used leaves the value that is there.
		if err := os.WriteFile(live.Path+".bad", []byte("{"), 0o600); err != nil {
			v.Fatal(err)
		}
		mark := v.envoy.Log.Mark()
		if err := os.Rename(live.Path+".bad", live.Path); err != nil {
			v.Fatal(err)
		}
		if _, err := v.envoy.Log.Wait(mark, `(?i)config update (rejected|failure)`, patience); err != nil {
			v.Fatal(err)
		}
		v.wait("from the bootstrap, value 2" + none)
	})
}

// A filter whose configuration is discovered, as in Istio, has its secrets too. A later configuration may use static ones
// and those that the filter had before: Envoy does not begin to fetch others then (see docs/hosts.md).
func TestSecretsOfDiscoveredFilter(t *testing.T) {
	onEnvoys(t, newer, func(v *vault) {
		path := filepath.Join(v.envoy.Dir, "ecds", "moe.json")
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			v.Fatal(err)
		}
		version := 0
		discover := func(filter m) {
			v.Helper()
			version++
			p, err := json.Marshal(m{"version_info": fmt.Sprint(version), "resources": a{m{
				"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
				"name":  "moe", "typed_config": filter["typed_config"],
			}}})
			if err != nil {
				v.Fatal(err)
			}
			if err := envoytest.Replace(path, p); err != nil {
				v.Fatal(err)
			}
		}
		live := v.file("live", "first")
		none := "error: " + filter.ErrNotFound.Error()
		discover(v.filter(both, live.Config()))
		if err := v.serve(m{"name": "moe", "config_discovery": m{
			"config_source": m{"path_config_source": m{"path": path}, "resource_api_version": "V3"},
			"type_urls":     a{"type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"},
		}}); err != nil {
			v.Fatal(err)
		}
		v.wait(none + ", first, " + none)
		discover(v.filter(both, live.Config(), m{"name": "fixed"}))
		v.wait("from the bootstrap, first, " + none)
		if err := live.Set("second"); err != nil {
			v.Fatal(err)
		}
		v.wait("from the bootstrap, second, " + none)
	})
}

// A secret that has not arrived is not found, and delays the listener for a limited time only.
func TestSecretComesLate(t *testing.T) {
	onEnvoys(t, newer, func(v *vault) {
		live := v.file("live", "late")
		path := live.Path
		live.Path = filepath.Join(filepath.Dir(path), "other.json")
		entry := live.Config()
		entry["sds_config"].(m)["initial_fetch_timeout"] = "0.5s"
		if err := os.WriteFile(live.Path, []byte(`{"version_info": "0", "resources": []}`), 0o600); err != nil {
			v.Fatal(err)
		}
		if err := v.serve(v.filter("${secret.live}", entry)); err != nil {
			v.Fatal(err)
		}
		v.wait("error: " + filter.ErrNotFound.Error())
		if err := os.Rename(path, live.Path); err != nil {
			v.Fatal(err)
		}
		v.wait("late")
	})
}

// What Envoy cannot subscribe to is refused with its place, and the configuration before serves on.
func TestBadSecrets(t *testing.T) {
	onEnvoys(t, newer, func(v *vault) {
		good := v.file("live", "good")
		if err := v.serve(v.filter(both, good.Config())); err != nil {
			v.Fatal(err)
		}
		nowhere := v.file("nowhere", "x").Config()
		nowhere["sds_config"].(m)["path_config_source"] = m{"path": "/nowhere/at/all.json"}
		before, err := v.got()
		if err != nil {
			v.Fatal(err)
		}
		for name, c := range map[string]struct {
			secrets a
			want    []string
		}{
			"an unknown static one": {a{m{"name": "fixed"}, m{"name": "nosuch"}}, []string{
				"generic_secrets[1]: ", "static_resources.secrets",
			}},
			"a file that is not there": {a{good.Config(), nowhere}, []string{"generic_secrets[1]: ", "sds_config"}},
			"an unknown field": {
				a{m{"name": "live", "sds_config": m{"nonsense": 1}}},
				[]string{"generic_secrets[0]: ", "sds_config"},
			},
			"an ADS that is not there": { // which Envoy finds out later, and says itself
				a{m{"name": "live", "sds_config": m{"resource_api_version": "V3", "ads": m{}}}},
				[]string{"ADS must be configured"},
			},
			"an empty source": {a{m{"name": "live", "sds_config": m{}}}, []string{"generic_secrets[0]: ", "sds_config"}},
			"no name":         {a{m{"sds_config": m{"ads": m{}}}}, []string{"generic_secrets[0].name: is required"}},
			"two of one name": {a{good.Config(), good.Config()}, []string{"generic_secrets[1].name: ", "duplicate secret name"}},
			"a wrong type":    {a{"live"}, []string{"generic_secrets[0]: expected an object"}},
			"a misspelt field": {
				a{m{"name": "fixed", "sdsconfig": m{}}},
				[]string{"generic_secrets[0].sdsconfig: unknown field", "sds_config"},
			},
		} {
			mark := v.envoy.Log.Mark()
			if err := v.serve(v.filter(both, c.secrets...)); err == nil {
				v.Fatalf("%s is taken", name)
			}
			for _, w := range c.want {
				v.logged(mark, w)
			}
			v.wait(before)
		}
	})
}

// On Envoys that do not show secrets to modules, a document that lists secrets is refused, with the reason.
func TestSecretsNeedNewerEnvoy(t *testing.T) {
	onEnvoys(t, older, func(v *vault) {
		for why, f := range map[string]m{
			"generic_secrets: needs Envoy 1.40 or later":  v.filter(both, m{"name": "fixed"}),
			"needs CanReadSecret, which this host cannot": v.named("probesecrets", m{}),
		} {
			mark := v.envoy.Log.Mark()
			if err := v.serve(f); err == nil {
				v.Errorf("a filter that %s is taken", why)
			}
			v.logged(mark, why)
		}
	})
}
