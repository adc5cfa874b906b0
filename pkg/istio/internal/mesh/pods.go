package mesh

import (
	"maps"
	"slices"

	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// pod stands for a workload of the input, or for the pods that Istio makes for a Gateway of the Gateway API.
type pod struct {
	ns     string
	labels map[string]string
}

// podIndex finds pods by their labels.
type podIndex struct {
	pods    []pod
	byLabel map[string][]int
	known   map[string][]int // the result of in, by the key of the set
}

func (w *Mesh) indexPods() {
	x := &podIndex{byLabel: map[string][]int{}, known: map[string][]int{}}
	for _, ns := range slices.Sorted(maps.Keys(w.Pods)) {
		for _, labels := range w.Pods[ns] {
			x.add(pod{ns, labels})
		}
	}
	for _, g := range w.Gateways {
		if g.managed() && !g.anyLabels {
			x.add(pod{g.ID.Namespace, g.ownLabels})
		}
	}
	w.pods = x
}

func (x *podIndex) add(p pod) {
	for k, v := range p.labels {
		x.byLabel[k+"="+v] = append(x.byLabel[k+"="+v], len(x.pods))
	}
	x.pods = append(x.pods, p)
}

// in returns the indices of the pods in a set, in ascending order.
func (x *podIndex) in(s proxyset.Set) []int {
	key := s.Key()
	if found, ok := x.known[key]; ok {
		return found
	}
	var found []int
	check := func(i int) {
		if (proxyset.Set{Namespace: s.Namespace, Labels: s.Labels}).Contains(proxyset.Set{Namespace: x.pods[i].ns, Labels: x.pods[i].labels}) {
			found = append(found, i)
		}
	}
	for k, v := range s.Labels {
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

// disjoint reports whether there are pods in each of the sets and none in both.
func (x *podIndex) disjoint(a, b proxyset.Set) bool {
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

// Disjoint reports whether no proxy is in both sets, although their conditions allow it. Pods that Istio makes for a
// Gateway of the Gateway API never serve an Istio Gateway. And if the input has pods of both sets, it is taken to have all
// of them, so that the sets are disjoint unless they share one.
func (w *Mesh) Disjoint(a, b proxyset.Set) bool {
	if w.pods.disjoint(a, b) {
		return true
	}
	if a.Traffic != proxyset.Gateway {
		return false
	}
	if a.Labels[gatewayLabel] == "" {
		a, b = b, a
	}
	return a.Labels[gatewayLabel] != "" && b.Labels[gatewayLabel] == "" && w.deployedByHand[b.Key()]
}
