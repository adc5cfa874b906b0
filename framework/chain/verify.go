package chain

// verify checks the state of a stream: after each step of its direction d, which was at the stage from, and with d nil
// before the stream's memory goes back to its pool. It is nil but in tests.
var verify func(st *Stream, d *direction, from stage)
