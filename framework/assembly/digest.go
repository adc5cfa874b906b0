package assembly

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"math"
	"slices"

	"mosn.io/moe/framework/config"
)

// digest stands for a configuration in keys. It is keyed with a random value of this process, so that who reads it
// cannot try secrets against it.
type digest [sha256.Size]byte

var digestKey = func() []byte {
	key := make([]byte, sha256.Size)
	rand.Read(key) // it never fails
	return key
}()

type hasher struct{ h hash.Hash }

func newHash() hasher { return hasher{hmac.New(sha256.New, digestKey)} }

func (h hasher) sum() digest { return digest(h.h.Sum(nil)) }

// value writes generic data so that equal data gives equal bytes: keys in order, numbers alike whatever their Go type,
// and lengths before what has one.
func (h hasher) value(v any) {
	switch v := v.(type) {
	case map[string]any:
		fmt.Fprintf(h.h, "{%d:", len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			h.value(k)
			h.value(v[k])
		}
	case []any:
		fmt.Fprintf(h.h, "[%d:", len(v))
		for _, e := range v {
			h.value(e)
		}
	case string:
		fmt.Fprintf(h.h, `"%d:%s`, len(v), v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			fmt.Fprintf(h.h, "#%d;", int64(v))
		} else {
			fmt.Fprintf(h.h, "#%g;", v)
		}
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, json.Number:
		fmt.Fprintf(h.h, "#%v;", v)
	default:
		fmt.Fprintf(h.h, "%T:%v;", v, v)
	}
}

// secrets writes what the secrets that v refers to hold, so that a new password in an old file is a change.
func (h hasher) secrets(v any, reader *config.SecretReader) {
	sum := reader.Digest(v)
	h.h.Write(sum[:])
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
