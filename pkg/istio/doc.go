// Package istio turns FilterPolicies into EnvoyFilter resources of Istio. docs/istio.md describes how policies act and how
// to apply the result; this package is what the command `moe istio` calls.
//
//	files, kubectl's output
//	       │  Load, Parse
//	       ▼
//	 ┌──────────┐   the objects, with the file and line of every field
//	 │ manifest │
//	 └────┬─────┘
//	      ├───────────────────────────┐
//	      ▼                           ▼
//	 ┌────────┐                  ┌────────┐
//	 │ policy │ FilterPolicies,  │  mesh  │ Gateways, routes, Services and workloads:
//	 └────┬───┘ checked alone    └───┬────┘ which proxies, virtual hosts and routes there are
//	      └────────────┬─────────────┘
//	                   ▼
//	 ┌──────────┐  ┌──────┐   which chain each set of proxies runs, and which document each virtual
//	 │ proxyset │◄─┤ plan │   host and route has: attaches policies, intersects what they select,
//	 └──────────┘  └──┬───┘   merges their documents and checks the result
//	      sets of     │
//	      proxies     ├──────────────────┐
//	                  ▼                  ▼
//	             ┌────────┐         ┌─────────┐
//	             │ render │         │ explain │ which policy has decided what
//	             └───┬────┘         └─────────┘
//	                 │  EnvoyFilters
//	      ┌──────────┼───────────────────┐
//	      ▼          ▼                   ▼
//	   kubectl   ┌──────┐         ┌─────────────┐
//	             │ diff │         │ envoyfilter │ strict checks of EnvoyFilters, whoever wrote them
//	             └──────┘         └─────────────┘
//
// Each stage is a package below internal and knows only the stages above it in the picture. Mistakes of the input are
// collected in a manifest.Problems on the way, so that a user sees all of them at once. Package v1alpha1 has the types of
// a FilterPolicy; package verify tries the result on Istio's own discovery server and a real Envoy.
package istio
