//go:build !race

package extproc

const raceEnabled = false

// large is a body that is not held.
const large = 100 << 20
