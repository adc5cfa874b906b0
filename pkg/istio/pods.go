package istio

import (
	"maps"
	"slices"
)

// pod is a workload among the input, or the pods that Istio makes for a Gateway of the Gateway API.
type pod struct {
	ns     string
	labels map[string]string
}

// podIndex finds pods by their labels. With a label that it does not have, it looks at all.
type podIndex struct {
	pods    []pod
	byLabel map[string][]int
	known   map[string][]int // by scope: see in
}

func (w *world) indexPods() *podIndex {
	x := &podIndex{byLabel: map[string][]int{}, known: map[string][]int{}}
	for _, ns := range slices.Sorted(maps.Keys(w.pods)) {
		for _, labels := range w.pods[ns] {
			x.add(pod{ns, labels})
		}
	}
	for _, g := range w.gateways {
		// With parameters of its own, a Gateway's pods may have any labels.
		if g.api == gatewayAPI && g.managed() && dig(g.Data, "spec", "infrastructure", "parametersRef") == nil {
			x.add(pod{g.id.ns, g.ownLabels()})
		}
	}
	return x
}

func (x *podIndex) add(p pod) {
	for k, v := range p.labels {
		x.byLabel[k+"="+v] = append(x.byLabel[k+"="+v], len(x.pods))
	}
	x.pods = append(x.pods, p)
}

// in returns the pods of a scope, in order.
func (x *podIndex) in(s scope) []int {
	key := s.key()
	if found, ok := x.known[key]; ok {
		return found
	}
	var found []int
	check := func(i int) {
		if (scope{ns: s.ns, labels: s.labels}).holds(scope{ns: x.pods[i].ns, labels: x.pods[i].labels}) {
			found = append(found, i)
		}
	}
	for k, v := range s.labels {
		for _, i := range x.byLabel[k+"="+v] {
			check(i)
		}
		x.known[key] = found
		return found
	}
	for i := range x.pods {
		check(i)
	}
	x.known[key] = found
	return found
}

// disjoint tells that there are pods in both scopes, and that none is in both.
func (x *podIndex) disjoint(a, b scope) bool {
	inA, inB := x.in(a), x.in(b)
	if len(inA) == 0 || len(inB) == 0 {
		return false
	}
	for i, j := 0, 0; i < len(inA) && j < len(inB); {
		switch {
		case inA[i] == inB[j]:
			return false
		case inA[i] < inB[j]:
			i++
		default:
			j++
		}
	}
	return true
}

// ownLabels are those that Istio gives to the pods of a Gateway of the Gateway API.
func (g *gatewayObject) ownLabels() map[string]string {
	own := texts(dig(g.Data, "metadata", "labels"))
	maps.Copy(own, texts(dig(g.Data, "spec", "infrastructure", "labels")))
	own[gatewayLabel] = g.id.name
	return own
}
