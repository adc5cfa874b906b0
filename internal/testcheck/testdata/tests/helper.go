package tests

import "testing"

type seen struct{ a, b, c, d, e int }

func help(t *testing.T) {
	t.Log(seen{1, 2, 3, 4, 5}) // found
}
