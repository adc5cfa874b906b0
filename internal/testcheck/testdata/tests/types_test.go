package tests

type (
	five        struct{ a, b, c, d, e int }
	fives       []five
	pair[T any] struct{ a, b, c, d, e T }
	four        struct{ a, b, c, d int }
	list        []int
)
