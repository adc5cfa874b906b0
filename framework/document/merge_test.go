package document

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/config"
)

func decode(t testing.TB, text string) *Document {
	t.Helper()
	d := &Document{}
	if err := Decode(parse(t, text), d); err != nil {
		t.Fatalf("Decode of %s: %v", text, err)
	}
	return d
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ name, parent, child, want string }{
		{name: "nothing over nothing", parent: `{}`, child: `{}`, want: `{}`},
		{name: "child empty", parent: `{plugins: [{name: free}], order: listed}`, child: `{}`, want: `{plugins: [{name: free}], order: listed}`},
		{
			name: "fields replace", parent: `{order: stage, timeout: 1s, authentication: any, consumerHeader: x}`,
			child: `{order: listed, timeout: 2m, consumerSource: {path: /x}}`,
			want:  `{order: listed, timeout: 2m, authentication: any, consumerHeader: x, consumerSource: {path: /x}}`,
		},
		{
			name: "a new plugin comes last", parent: `plugins: [{name: free}]`, child: `plugins: [{name: strict}]`,
			want: `plugins: [{name: free}, {name: strict}]`,
		},
		{
			name: "configuration merges by the plugin's type", parent: `plugins: [{name: strict, config: {size: 1, tags: [a]}}]`,
			child: `plugins: [{id: strict, config: {tags: [b], size: null}}]`,
			want:  `plugins: [{name: strict, config: {tags: [a, b]}}]`,
		},
		{
			name: "configuration of an unknown plugin", parent: `plugins: [{name: later, config: {a: 1, l: [1]}}]`,
			child: `plugins: [{name: later, config: {b: 2, l: [2]}}]`,
			want:  `plugins: [{name: later, config: {a: 1, b: 2, l: [2]}}]`,
		},
		{
			name: "configuration by the plugin's own merge", parent: `plugins: [{name: special, config: {a: 1}}]`,
			child: `plugins: [{name: special, config: {b: 2}}]`,
			want:  `plugins: [{name: special, config: {parent: {a: 1}, child: {b: 2}}}]`,
		},
		{
			name: "disabled and enabled", parent: `plugins: [{name: free}, {name: strict, disabled: true}]`,
			child: `plugins: [{id: free, disabled: true}, {id: strict, disabled: false}]`,
			want:  `plugins: [{name: free, disabled: true}, {name: strict, disabled: false}]`,
		},
		{
			name: "an id of its own", parent: `plugins: [{name: free, id: a}, {name: free, id: b}]`,
			child: `plugins: [{id: b, config: {rate: 2}}]`,
			want:  `plugins: [{name: free, id: a}, {name: free, id: b, config: {rate: 2}}]`,
		},
		{
			name: "the parent has the id alone", parent: `plugins: [{id: a, config: {rate: 1}}]`,
			child: `plugins: [{name: free, id: a}]`, want: `plugins: [{name: free, id: a, config: {rate: 1}}]`,
		},
		{
			name:   "consumer",
			parent: `consumers: [{name: a, labels: {x: 1, y: 1}, groups: [g], attributes: {m: {n: 1}}, credentials: {p: {k: 1}, q: {l: 1}}}]`,
			child:  `consumers: [{name: a, labels: {y: 2}, attributes: {m: {o: 2}}, credentials: {p: {z: 2}}}, {name: b}]`,
			want: `consumers: [{name: a, labels: {x: 1, y: 2}, groups: [g], attributes: {m: {n: 1, o: 2}},
				credentials: {p: {z: 2}, q: {l: 1}}}, {name: b}]`,
		},
		{
			name: "consumer's groups are taken away", parent: `consumers: [{name: a, groups: [g]}]`,
			child: `consumers: [{name: a, groups: []}]`, want: `consumers: [{name: a, groups: []}]`,
		},
		{
			name: "consumer's plugins", parent: `consumers: [{name: a, plugins: [{id: free, config: {rate: 1}}]}]`,
			child: `consumers: [{name: a, plugins: [{id: free, disabled: true}, {name: strict}]}]`,
			want:  `consumers: [{name: a, plugins: [{id: free, config: {rate: 1}, disabled: true}, {name: strict}]}]`,
		},
		{
			name: "secrets replace", parent: `generic_secrets: [{name: a}]`, child: `generic_secrets: [{name: b}]`,
			want: `generic_secrets: [{name: b}]`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			quoted := func(text string) *Document { return decode(t, quoteNumbers(text)) }
			parent, child := quoted(c.parent), quoted(c.child)
			got, err := (&Merger{}).Merge(parent, child)
			if err != nil {
				t.Fatalf("Merge: got error %v, want none", err)
			}
			if diff := cmp.Diff(quoted(c.want), got); diff != "" {
				t.Errorf("Merge (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(quoted(c.parent), parent); diff != "" {
				t.Errorf("Merge changes the parent (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(quoted(c.child), child); diff != "" {
				t.Errorf("Merge changes the child (-before +after):\n%s", diff)
			}
		})
	}
}

