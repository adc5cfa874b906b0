package core_test

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/internal/core"
)

// memory is a host's, which is overwritten when the host takes it back.
type memory struct{ bytes []byte }

func (m *memory) lend(text string) string {
	at := len(m.bytes)
	m.bytes = append(m.bytes, text...)
	return unsafe.String(unsafe.SliceData(m.bytes[at:]), len(text))
}

func (m *memory) takeBack() {
	for i := range m.bytes {
		m.bytes[i] = '#'
	}
}

func (m *memory) fields(all []core.Field) (lent []core.Field) {
	m.bytes = make([]byte, 0, 1<<16)
	for _, f := range all {
		lent = append(lent, core.Field{Name: m.lend(f.Name), Value: m.lend(f.Value)})
	}
	return lent
}

func manyFields(n int) (all []core.Field) {
	for i := range n {
		all = append(all, core.Field{Name: "x-" + strings.Repeat("n", i), Value: strings.Repeat("v", 3*i)})
	}
	return all
}

func TestOwnKeepsWhatWasLent(t *testing.T) {
	for name, fields := range map[string][]core.Field{
		"none":                 nil,
		"one":                  {{Name: ":path", Value: "/"}},
		"an empty value":       {{Name: "a"}, {Name: "b", Value: "1"}},
		"as many as there may": manyFields(core.MaxLent),
	} {
		t.Run(name, func(t *testing.T) {
			var host memory
			s := &core.Stream{}
			b := &s.H[core.RequestHeaders]
			b.Lend(host.fields(fields))
			want := append([]core.Field{}, fields...)
			for i := range fields {
				switch i % 3 {
				case 1:
					s.Value(b, i)
				case 2:
					b.SetValue(i, "set")
					want[i].Value = "set"
				}
			}
			b.Fields = append(b.Fields, core.Field{Name: "added", Value: "here"})
			b.Own()
			host.takeBack()
			if diff := cmp.Diff(append(want, core.Field{Name: "added", Value: "here"}), b.Fields); diff != "" {
				t.Errorf("after the host has taken its memory back (-want +got):\n%s", diff)
			}
			if b.IsLent() {
				t.Error("the block is lent after Own")
			}
		})
	}
}

func TestValueIsGosOwn(t *testing.T) {
	var host memory
	s := &core.Stream{}
	b := &s.H[core.RequestHeaders]
	fields := []core.Field{{Name: "short", Value: "value"}, {Name: "long", Value: strings.Repeat("x", 5000)}, {Name: "empty"}}
	var got []string
	for range 100 { // several times over what short values share
		b.Lend(host.fields(fields))
		for i := range fields {
			got = append(got, s.Value(b, i), s.Value(b, i))
		}
		host.takeBack()
	}
	for n, v := range got {
		if want := fields[n/2%len(fields)].Value; v != want {
			t.Fatalf("value %d is %.20q after the host has taken its memory back, want %.20q", n, v, want)
		}
	}
}

func TestValueOfMostRequestsAllocatesNothing(t *testing.T) {
	var host memory
	s := &core.Stream{}
	b := &s.H[core.RequestHeaders]
	lent := host.fields([]core.Field{{Name: ":method", Value: "GET"}, {Name: "authorization", Value: "Bearer 0123456789"}})
	n := testing.AllocsPerRun(1000, func() {
		b.Lend(lent)
		s.Value(b, 1)
		b.Drop()
	})
	if n != 0 {
		t.Errorf("%v allocations of a request that reads one short value, want 0", n)
	}
}
