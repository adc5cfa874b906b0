//go:build race

package extproc

// raceEnabled: the race detector keeps memory of its own, so that bounds for it mean nothing.
const raceEnabled = true
