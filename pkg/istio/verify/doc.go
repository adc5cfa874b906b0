// Package verify tries Istio resources for real: it runs Istio's own discovery server (pilot-discovery) on them without
// a Kubernetes cluster, starts Envoys that get their configuration from it, and tells for each resource whether Istio
// admitted it, where its patches took effect, and what Envoy said to it.
//
// [Verify] does all of that. The parts can be used alone, as the end-to-end tests do: a [Cluster] plays the Kubernetes
// API server, a [Pilot] is a running discovery server, [Capture] takes what it sends to a [Proxy], and
// [Proxy.Bootstrap] is the configuration with which an Envoy becomes that proxy.
package verify
