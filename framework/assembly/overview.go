package assembly

import (
	"cmp"
	"slices"

	"mosn.io/moe/framework/internal/core"
)

// Bounds of an overview.
const (
	mostFilters = 100
	mostChains  = 300 // of all filters together
	mostPlugins = 100 // of a chain
	mostSets    = 100
)

// Overview returns what is at work in the process. It takes no lock that is held while plugins are provisioned, so it may be
// called by any goroutine at any time.
func Overview() core.Overview {
	o := core.Overview{
		Filters: []core.FilterOverview{}, Instances: []core.InstanceOverview{}, ConsumerSets: []core.ConsumerSetOverview{},
		ConsumerChains: int(process.consumerChains.Load()),
	}
	chains := 0
	for _, f := range process.inOrder() {
		all := f.chains.Ready()
		if len(o.Filters) >= mostFilters {
			o.LeftOut += 1 + len(all)
			continue
		}
		of := core.FilterOverview{Host: f.a.host.Name(), Name: f.name, Chains: []core.ChainOverview{}}
		for _, l := range all {
			if chains++; chains > mostChains {
				o.LeftOut++
				continue
			}
			c, leftOut := l.chain.Overview(mostPlugins)
			of.Chains = append(of.Chains, c)
			o.LeftOut += leftOut
		}
		slices.SortFunc(of.Chains, func(a, b core.ChainOverview) int {
			return slices.CompareFunc(a.Plugins, b.Plugins, func(p, q core.PluginOverview) int { return cmp.Compare(p.ID, q.ID) })
		})
		o.Filters = append(o.Filters, of)
	}
	o.Instances = overviewOfInstances()
	for _, s := range consumerSets.Ready() {
		if len(o.ConsumerSets) >= mostSets {
			o.LeftOut++
			continue
		}
		o.ConsumerSets = append(o.ConsumerSets, core.ConsumerSetOverview{Source: s.path, Consumers: s.set.Len()})
	}
	slices.SortFunc(o.ConsumerSets, func(a, b core.ConsumerSetOverview) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Consumers, b.Consumers))
	})
	return o
}

// overviewOfInstances counts provisioned plugins and extensions of other kinds, by kind and name.
func overviewOfInstances() []core.InstanceOverview {
	counts := map[core.InstanceOverview]int{}
	for _, in := range instances.Ready() {
		counts[core.InstanceOverview{Kind: "http", Name: in.plugin.Reg.Name}]++
	}
	for _, x := range extensions.Ready() {
		counts[core.InstanceOverview{Kind: x.kind, Name: x.env.Plugin}]++
	}
	all := make([]core.InstanceOverview, 0, len(counts))
	for of, n := range counts {
		of.Count = n
		all = append(all, of)
	}
	slices.SortFunc(all, func(a, b core.InstanceOverview) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all
}
