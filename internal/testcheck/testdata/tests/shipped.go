package tests

type shipped struct{ a, b, c, d, e int }

var _ = shipped{1, 2, 3, 4, 5}
