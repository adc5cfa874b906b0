package core

// Direction is one of the two ways through a stream.
type Direction uint8

// The directions, which also index arrays that have an element for each.
const (
	Request Direction = iota
	Response

	// Directions is how many there are, for loops: for dir := range core.Directions.
	Directions

	// NoDirection stands for none, where there may be one.
	NoDirection Direction = 0xff
)

// Headers returns the index of the direction's headers in Stream.H.
func (d Direction) Headers() int { return 2 * int(d) }

// Trailers returns the index of the direction's trailers in Stream.H.
func (d Direction) Trailers() int { return 2*int(d) + 1 }

// Indexes of blocks in Stream.H, in the order in which they travel. [Direction.Headers] and [Direction.Trailers] relate
// them to directions.
const (
	RequestHeaders = iota
	RequestTrailers
	ResponseHeaders
	ResponseTrailers
)
