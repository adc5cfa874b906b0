// Package verify tries Istio resources for real: it runs Istio's own discovery server (pilot-discovery) on them without
// a Kubernetes cluster, starts Envoys that get their configuration from it, and reports for each resource whether Istio
// admitted it, where its patches took effect, and whether Envoy accepted them.
//
// [Verify] does all of that. The parts also work alone, as in the end-to-end tests: a [Cluster] plays the Kubernetes API
// server, a [Pilot] is a running discovery server, [Capture] records what it sends to a [Proxy], and [Proxy.Bootstrap]
// returns the configuration that makes an Envoy that proxy.
package verify
