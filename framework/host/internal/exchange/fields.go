package exchange

import (
	"slices"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
)

// AppendLent appends copies of fields whose strings are Envoy's memory, which is lent for the call. All strings share one
// allocation.
func AppendLent(to, lent []core.Field) []core.Field {
	size := 0
	for i := range lent {
		size += len(lent[i].Name) + len(lent[i].Value)
	}
	joined := make([]byte, 0, size)
	for i := range lent {
		joined = append(append(joined, lent[i].Name...), lent[i].Value...)
	}
	text := unsafe.String(unsafe.SliceData(joined), size)
	to = slices.Grow(to, len(lent))
	for i := range lent {
		name, field := len(lent[i].Name), len(lent[i].Name)+len(lent[i].Value)
		to = append(to, core.Field{Name: text[:name], Value: text[name:field]})
		text = text[field:]
	}
	return to
}
