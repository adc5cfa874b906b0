package assembly

import "mosn.io/moe/framework/chain"

// Chains returns Chain(r) and the chains of its consumers, for hosts that ask ahead what streams may want. It returns
// none where Chain fails.
func (f *Filter) Chains(r *Route) []*chain.Chain {
	b := f.own
	if r != nil {
		v, ok := f.pairs.Load(r)
		if !ok || v.(*pair).b == nil {
			return nil
		}
		b = v.(*pair).b
	}
	return b.chains(nil)
}

func (b *built) chains(all []*chain.Chain) []*chain.Chain {
	all = append(all, b.chain)
	for _, c := range b.joiner.all() {
		all = c.chains(all)
	}
	return all
}
