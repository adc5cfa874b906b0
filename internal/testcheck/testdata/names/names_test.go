package names

import (
	"fmt"
	"testing"
)

type pair struct{ name, path string }

var top = []pair{{"a", "/"}, {"b", "/"}}

func check(t *testing.T) { t.Helper() }

func TestTables(t *testing.T) {
	for _, c := range []pair{
		{name: "a", path: "/1"},
		{name: "b", path: "/1"},
		{name: "a", path: "/2"}, // found
		{path: "/3"},
		{path: "/4"}, // found
	} {
		t.Run(c.name, check)
	}
	for _, c := range []pair{
		{"a", "/"},
		{"a", "/"}, // found
		{"b", "/"},
	} {
		t.Run(c.name+" of "+c.path, check)
	}
	for _, c := range []*pair{
		{"a", "/"},
		{"b", "/"}, // found
	} {
		t.Run(fmt.Sprintf("%q", c.path), check)
	}
	for _, c := range top {
		t.Run(c.name, check)
	}
	cases := []pair{
		{name: "x"},
		{name: "x"}, // found
	}
	for i, c := range cases {
		name := "a " + c.name
		t.Run(name, check)
		_ = i
	}
	for _, word := range []string{
		"a",
		"a", // found
	} {
		t.Run(word, check)
	}
	for _, c := range map[int]pair{
		1: {name: "a"},
		2: {name: "a"}, // found
	} {
		t.Run(c.name, check)
	}
}

func TestNumbers(t *testing.T) {
	for i := range []string{"a", "b"} {
		t.Run(fmt.Sprint(i), check) // found
	}
	for i, c := range []string{"a", "b"} {
		t.Run(fmt.Sprint(i, c), check)
	}
	for i := range map[string]int{"a": 1, "b": 2} {
		t.Run(fmt.Sprint(i), check)
	}
	for i := range 3 {
		t.Run(fmt.Sprint(i), check)
	}
}

func TestWritten(t *testing.T) {
	t.Run("a", check)
	t.Run("b", check)
	t.Run("a", check) // found
	t.Run("outer", func(t *testing.T) { t.Run("a", check) })
	for _, word := range []string{"a", "b"} {
		t.Run(word, func(t *testing.T) {
			for _, c := range []pair{{name: "a"}, {name: "b"}} {
				t.Run(c.name, check)
			}
		})
	}
	for _, c := range []pair{{name: "a"}, {name: "b"}} {
		for range 2 {
			t.Run(unknown(c.name), check)
		}
	}
}

func unknown(string) string { return "" }
