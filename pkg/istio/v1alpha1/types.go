package v1alpha1

import (
	"time"

	"mosn.io/moe/framework/document"
)

// FilterPolicy puts plugins of MoE before the requests of gateways, sidecars, virtual hosts and routes of an Istio mesh.
type FilterPolicy struct {
	// APIVersion is moe.mosn.io/v1alpha1.
	APIVersion string `json:"apiVersion" enum:"moe.mosn.io/v1alpha1" validate:"required"`
	// Kind is FilterPolicy.
	Kind string `json:"kind" enum:"FilterPolicy" validate:"required"`
	// Metadata names the policy, as that of any Kubernetes object.
	Metadata Metadata `json:"metadata"`
	// Spec says which requests and which plugins.
	Spec FilterPolicySpec `json:"spec"`
}

// Metadata is what MoE reads of an object's metadata; everything else in it is left to Kubernetes.
type Metadata struct {
	// Name of the policy, unique in its namespace.
	Name string `json:"name" validate:"required"`
	// Namespace of the policy. A policy acts on its own namespace; one in Istio's root namespace acts on all of them.
	Namespace string `json:"namespace"`
	// CreationTimestamp is set by Kubernetes. Of two policies of the same rank the older one wins; one without a time is
	// younger than all that have one.
	CreationTimestamp time.Time `json:"creationTimestamp"`
	// Labels of the policy; they mean nothing to MoE.
	Labels map[string]string `json:"labels"`
	// Annotations of the policy; they mean nothing to MoE.
	Annotations map[string]string `json:"annotations"`
}

// FilterPolicySpec says where plugins run and which. A policy has either a selector or targetRefs; with neither it is for
// every workload of its namespace.
type FilterPolicySpec struct {
	// Selector picks workloads, gateways as well as sidecars, by the labels of their pods.
	Selector *Selector `json:"selector"`
	// TargetRefs picks Gateways, waypoints among them, HTTPRoutes, VirtualServices, Services and ServiceEntries of the
	// policy's own namespace.
	TargetRefs []TargetRef `json:"targetRefs" validate:"max=64"`
	// Traffic says which requests of a workload are meant: those that a gateway receives (gateway), those that a sidecar
	// receives (inbound), those that it sends (outbound), those that a waypoint of an ambient mesh takes (waypoint). It is
	// [gateway, inbound] for a policy without targetRefs, and waypoint too where there are waypoints and no selector; for
	// Services it is [waypoint] if one serves them and [inbound] if none does. Gateways and routes know by themselves.
	Traffic []string `json:"traffic" enum:"gateway,inbound,outbound,waypoint" validate:"unique"`

	document.Route
	// GenericSecrets lists the generic secrets of Envoy's that plugins may ask for, as generic_secrets in moe.yaml. They
	// belong to whole proxies, not to hosts and routes; those with an sds_config need `delivery: inline`, and extProc has
	// none.
	GenericSecrets []document.GenericSecret `json:"genericSecrets"`

	// VirtualHosts changes the chain for some of the hosts that the policy's gateways or sidecars serve.
	VirtualHosts []VirtualHost `json:"virtualHosts"`
	// Routes changes the chain for single routes.
	Routes []Route `json:"routes"`

	// SecretMounts names Secrets whose keys are files in the proxy, so that plugins' configurations and consumers'
	// credentials can have {secretKeyRef: {name: …, key: …}} where {file: …} is allowed.
	SecretMounts []SecretMount `json:"secretMounts"`

	// Hosts says how the proxy reaches the plugins: [{dynamicModules: {}}] by default. With more than one, each has a
	// proxyVersion, and a proxy takes that whose expression its version matches. All policies that meet in one proxy
	// must agree; those without hosts follow the others.
	Hosts []Host `json:"hosts" validate:"max=8"`
	// EnvoyFilters are HTTP filters of Envoy's own, before the plugins, between them or after them, as in moe.yaml. They see
	// all requests of the listeners that have the chain, so a policy that lists some targets workloads or whole Gateways.
	// What policies list that meet in one proxy adds up, the less specific policies' first.
	EnvoyFilters []EnvoyFilter `json:"envoyFilters" validate:"max=32"`
	// Insert says where among Envoy's HTTP filters the chain stands; all policies that meet in one proxy must agree.
	Insert *Insert `json:"insert"`
	// Delivery of the chain's configuration: by extension config discovery (ecds), which is the default, a change leaves
	// connections alone; inline, in the listener, every change drains them. External processing is always inline.
	Delivery string `json:"delivery" enum:"ecds,inline"`
}

