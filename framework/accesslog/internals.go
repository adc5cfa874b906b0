package accesslog

import "mosn.io/moe/framework/internal/core"

// Source is what a host provides for entries. Number is the entry's; a source that is asked for one that is over, or on
// another thread, returns zero values.
type Source interface {
	Texts(number uint64, fields []TextField, into []string)
	Number(number uint64, f NumberField) uint64
	Truth(number uint64, f TruthField) bool
	Addr(number uint64, f AddrField) (ip string, port uint16)
	List(number uint64, f ListField) []string
	Time(number uint64, f TimeField) (unix int64)
	Flags(number uint64) Flags
	Times(number uint64) Times
	Bytes(number uint64) Bytes
	Header(number uint64, block int, name string) (string, bool)
	Headers(number uint64, block int) []core.Field
	Metadata(number uint64, namespace, path string) (any, bool)
}

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

type internals struct{}

// NewEntry makes an entry.
func (internals) NewEntry(s Source, number uint64, event Event) Entry { return Entry{s, number, event} }
