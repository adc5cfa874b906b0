// Package mosnconf turns a mosn_config.json into a configuration of Envoy that does the same.
//
// What Envoy has natively becomes Envoy's: listeners, TLS, routes, clusters, load balancing, health checks. Stream filters
// become the plugin "mosn". Nothing is dropped in silence: a field that has no counterpart is an error with its place, and
// one that has no meaning for Envoy, such as a path of MOSN's own log, is a note.
package mosnconf