// Selector is a set of labels.
type Selector struct {
	// MatchLabels are labels that the workload's pods must all have.
	MatchLabels map[string]string `json:"matchLabels" validate:"required,min=1"`
}

// TargetRef names an object in the policy's namespace.
type TargetRef struct {
	// Group of the kind: gateway.networking.k8s.io, networking.istio.io, or empty for a Service. Only a Gateway needs it.
	Group string `json:"group" enum:",gateway.networking.k8s.io,networking.istio.io"`
	// Kind of the object.
	Kind string `json:"kind" enum:"Gateway,HTTPRoute,VirtualService,Service,ServiceEntry" validate:"required"`
	// Name of the object.
	Name string `json:"name" validate:"required"`
	// SectionName is a part of it: a listener's name, that of a server's port in an Istio Gateway, a rule's name in an
	// HTTPRoute, that of an HTTP route in a VirtualService, or that of a port in a Service or ServiceEntry.
	SectionName string `json:"sectionName"`
}

// VirtualHost changes the chain for one host.
type VirtualHost struct {
	// Host as the routes have it: shop.example.com, *.example.com, or reviews.shop.svc.cluster.local.
	Host string `json:"host" validate:"required"`
	// What is said here is merged over what policies say for all hosts.
	document.Route
}

// Route changes the chain for one route.
type Route struct {
	// Name of the route: that of an HTTP route in a VirtualService or of a rule in an HTTPRoute, or what Istio calls a
	// rule without a name, NAMESPACE.NAME.INDEX.
	Name string `json:"name" validate:"required"`
	// Host restricts the entry to the routes of that name in one virtual host.
	Host string `json:"host"`
	// What is said here is merged over what policies say for the host.
	document.Route
	// EnvoyFilters is what the route has of its own for filters of Envoy's own, as in moe.yaml. Policies list the filters in
	// their own envoyFilters. Of several policies that say something about one filter, one decides, by the order in which
	// they overrule each other.
	EnvoyFilters []RouteEnvoyFilter `json:"envoyFilters" validate:"max=32"`
}

// SecretMount is a Secret that is a volume of the proxy; `moe istio image` prints what mounts it.
type SecretMount struct {
	// Name of the Secret, in the namespace of the proxy.
	Name string `json:"name" validate:"required"`
	// MountPath is the folder in which the proxy finds its keys; /etc/moe/secrets/NAME by default.
	MountPath string `json:"mountPath"`
}

// Host is a way in which the proxy reaches the plugins: exactly one of dynamicModules, golang and extProc.
type Host struct {
	// ProxyVersion is a regular expression (RE2) for the version of Istio's proxy, such as ^1\.31.*; empty is any.
	ProxyVersion string `json:"proxyVersion" validate:"max=1024"`
	// DynamicModules loads libmoe.so as a dynamic module.
	DynamicModules *DynamicModules `json:"dynamicModules"`
	// Golang loads libmoe.so by the contrib Golang filter.
	Golang *Golang `json:"golang"`
	// ExtProc sends requests to `moe extproc`.
	ExtProc *ExtProc `json:"extProc"`
}

// DynamicModules says where the dynamic module lies.
type DynamicModules struct {
	// Name of the module: Envoy loads libNAME.so from the folder in its variable ENVOY_DYNAMIC_MODULES_SEARCH_PATH.
	Name string `json:"name" default:"moe" validate:"required"`
	// LibraryPath is the path of the library in the proxy; it replaces the search by name. Envoy 1.38 looks at it only
	// for the filter itself: where routes have chains of their own, set the variable there.
	LibraryPath string `json:"libraryPath"`
}

