package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	_ "mosn.io/moe/plugins/cel" // compiles expressions
	"mosn.io/moe/plugins/internal/authz"
)

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "A-1_.z": true, strings.Repeat("a", 64): true, "": false, "a b": false, "ä": false, strings.Repeat("a", 65): false,
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckName(name); (err == nil) != ok {
				t.Errorf("CheckName(%q) = %v, want it taken: %v", name, err, ok)
			}
		})
	}
}

// Each rule's errors have its place, and a name that is another's is one more.
func TestCheck(t *testing.T) {
	names := []string{"a", "b", "a"}
	errs := Check(len(names), func(i int) (string, []error) {
		if i == 1 {
			return names[i], []error{fmt.Errorf("key: is wrong")}
		}
		return names[i], nil
	})
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	want := []string{"rules[1].key: is wrong", `rules[2].name: duplicate name "a"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the errors (-want +got):\n%s", diff)
	}
}

func TestCondition(t *testing.T) {
	for _, c := range []struct {
		name, when string
		want       bool
	}{
		{"no condition", "", true},
		{"true", "request.path == '/a'", true},
		{"false", "request.path == '/b'", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			condition, err := NewCondition("r", c.when, nil)
			if err != nil {
				t.Fatalf("NewCondition(%q): %v", c.when, err)
			}
			if got, err := condition.Of(&authz.Request{Path: "/a"}); err != nil || got != c.want {
				t.Errorf("Of = %v, %v, want %v", got, err, c.want)
			}
		})
	}
	if _, err := NewCondition("r", "1", nil); err == nil {
		t.Error("NewCondition takes an expression that is not a bool")
	}
}
