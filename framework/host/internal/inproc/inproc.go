// Package inproc has what the hosts in Envoy's process share that has nothing to do with HTTP: the lives of objects whose
// memory is used again, the calls and posts that wait for an object's thread, the fence around every crossing, and tables
// of what C knows by numbers.
//
// Envoy's objects (streams, connections, listeners) belong to one thread each, on which alone Envoy may be asked about
// them. A [Life] lets every goroutine use one all the same: what it wants of Envoy waits until the thread is in Go.
package inproc
