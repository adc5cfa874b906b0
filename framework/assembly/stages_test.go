package assembly

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// metaHost keeps dynamic metadata, as the filters of one stream share them.
type metaHost struct {
	core.Host
	data map[string]any
}

func (metaHost) BufferLimit() int { return 0 }
func (metaHost) Escaped()         {}

func (h metaHost) SetMetadata(ns, key string, v any) error {
	h.data[ns+"/"+key] = v
	return nil
}

func (h metaHost) Metadata(ns, key string) (any, error) {
	if v, ok := h.data[ns+"/"+key]; ok {
		return v, nil
	}
	return nil, core.ErrNotFound
}

var seenBy = filter.NewSharedKey("assembly.seenby")

// taker notes what it finds of what plugins in filters before have left.
type taker struct {
	Refuse bool `json:"refuse"`
}

func (p *taker) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if p.Refuse {
		return filter.Reply(403, "no")
	}
	who := "nobody"
	if c := s.Consumer(); c != nil {
		who = c.Name + " " + c.Labels["plan"]
		if level, ok := c.Attributes["level"].(int64); ok && level == 3 && c.InGroup("staff") {
			who += " staff 3"
		}
	}
	h.Add("x-taker", who)
	if v, ok := seenBy.Get(s); ok {
		h.Add("x-seen", v)
	}
	return filter.Continue
}

func (p *taker) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Add("x-taker", "response")
	return filter.Continue
}

// giver is a plugin of stage access that leaves a value.
type giver struct{}

func (*giver) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	seenBy.Set(s, "giver\xff")
	return filter.Continue
}

func init() {
	filter.Register[taker]("taker", filter.Traffic)
	filter.Register[taker]("latertaker", filter.Observe)
	filter.Register[giver]("giver", filter.Access)
}

const dividedDoc = `{plugins: [{name: giver}, {name: key}, {name: claim, config: {header: x-user}}, {name: taker}, {name: latertaker}],
	authentication: any, consumerHeader: x-caller,
	consumers: [{name: alice, groups: [staff], labels: {plan: gold}, attributes: {level: 3}, credentials: {key: {key: a}},
		plugins: [{id: taker, disabled: true}]}], stages: `

// throughParts runs a request through filters that divide a document, and returns what the upstream sees, or the
// details of a reply.
func throughParts(t *testing.T, a *Assembler, stages []string, fields ...core.Field) (up []string, replied string) {
	t.Helper()
	host := metaHost{data: map[string]any{}}
	for _, list := range stages {
		f := mustFilter(t, a, dividedDoc+list+"}")
		defer f.Close()
		c, err := f.Chain(nil)
		if err != nil {
			t.Fatalf("Chain: got error %v, want none", err)
		}
		st := c.Start(host, &countingSink{})
		defer st.Done()
		b := &st.H[core.RequestHeaders]
		b.Fields, b.Present = append(b.Fields, fields...), true
		st.Headers(core.Request, true)
		if st.Replied {
			return nil, st.ReplyDetails
		}
		fields = append([]core.Field(nil), b.Fields...)
	}
	for _, f := range fields {
		up = append(up, f.Name+": "+f.Value)
	}
	return up, ""
}

// Wherever the document is divided, a request meets the same plugins, in the same order, which know the same of it.
func TestDividedChains(t *testing.T) {
	a, _ := fixture(t)
	whole := []string{"[access, authn, authz, traffic, transform, observe]"}
	for name, c := range map[string]struct {
		fields []core.Field
	}{
		"a consumer with a chain of its own": {fields: []core.Field{{Name: "x-key", Value: "a"}}},
		"nobody":                             {fields: []core.Field{{Name: "x-key", Value: "unknown"}}},
		"headers that clients forge": {fields: []core.Field{
			{Name: "x-user", Value: "root"}, {Name: "x_caller", Value: "root"}, {Name: "x-moe-consumer", Value: "root"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			want, _ := throughParts(t, a, whole, c.fields...)
			if len(want) == 0 {
				t.Fatal("the request does not pass the whole chain; want it to")
			}
			for from := range document.Stages {
				cut := func(list []string) string { return "[" + strings.Join(list, ",") + "]" }
				for to := from; to < len(document.Stages); to++ {
					var stages []string
					for _, part := range [][]string{document.Stages[:from], document.Stages[from:to], document.Stages[to:]} {
						if len(part) > 0 {
							stages = append(stages, cut(part))
						}
					}
					t.Run(strings.Join(stages, ""), func(t *testing.T) {
						got, _ := throughParts(t, a, stages, c.fields...)
						if diff := cmp.Diff(want, got); diff != "" {
							t.Errorf("what the upstream sees (-whole +divided):\n%s", diff)
						}
					})
				}
			}
		})
	}
}

// A request that has not passed the part before is refused; a reply of that part passes no plugin behind.
func TestPartsThatFollow(t *testing.T) {
	a, _ := fixture(t)
	t.Run("without the part before", func(t *testing.T) {
		_, replied := throughParts(t, a, []string{"[traffic, transform, observe]"}, core.Field{Name: "x-key", Value: "a"})
		if replied != "moe.part" {
			t.Errorf("got a reply with details %q, want moe.part", replied)
		}
	})
	t.Run("a response without a request", func(t *testing.T) {
		f := mustFilter(t, a, dividedDoc+"[traffic, transform, observe]}")
		defer f.Close()
		c, err := f.Chain(nil)
		if err != nil {
			t.Fatalf("Chain: got error %v, want none", err)
		}
		st := c.Start(metaHost{data: map[string]any{core.PartNamespace + "/before": `{"consumer":{"name":"alice"}}`}}, &countingSink{})
		defer st.Done()
		st.Skip(core.Request)
		b := &st.H[core.ResponseHeaders]
		b.Fields, b.Present = append(b.Fields, core.Field{Name: ":status", Value: "401"}), true
		st.Headers(core.Response, true)
		if diff := cmp.Diff([]core.Field{{Name: ":status", Value: "401"}}, b.Fields); diff != "" {
			t.Errorf("the response (-want +got):\n%s", diff)
		}
		if c, _ := st.Consumer.(*filter.Consumer); c == nil || c.Name != "alice" {
			t.Errorf("got the consumer %v, want alice, for plugins that note the stream's end", c)
		}
	})
}

func TestStagesRefused(t *testing.T) {
	for _, c := range []struct{ name, doc, route, want string }{
		{name: "unknown", doc: `{plugins: [{name: taker}], stages: [late]}`, want: "stages[0]: expected"},
		{name: "twice", doc: `{plugins: [{name: taker}], stages: [access, access]}`, want: "stages"},
		{name: "a gap", doc: `{plugins: [{name: taker}], stages: [access, authz]}`, want: "stages[1]: expected stages that follow each other"},
		{
			name: "listed", doc: `{plugins: [{name: taker}], order: listed, stages: [access]}`,
			want: "order: plugins that run as listed cannot be divided",
		},
		{
			name: "listed on a route", doc: `{plugins: [{name: taker}], stages: [access]}`, route: `{order: listed}`,
			want: "order: plugins that run as listed cannot be divided",
		},
		{name: "of a route", doc: `{plugins: [{name: taker}]}`, route: `{stages: [access]}`, want: "stages: belongs to the filter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, err := config.Parse([]byte(c.doc))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if c.route == "" {
				err = Validate(ChainName, doc, ^filter.Capability(0))
			} else {
				route, _ := config.Parse([]byte(c.route))
				err = ValidateRoute(ChainName, doc, route, ^filter.Capability(0))
			}
			var all config.Errors
			if !errors.As(err, &all) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
