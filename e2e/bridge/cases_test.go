package bridge

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
)

// cases are behaviours that upstream's golang_integration_test.cc checks, under its names; bridge/README.md lists them
// all.
type cases map[string]func(t testing.TB, s *site)

const unshared = "modules are not shown Envoy's secrets: the bridge reads those of JSON files itself"

// limits are the cases that the bridge cannot pass because of the ABI of some Envoys: by name, why, and the prefixes of
// these versions (none stands for all). They run nevertheless, and one that passes must be removed from here.
var limits = map[string]struct {
	why    string
	envoys []string
}{
	"StaticSecret":                 {unshared, []string{"1.38.", "1.39."}},
	"StaticSecretGoRoutine":        {unshared, []string{"1.38.", "1.39."}},
	"a secret of a server":         {unshared, []string{"1.38.", "1.39."}},
	"a secret over ADS":            {unshared, []string{"1.38.", "1.39."}},
	"a secret that comes late":     {unshared, []string{"1.38.", "1.39."}},
	"a secret in a YAML file":      {unshared, []string{"1.38.", "1.39."}},
	"SslConnectionWithCertificate": {why: "six fields of the peer's certificate are shown to access loggers only"},
	"xds.filter_chain_name":        {"the attribute is empty for modules", []string{"1.38.", "1.39."}},
	"response.flags":               {"the attribute is missing for modules", []string{"1.38."}},
	"AttemptCount":                 {"the attribute is missing for modules", []string{"1.38."}},
	"VirtualClusterName":           {"modules are not shown it", []string{"1.38."}},

	"upstream.requested_server_name": {"the attribute is missing for modules", []string{"1.38.", "1.39."}},
	"xds.virtual_cluster_name":       {"the attribute is missing for modules", []string{"1.38."}},
	"xds.virtual_host_name":          {"the attribute is missing for modules, or the virtual cluster's", []string{"1.38.", "1.39."}},
}

func limited(name, version string) (why string) {
	l, ok := limits[name]
	if ok && len(l.envoys) == 0 {
		return l.why
	}
	for _, prefix := range l.envoys {
		if strings.HasPrefix(version, prefix) {
			return l.why
		}
	}
	return ""
}

// run runs the cases on a site of its own of each Envoy.
func (cs cases) run(t *testing.T, l func() listen) {
	t.Helper()
	onEnvoys(t, func(t *testing.T, b *bed) { cs.on(t, b, l()) })
}

func (cs cases) on(t *testing.T, b *bed, l listen) {
	t.Helper()
	cs.at(t, b.serve(t, l))
}

func (cs cases) at(t *testing.T, s *site) {
	t.Helper()
	for name, run := range cs {
		t.Run(name, func(t *testing.T) {
			why := limited(name, s.bed.Binary.Version)
			if why == "" {
				run(t, s)
			} else if said := failure(t, func(t testing.TB) { run(t, s) }); said == "" {
				t.Errorf("passes, in spite of the limit %q", why)
			} else {
				t.Logf("limit: %s\n%s", why, said)
			}
		})
	}
}

// failure returns what f reports as errors.
func failure(t *testing.T, f func(testing.TB)) string {
	rec := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(rec)
	}()
	<-done
	return rec.said.String()
}

// recorder takes a test's errors.
type recorder struct {
	testing.TB
	said strings.Builder
}

func (r *recorder) Helper()                   {}
func (r *recorder) Errorf(f string, a ...any) { fmt.Fprintf(&r.said, f+"\n", a...) }
func (r *recorder) Error(a ...any)            { fmt.Fprintln(&r.said, a...) }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); runtime.Goexit() }
func (r *recorder) Fatal(a ...any)            { r.Error(a...); runtime.Goexit() }

// answers is an upstream that answers with these headers and chunks and, if trailer is true, a trailer. It sends the
// chunks at intervals, so that Envoy sees them apart.
func answers(status int, header http.Header, trailer bool, chunks ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header()[k] = v
		}
		if trailer {
			w.Header().Set("Trailer", "x-trailer")
		}
		w.WriteHeader(status)
		for i, c := range chunks {
			if i > 0 {
				time.Sleep(50 * time.Millisecond)
			}
			w.Write([]byte(c))
			http.NewResponseController(w).Flush()
		}
		if trailer {
			w.Header().Set("x-trailer", "bar")
		}
	}
}

var someHeaders = http.Header{"X-Test-Header-0": {"foo"}, "X-Test-Header-1": {"bar"}, "Existed-Header": {"foo"}}

// ask is a request as most cases send it.
func ask(query string, body ...string) client.Request {
	return client.Request{
		Method: "POST", Path: "/test" + query, Host: "test.com", Chunks: body,
		Header: []string{"x-test-header-0", "foo", "x-test-header-1", "bar", "existed-header", "foo"},
	}
}

func status(t testing.TB, r *client.Response, want int) {
	t.Helper()
	if r.Status != want {
		t.Errorf("status %d, want %d; body %q", r.Status, want, r.Body)
	}
}

func list(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}

func contains(t testing.TB, what, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%s: got %q, want %q in it", what, got, want)
	}
}
