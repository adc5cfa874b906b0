package tests

import "testing"

func TestTables(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		status             int
		body               string
	}{
		{"positions", "GET", "/", 200, ""}, // found
		{name: "names", method: "GET", path: "/", status: 200, body: "x"},
	} {
		t.Log(c)
	}
	for name, c := range map[string]struct{ a, b, c, d, e int }{
		"positions": {1, 2, 3, 4, 5}, // found
		"names":     {a: 1, b: 2, c: 3, d: 4, e: 5},
	} {
		t.Log(name, c)
	}
	type local struct{ a, b, c, d, e int }
	t.Log(
		local{1, 2, 3, 4, 5},                  // found
		[]*local{{1, 2, 3, 4, 5}},             // found
		[...]local{2: {1, 2, 3, 4, 5}},        // found
		map[local]bool{{1, 2, 3, 4, 5}: true}, // found
		[][]local{{{1, 2, 3, 4, 5}}},          // found
		five{1, 2, 3, 4, 5},                   // found
		&five{1, 2, 3, 4, 5},                  // found
		fives{{1, 2, 3, 4, 5}},                // found
		pair[int]{1, 2, 3, 4, 5},              // found
		four{1, 2, 3, 4},
		shipped{1, 2, 3, 4, 5},
		list{1, 2, 3, 4, 5},
		[]int{1, 2, 3, 4, 5},
		[][]int{{1, 2, 3, 4, 5}},
	)
}
