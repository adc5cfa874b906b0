package nethttp

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
)

// change makes of h, whose fields were before, what after says. Fields that are the same in both are not touched.
func change(h filter.Headers, before, after http.Header) {
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[k]; !kept && !ours(k) {
			h.Del(k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(after)) {
		vs := after[k]
		if ours(k) || slices.Equal(vs, before[k]) {
			continue
		}
		h.Del(k)
		for _, v := range vs {
			h.Add(k, v)
		}
	}
}

// ours reports whether a field is the connection's, which is Envoy's, or one that announces trailers to net/http.
func ours(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Trailer", "Host":
		return true
	}
	return strings.HasPrefix(key, http.TrailerPrefix)
}

// trailers returns the trailers among a handler's header at its end: those with http.TrailerPrefix, and those that the
// header had announced when it was settled. The map may have a name in several spellings, one of which is next's with
// what the upstream sent; then another counts.
func trailers(end, settled, upstream http.Header) http.Header {
	t := http.Header{}
	for k, vs := range end {
		if name, ok := strings.CutPrefix(k, http.TrailerPrefix); ok {
			name = http.CanonicalHeaderKey(name)
			if _, twice := t[name]; !twice || !slices.Equal(vs, upstream[name]) {
				t[name] = vs
			}
		}
	}
	for _, line := range settled["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if vs, ok := end[name]; ok {
				t[name] = vs
			}
		}
	}
	return t
}
