// Package soak holds what must not end Envoy: the shortest ways to every crash that there has been, and a soak that runs
// all hosts under everything at once, for seconds with the other tests and for minutes by `make soak`.
package soak
