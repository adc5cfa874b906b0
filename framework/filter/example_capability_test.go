package filter_test

import (
	"errors"
	"fmt"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// Sticky sends a user's requests to one host of the cluster, which it cannot do without a host that can.
type Sticky struct {
	namespace string
	note      bool
}

func init() {
	filter.Register[Sticky]("sticky", filter.Traffic, filter.Needs(filter.CanSetUpstreamHost|filter.CanUseFilterState))
}

// Provision asks for what the plugin can do without.
func (p *Sticky) Provision(env *filter.Env) error {
	p.namespace, p.note = env.ID, env.Has(filter.CanSetMetadata)
	return nil
}

func (p *Sticky) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	addr, err := s.FilterState("user.host")
	if errors.Is(err, filter.ErrNotFound) {
		return filter.Continue
	}
	if err == nil {
		err = s.SetUpstreamHost(addr, true)
	}
	if err == nil && p.note {
		err = s.SetMetadata(p.namespace, "host", addr)
	}
	if err == nil {
		err = s.SetFilterState("sticky", addr)
	}
	if err != nil {
		return filter.Fail(err)
	}
	return filter.Continue
}

func (p *Sticky) OnComplete(s filter.Stream) {
	if v, err := s.Metadata(p.namespace, "host"); err == nil {
		s.Log().Info("sticky", "host", v)
	}
}

// What a host cannot do, a plugin needs, and is refused without, or asks for.
func ExampleNeeds() {
	h := run(&Sticky{})
	h.FilterState = map[string]string{"user.host": "10.0.0.7:80"}
	r := h.Get("/")
	fmt.Println(r.UpstreamHost, r.Metadata["sticky/host"])

	lacking := &filtertest.Host{Lacks: filter.CanUseFilterState}
	fmt.Println(lacking.Load(exampleT{}, &Sticky{}))
	// Output:
	// 10.0.0.7:80 10.0.0.7:80
	// sticky: this host lacks CanUseFilterState
}

// A set of capabilities prints the names of all it has. docs/hosts.md tells which host has which.
func ExampleCapability() {
	var all filter.Capability
	for _, c := range []filter.Capability{
		filter.CanCallout, filter.CanClearRouteCache, filter.CanRecordHistogram, filter.CanStreamReply,
		filter.CanPipePromptly, filter.CanReadSecret,
	} {
		all |= c
		fmt.Println(c)
	}
	fmt.Println(all&filter.CanReadSecret != 0)
	// Output:
	// CanCallout
	// CanClearRouteCache
	// CanRecordHistogram
	// CanStreamReply
	// CanPipePromptly
	// CanReadSecret
	// true
}
