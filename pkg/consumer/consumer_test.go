package consumer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/internal/filewatch"
)

func one(name, text string) []filewatch.File {
	return []filewatch.File{{Path: name, Data: []byte(text)}}
}

// All forms say the same.
func TestForms(t *testing.T) {
	const a = `{"name": "a", "labels": {"x": "y"}, "groups": ["g"], "attributes": {"n": 1, "f": 1.5, "l": [2]},
		"credentials": {"keyauth": {"key": "k", "n": 18446744073709551615}}, "plugins": [{"id": "p", "config": {"rate": 3}}]}`
	const b = `{"name": "b"}`
	var want []Spec
	for _, c := range []struct{ name, file, text string }{
		{name: "JSON, a list", file: "f.json", text: "[" + a + "," + b + "]"},
		{name: "JSON, a document", file: "f.json", text: `{"consumers": [` + a + "," + b + "]}"},
		{name: "JSON, one after the other", file: "f.json", text: a + "\n" + b},
		{name: "JSON, two lists", file: "f.json", text: "[" + a + "]\n[" + b + "]"},
		{name: "JSON, one and a document", file: "f.json", text: a + `{"consumers": [` + b + `]}`},
		{name: "JSON, with a byte order mark", file: "f.JSON", text: "\ufeff \n[" + a + "," + b + "]"},
		{name: "YAML, a list in JSON's form", file: "f.yaml", text: "[" + a + "," + b + "]"},
		{name: "YAML, a list", file: "f.yaml", text: "- " + strings.ReplaceAll(a, "\n", " ") + "\n- name: b\n"},
		{
			name: "YAML, a document", file: "f.yml",
			text: "consumers:\n- " + strings.ReplaceAll(a, "\n", " ") + "\n- name: b\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(one(c.file, c.text))
			if err != nil || len(got) != 2 {
				t.Errorf("%s: Parse: got %d of Parse(one(c.file, c.text)) and error %v, want 2: %v",
					c.text, len(got), err, got)
				return
			}
			for i := range got {
				if !strings.HasPrefix(got[i].Path, c.file) {
					t.Errorf("got[i].Path = %q, want the prefix %q", got[i].Path, c.file)
				}
				got[i].Path = ""
			}
			if want == nil {
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Parse (-want as the first form's, +got):\n%s", diff)
			}
		})
	}
	if want[0].Attributes["n"] != int64(1) || want[0].Attributes["f"] != 1.5 ||
		want[0].Credentials["keyauth"]["n"] != uint64(1<<64-1) {
		t.Errorf("got %#v, want numbers of the types that config.Parse gives them", want[0])
	}
	for _, text := range []string{"", " \n", "\ufeff", "[]", "# nobody", `{"consumers": []}`, "consumers:\n"} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			for _, name := range []string{"f.yaml", "f.json"} {
				t.Run(name, func(t *testing.T) {
					if name == "f.json" && strings.ContainsAny(text, "#") || name == "f.json" && strings.HasSuffix(text, ":\n") {
						return
					}
					if got, err := Parse(one(name, text)); err != nil || len(got) != 0 {
						t.Errorf("%s, %q: Parse: got %d of Parse(one(name, text)) and error %v, want 0: %v",
							name, text, len(got), err, got)
					}
				})
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"f.json", "[{\"name\": \"geheim\"},\n{\"name\": \"b\"", "f.json: line 2, consumer 2: the JSON ends too early"},
		{"f.json", "geheim", "line 1, consumer 1: not valid JSON"},
		{"f.json", `[{"name": 5}]`, "name: expected another type than number"},
		{"f.json", `[{"name": "geheim", "credentials": {"keyauth": "geheim"}}]`, "expected another type than string"},
		{"f.json", `[{"name": "a", "grops": ["geheim"]}]`, `unknown field "grops"`},
		{"f.json", `[{"nam": "a"}]`, `unknown field "nam"`},
		{"f.json", `[{}]`, "name: is required"},
		{"f.json", `[["geheim"]]`, "another type"},
		{"f.json", `{"consumers": [], "geheim": 1}`, "has no other fields"},
		{"f.json", `{"consumers": {}}`, "expected a list"},
		{"f.json", `"geheim"`, "another type"},
		{"f.yaml", "geheim", "expected a list of consumers"},
		{"f.yaml", "- name: a\n  grops: [geheim]", "grops: unknown field"},
		{"f.yaml", "- {name: [geheim]}", "expected a string"},
		{"f.yaml", "- groups: [geheim]", "name: is required"},
		{"f.yaml", "consumer: []", "consumer: unknown field"},
		{"f.yaml", "a: [", "f.yaml"},
		{"f.yaml", "- name: \xff", "UTF-8"},
		{"f.yaml", "# " + strings.Repeat("x", 4<<20), "4194304 bytes at most"},
	} {
		t.Run(fmt.Sprintf("%s %.40q", c.file, c.text), func(t *testing.T) {
			_, err := Parse(one(c.file, c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") ||
				!strings.Contains(err.Error(), c.file) {
				t.Errorf("%.60s: got error %v, want one with %q, the file and no value", c.text, err, c.want)
			}
		})
	}
}

// A large set is JSON.
func TestManyConsumers(t *testing.T) {
	var b strings.Builder
	const n = 60_000
	for i := range n {
		fmt.Fprintf(&b, `{"name": "consumer-%d", "credentials": {"keyauth": {"key": "0123456789abcdef0123456789abcdef-%d"}}}`,
			i, i)
	}
	got, err := Parse(one("f.json", b.String()))
	if err != nil || len(got) != n || got[n-1].Name != fmt.Sprintf("consumer-%d", n-1) {
		t.Errorf("got %d consumers and error %v, want %d", len(got), err, n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("f.json", `[{"name": "a", "plugins": [{"id": "x"}]}, {"name": "b"}]`)
	f.Add("f.yaml", "consumers:\n- name: a\n")
	f.Fuzz(func(t *testing.T, file, text string) {
		specs, err := Parse(one(file, text))
		for _, s := range specs {
			if err != nil || s.Name == "" {
				t.Errorf("%q, %v: Parse: %v; s.Name is empty", text, specs, err)
			}
		}
	})
}