// quoteNumbers makes labels of the test's short numbers.
func quoteNumbers(text string) string {
	for _, n := range []string{"x: 1", "y: 1", "y: 2"} {
		text = strings.ReplaceAll(text, n, n[:3]+`"`+n[3:]+`"`)
	}
	return text
}

func TestMergeErrors(t *testing.T) {
	for _, c := range []struct{ name, parent, child, want string }{
		{
			name: "another plugin of the same id", parent: `plugins: [{name: strict}, {name: free, id: x}]`,
			child: `plugins: [{name: strict, id: x}]`,
			want:  `plugins[0].name: id "x" is plugin strict here and plugin free in the test's parent, plugins[1]; choose another id`,
		},
		{
			name: "the plugin's own merge fails", parent: `plugins: [{name: special}]`,
			child: `plugins: [{name: free}, {name: special, config: {bad: 1}}]`,
			want:  `plugins[1].config: bad: is wrong (special)`,
		},
		{
			name: "a consumer's plugin", parent: `consumers: [{name: a}, {name: b, plugins: [{name: strict, id: x}]}]`,
			child: `consumers: [{name: b, plugins: [{name: free, id: x}]}]`,
			want: `consumers[0].plugins[0].name: id "x" is plugin free here and plugin strict in the test's parent, ` +
				`consumers[1].plugins[0]; choose another id`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &Merger{Owner: func(at string) string { return "the test's parent, " + at }}
			_, err := m.Merge(decode(t, c.parent), decode(t, c.child))
			if err == nil || err.Error() != c.want {
				t.Errorf("Merge: got error %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestMergeTracksOrigins(t *testing.T) {
	levels := []string{
		`{plugins: [{name: free}, {name: strict}], consumers: [{name: a, plugins: [{name: free}]}], order: stage}`,
		`{plugins: [{id: strict}, {name: special}], timeout: 1s}`,
		`{consumers: [{name: b}, {name: a, plugins: [{name: special}, {id: free}]}], order: listed}`,
	}
	merged, origins := &Document{}, map[string][]string{}
	for i, text := range levels {
		m := &Merger{Track: func(at, from string) {
			origins[at] = append(origins[at], config.Key(config.Index("", i), from))
		}}
		var err error
		if merged, err = m.Merge(merged, decode(t, text)); err != nil {
			t.Fatalf("Merge of level %d: got error %v, want none", i, err)
		}
	}
	want := map[string][]string{
		"plugins": {"[0].plugins", "[1].plugins"}, "consumers": {"[0].consumers", "[2].consumers"},
		"order": {"[0].order", "[2].order"}, "timeout": {"[1].timeout"},
		"plugins[0]":              {`[0]["plugins[0]"]`},
		"plugins[1]":              {`[0]["plugins[1]"]`, `[1]["plugins[0]"]`},
		"plugins[2]":              {`[1]["plugins[1]"]`},
		"consumers[0]":            {`[0]["consumers[0]"]`, `[2]["consumers[1]"]`},
		"consumers[1]":            {`[2]["consumers[0]"]`},
		"consumers[0].plugins[0]": {`[0]["consumers[0].plugins[0]"]`, `[2]["consumers[1].plugins[1]"]`},
		"consumers[0].plugins[1]": {`[2]["consumers[1].plugins[0]"]`},
	}
	if diff := cmp.Diff(want, origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
}

func TestMergeKeepsNulls(t *testing.T) {
	const parent = `plugins: [{name: free, config: {rate: 1, next: {rate: 2, list: []}}}]`
	const child = `plugins: [{name: free, config: {rate: null, next: {rate: null}}}, {name: strict, config: {size: null}}]`
	const want = `plugins: [{name: free, config: {rate: null, next: {rate: null, list: []}}}, {name: strict, config: {size: null}}]`
	got, err := (&Merger{KeepNulls: true}).Merge(decode(t, parent), decode(t, child))
	if err != nil {
		t.Fatalf("Merge: got error %v, want none", err)
	}
	if diff := cmp.Diff(decode(t, want), got); diff != "" {
		t.Errorf("Merge (-want +got):\n%s", diff)
	}
}

// filled returns a value of type t with no zero field. Fields that the test cannot fill fail it, so that a new kind of
// field is tried here before anybody uses it.
func filled(t *testing.T, typ reflect.Type) reflect.Value {
	v := reflect.New(typ).Elem()
	switch typ {
	case reflect.TypeFor[netip.Prefix]():
		return reflect.ValueOf(netip.MustParsePrefix("10.0.0.0/8"))
	case reflect.TypeFor[config.SecretRef]():
		return reflect.ValueOf(config.NewSecretRef("text"))
	}
	switch typ.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Int64:
		v.SetInt(int64(time.Minute))
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		v.Elem().Set(filled(t, typ.Elem()))
	case reflect.Slice:
		v.Set(reflect.Append(v, filled(t, typ.Elem())))
	case reflect.Map:
		v.Set(reflect.MakeMap(typ))
		v.SetMapIndex(reflect.ValueOf("key"), filled(t, typ.Elem()))
	case reflect.Interface:
		v.Set(reflect.ValueOf("anything"))
	case reflect.Struct:
		for i := range typ.NumField() {
			v.Field(i).Set(filled(t, typ.Field(i).Type))
		}
	default:
		t.Fatalf("a document has a field of type %v, which this test does not know", typ)
	}
	return v
}

var prefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// A field that is declared is merged, and survives being written and read, without anything else that names it.
func TestEveryFieldIsMergedAndEncoded(t *testing.T) {
	full := filled(t, reflect.TypeFor[Document]()).Interface().(Document)
	full.Order, full.Authentication, full.Stages = AsListed, AnyScheme, []string{"access"} // fields with an enum
	full.Traces, full.Metrics = "phases", PhaseMetrics
	full.Plugins[0].LogLevel, full.Consumers[0].Plugins[0].LogLevel = "debug", "off"
	merged, err := (&Merger{}).Merge(&Document{}, &full)
	if err != nil {
		t.Fatalf("Merge over an empty document: got error %v, want none", err)
	}
	if diff := cmp.Diff(&full, merged, prefixes); diff != "" {
		t.Errorf("merged over an empty document (-want +got):\n%s", diff)
	}
	merged, err = (&Merger{}).Merge(&full, &Document{})
	if err != nil {
		t.Fatalf("Merge of an empty document: got error %v, want none", err)
	}
	if diff := cmp.Diff(&full, merged, prefixes); diff != "" {
		t.Errorf("an empty document merged over it (-want +got):\n%s", diff)
	}
	back := &Document{}
	if err := Decode(full.Data(), back); err != nil {
		t.Fatalf("Decode of Data: got error %v, want none", err)
	}
	if diff := cmp.Diff(&full, back, prefixes); diff != "" {
		t.Errorf("Decode of Data (-want +got):\n%s", diff)
	}
	for _, name := range Fields() {
		if full.Data()[name] == nil {
			t.Errorf("Data has no %s", name)
		}
	}
}

func TestFields(t *testing.T) {
	if diff := cmp.Diff(append(RouteFields(), GenericSecretsField, StagesField), Fields()); diff != "" {
		t.Errorf("Fields (-a route's and the filter's own +got):\n%s", diff)
	}
}
