package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/extension"
)

type completed struct {
	Rate    int            `json:"rate" default:"5" validate:"min=1"`
	On      *bool          `json:"on" default:"true"`
	Names   []string       `json:"names" default:"a,b"`
	Size    extension.Size `json:"size" default:"1KiB"`
	Nothing string         `json:"nothing"`
	In      completedIn    `json:"in"`
	List    []completedIn  `json:"list"`
	Pointer *completedIn   `json:"pointer"`
	Missing *completedIn   `json:"missing"`
	Map     map[string]completedIn
	hidden  int
}

type completedIn struct {
	Wait time.Duration    `json:"wait" default:"3s"`
	Word extension.Secret `json:"word"`
}

func (c *completed) Validate() error { c.hidden++; return nil }

func TestComplete(t *testing.T) {
	on := false
	got := &completed{
		Rate: 7, On: &on, List: []completedIn{{}, {Wait: 1}}, Pointer: &completedIn{}, Map: map[string]completedIn{"k": {}},
	}
	if err := Complete("p", got); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	want := &completed{
		Rate: 7, On: &on, Names: []string{"a", "b"}, Size: 1024, In: completedIn{Wait: 3 * time.Second},
		List: []completedIn{{Wait: 3 * time.Second}, {Wait: 1}}, Pointer: &completedIn{Wait: 3 * time.Second},
		Map: map[string]completedIn{"k": {Wait: 3 * time.Second}}, hidden: 1,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(completed{}), cmp.Comparer(func(a, b extension.Secret) bool {
		return a.Reveal() == b.Reveal()
	})); diff != "" {
		t.Errorf("completed (-want +got):\n%s", diff)
	}
}

// What Decode gives an empty document, Complete gives a zero struct.
func TestCompleteIsDecode(t *testing.T) {
	for name, newStruct := range map[string]func() any{
		"completed": func() any { return &completed{} },
		"nested":    func() any { return &completedIn{} },
	} {
		t.Run(name, func(t *testing.T) {
			decoded, filled := newStruct(), newStruct()
			if err := Decode(map[string]any{}, decoded); err != nil {
				t.Fatalf("Decode: %v", err)
			}
			if err := Complete("p", filled); err != nil {
				t.Fatalf("Complete: %v", err)
			}
			if diff := cmp.Diff(decoded, filled, cmp.AllowUnexported(completed{}), cmp.Comparer(func(a, b extension.Secret) bool {
				return a.Reveal() == b.Reveal()
			})); diff != "" {
				t.Errorf("Complete differs from Decode (-decoded +completed):\n%s", diff)
			}
		})
	}
}

func TestCompleteRefuses(t *testing.T) {
	type wrong struct {
		N int `json:"n" default:"x"`
	}
	for name, c := range map[string]struct {
		in   any
		want string
	}{
		"a tag":       {&completed{Rate: -1}, "rate: "},
		"the default": {&wrong{}, "the plugin's default tag is wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Complete("p", c.in); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
