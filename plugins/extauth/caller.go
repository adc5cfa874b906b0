package extauth

import (
	"slices"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/claims"
)

// caller is what an answer has changed of the headers that may say who a request is from. A cache is to keep the responses apart,
// although it sees the credential no longer that the service has seen.
type caller []string

// lose notes a header that is about to be removed.
func (c *caller) lose(h filter.RequestHeaders, name string) {
	for _, v := range h.Values(name) {
		c.add(field{name, v})
	}
}

// add notes a header that the service sets.
func (c *caller) add(f field) { *c = append(*c, f.name+":"+f.value) }

// tell adds what is noted to the request's caller.
func (c *caller) tell(s filter.Stream) {
	if len(*c) == 0 {
		return
	}
	slices.Sort(*c) // the fields of an answer over HTTP are in no order
	claims.AddCaller(s, *c...)
}
