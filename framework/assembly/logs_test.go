package assembly

import (
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// talker logs in its phase, and keeps its Env for lines of no stream.
type talker struct {
	Lines int `json:"lines" default:"1"`

	env *filter.Env
}

func init() { filter.Register[talker]("talker", filter.Traffic) }

func (k *talker) Provision(env *filter.Env) error {
	k.env = env
	return nil
}

func (k *talker) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	for range k.Lines {
		s.Log().Debug("fine")
		s.Log().Info("plain")
	}
	return filter.Continue
}

// said runs a request and returns which levels a filter's chain for a route logs, and those that its plugin logs outside of
// streams.
func said(t *testing.T, h *host, f *Filter, r *Route) (stream, background string) {
	t.Helper()
	before := len(h.text())
	c, err := f.Chain(r)
	if err != nil {
		t.Fatalf("f.Chain: %v", err)
	}
	st := c.Start(nowhere{}, &countingSink{})
	st.H[core.RequestHeaders].Present = true
	st.Headers(core.Request, true)
	st.Done()
	middle := len(h.text())
	env := pluginOf[talker](t, f, r, 0).env
	env.Log().Debug("fine")
	env.Log().Info("plain")
	levels := func(text string) string {
		var all []string
		for line := range strings.Lines(text) {
			if _, rest, ok := strings.Cut(line, "level="); ok && strings.Contains(line, "plugin=talker") {
				level, _, _ := strings.Cut(rest, " ")
				all = append(all, level)
			}
		}
		return strings.Join(all, " ")
	}
	return levels(h.text()[before:middle]), levels(h.text()[middle:])
}

// Each level of configuration says how much of a plugin is logged, and nobody loses the plugin's state by that.
func TestLogLevel(t *testing.T) {
	a, h := fixture(t)
	f := mustFilter(t, a, `plugins: [{name: talker}]`)
	defer f.Close()
	expect := func(what string, f *Filter, r *Route, wantStream, wantBackground string) {
		t.Helper()
		if stream, background := said(t, h, f, r); stream != wantStream || background != wantBackground {
			t.Errorf("%s: logged of the stream %q and of none %q, want %q and %q", what, stream, background, wantStream, wantBackground)
		}
	}
	expect("by default", f, nil, "INFO", "INFO")

	r := mustRoute(t, a, `plugins: [{id: talker, logLevel: debug}]`)
	expect("a route that asks for more", f, r, "DEBUG INFO", "DEBUG INFO")
	expect("another route meanwhile", f, nil, "INFO", "DEBUG INFO")
	if pluginOf[talker](t, f, nil, 0) != pluginOf[talker](t, f, r, 0) {
		t.Errorf("the route has an instance of its own, want that of the filter")
	}
	r.Close()

	quiet := mustFilter(t, a, `plugins: [{name: talker, logLevel: off}]`)
	defer quiet.Close()
	expect("a filter that wants nothing, and one by default", quiet, nil, "", "INFO")
	r = mustRoute(t, a, `plugins: [{id: talker, logLevel: info}]`)
	expect("a route over that", quiet, r, "INFO", "INFO")
	r.Close()
}

// A chain has the limit that its document says, and a route may change it.
func TestLogRepeats(t *testing.T) {
	a, h := fixture(t)
	f := mustFilter(t, a, `plugins: [{name: talker, logRepeats: 2, config: {lines: 200}}]`)
	defer f.Close()
	count := func(r *Route) int {
		t.Helper()
		stream, _ := said(t, h, f, r)
		return len(strings.Fields(stream))
	}
	r := mustRoute(t, a, `plugins: [{id: talker, logRepeats: 0}]`)
	defer r.Close()
	if got := count(r); got != 200 {
		t.Errorf("%d of 200 lines are logged without a limit, want all", got)
	}
	if got := count(nil); got > 100 { // some, as an interval may end
		t.Errorf("%d of 200 lines are logged with a limit of 2", got)
	}
}

func TestLogErrors(t *testing.T) {
	a, _ := fixture(t)
	for _, c := range []struct{ name, entry, want string }{
		{
			name: "an unknown level", entry: `logLevel: verbose`,
			want: `plugins[0].logLevel: expected "trace", "debug", "info", "warn", "error" or "off", got another string`,
		},
		{name: "a limit below none", entry: `logRepeats: -1`, want: `plugins[0].logRepeats: expected a number of 0 or more; 0 removes the limit`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := a.Filter(ChainName, doc(t, `{plugins: [{name: own, `+c.entry+`}]}`))
			if err == nil || err.Error() != c.want {
				t.Errorf("a filter's: got error %v, want %s", err, c.want)
			}
			err = ValidateRoute(ChainName, doc(t, `plugins: [{name: own}]`), doc(t, `plugins: [{name: own, `+c.entry+`}]`), host1)
			if err == nil || err.Error() != c.want {
				t.Errorf("a route's: got error %v, want %s", err, c.want)
			}
		})
	}
}
