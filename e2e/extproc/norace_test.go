//go:build !race

package extproc

const raceEnabled = false

// large is the length of a body that is larger than what may be held.
const large = 100 << 20
