package main

import "testing"

func TestCompare(t *testing.T) {
	was := cost{Instructions: 1000, Allocations: 1}
	for _, c := range []struct {
		name    string
		is      cost
		counted bool
		refused bool
	}{
		{name: "the same", is: was, counted: true},
		{name: "less", is: cost{Instructions: 900}, counted: true},
		{name: "within the tolerance", is: cost{Instructions: 1030, Allocations: 1}, counted: true},
		{name: "beyond it", is: cost{Instructions: 1031, Allocations: 1}, counted: true, refused: true},
		{name: "beyond it, but made by another compiler", is: cost{Instructions: 1031, Allocations: 1}},
		{name: "an allocation more", is: cost{Instructions: 900, Allocations: 2}, counted: true, refused: true},
		{name: "an allocation more, by another compiler", is: cost{Allocations: 2}, refused: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := compare("x", was, c.is, c.counted); (err != nil) != c.refused {
				t.Errorf("compare: got error %v, want one: %t", err, c.refused)
			}
		})
	}
}
