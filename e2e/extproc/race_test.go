//go:build race

package extproc

// raceEnabled: the race detector keeps memory of its own, so that bounds for it mean nothing.
const raceEnabled = true

// large is the length of a body that is larger than what may be held. The race detector looks at each byte of it.
const large = 8 << 20