// Golang says where the library lies.
type Golang struct {
	// LibraryPath is the path of libmoe.so in the proxy.
	LibraryPath string `json:"libraryPath" default:"/var/lib/moe/libmoe.so" validate:"required"`
	// LibraryID tells libraries apart that one proxy loads.
	LibraryID string `json:"libraryID" default:"moe" validate:"required"`
}

// ExtProc says how the proxy reaches `moe extproc`. The chain goes along with every stream, as the gRPC initial metadata
// moe-config, and is merged over the configuration that the server was started with.
type ExtProc struct {
	// Address of the server, host:port.
	Address string `json:"address" validate:"required"`
	// FailOpen lets requests pass when the server cannot be reached. Plugins that authenticate do not allow it.
	FailOpen bool `json:"failOpen"`
	// MessageTimeout is how long the proxy waits for an answer to one message.
	MessageTimeout time.Duration `json:"messageTimeout" default:"1s" validate:"gt=0"`
	// MaxMessageTimeout is to what the server may raise it, for plugins that wait.
	MaxMessageTimeout time.Duration `json:"maxMessageTimeout" default:"30s" validate:"gt=0"`
	// TLS of the connection: plain text without it.
	TLS *ExtProcTLS `json:"tls"`
}

// ExtProcTLS is about the connection to `moe extproc`.
type ExtProcTLS struct {
	// CAFile is a file in the proxy with the authority of the server's certificate.
	CAFile string `json:"caFile" validate:"required"`
	// CertFile is a file in the proxy with its own certificate, if the server asks for one.
	CertFile string `json:"certFile"`
	// KeyFile is that of the certificate's key.
	KeyFile string `json:"keyFile"`
}

// EnvoyFilter is an HTTP filter of Envoy's own.
type EnvoyFilter struct {
	// Name is Envoy's for the filter, such as envoy.filters.http.local_ratelimit.
	Name string `json:"name" validate:"required"`
	// ID tells entries of one filter apart; it is the name by default.
	ID string `json:"id"`
	// Position says whether requests come to the filter before the plugins or after them; responses, the other way round.
	// Filters of one place stand as listed.
	Position string `json:"position" default:"before" enum:"before,after"`
	// Stage puts the filter before or after the plugins of one stage, in place of all plugins. The plugins must run in the
	// order of stages.
	Stage string `json:"stage" enum:"access,authn,authz,traffic,transform,observe"`
	// Config is the filter's configuration, with Envoy's fields; "@type" names its message where the name does not.
	Config map[string]any `json:"config"`
}

// RouteEnvoyFilter is what a route has of its own for one of Envoy's filters.
type RouteEnvoyFilter struct {
	// Name or ID of an entry of envoyFilters that the listeners with the route have.
	Name string `json:"name"`
	// ID of that entry.
	ID string `json:"id"`
	// Config is the filter's configuration for a route, with Envoy's fields. A waypoint's route can only have it for a filter
	// whose message for routes is its own, such as envoy.filters.http.local_ratelimit.
	Config map[string]any `json:"config"`
	// Disabled leaves the filter out for the route.
	Disabled bool `json:"disabled"`
}

// Insert is a place among the HTTP filters of a listener: at most one of its fields is given, and none is beforeRouter.
// Wherever it is, the chain is there: before the router, if the filter that is named is not in a listener.
type Insert struct {
	// Position is one of beforeRouter, after all that Istio does; afterAuthn, right behind Istio's own authentication and
	// authorization (request authentication, authorization policies); and first, before everything else.
	Position string `json:"position" enum:"beforeRouter,afterAuthn,first"`
	// Before is the name of an HTTP filter that the chain comes right before.
	Before string `json:"before"`
	// After is the name of an HTTP filter that the chain comes right behind.
	After string `json:"after"`
}
