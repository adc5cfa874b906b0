package verify

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Cluster plays a Kubernetes API server for one discovery server: it serves lists and watches of the objects that
// [Cluster.Apply] stored, accepts every client, and refuses writes. Its methods may be called from any goroutine.
type Cluster struct {
	ln     net.Listener
	server *http.Server
	root   string

	mu       sync.Mutex
	revision int
	objects  map[string]Object
	history  []change
	more     chan struct{} // closed and replaced at each change
	addrs    int           // cluster IPs assigned so far
}

// change is an event of a watch.
type change struct {
	revision int
	kind     string // ADDED, MODIFIED or DELETED
	object   Object
}

// NewCluster starts an API server on a free port of 127.0.0.1. It has the definitions of Istio's and the Gateway API's
// kinds, the gateway classes istio and istio-waypoint, and the namespaces default and rootNamespace; the latter holds
// the mesh's configuration.
func NewCluster(rootNamespace string) (*Cluster, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Cluster{ln: ln, root: rootNamespace, objects: map[string]Object{}, more: make(chan struct{})}
	for _, name := range definitions {
		c.put(Object{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": name, "annotations": map[string]any{
				"gateway.networking.k8s.io/bundle-version": "v1.6.0", "gateway.networking.k8s.io/channel": "standard",
			}},
		})
	}
	for class, controller := range map[string]string{"istio": "istio.io/gateway-controller", waypointClass: "istio.io/mesh-controller"} {
		c.put(Object{
			"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
			"metadata": map[string]any{"name": class}, "spec": map[string]any{"controllerName": controller},
		})
	}
	for _, name := range []string{"default", rootNamespace} {
		c.put(namespaceObject(name))
	}
	c.put(Object{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "istio", "namespace": rootNamespace},
		"data":     map[string]any{"mesh": "rootNamespace: " + rootNamespace + "\n"},
	})
	c.server = &http.Server{Handler: http.HandlerFunc(c.serve), ReadHeaderTimeout: 10 * time.Second}
	go c.server.Serve(ln)
	return c, nil
}

// DefaultRootNamespace is the namespace whose resources Istio applies to the whole mesh, unless another is configured.
const DefaultRootNamespace = "istio-system"

// definitions names the resource definitions that discovery waits for before it watches their objects.
var definitions = []string{
	"virtualservices.networking.istio.io", "gateways.networking.istio.io", "serviceentries.networking.istio.io",
	"destinationrules.networking.istio.io", "sidecars.networking.istio.io", "envoyfilters.networking.istio.io",
	"workloadentries.networking.istio.io", "workloadgroups.networking.istio.io", "proxyconfigs.networking.istio.io",
	"authorizationpolicies.security.istio.io", "peerauthentications.security.istio.io",
	"requestauthentications.security.istio.io", "telemetries.telemetry.istio.io", "wasmplugins.extensions.istio.io",
	"trafficextensions.extensions.istio.io",
	"gatewayclasses.gateway.networking.k8s.io", "gateways.gateway.networking.k8s.io",
	"httproutes.gateway.networking.k8s.io", "grpcroutes.gateway.networking.k8s.io",
	"referencegrants.gateway.networking.k8s.io", "backendtlspolicies.gateway.networking.k8s.io",
	"tlsroutes.gateway.networking.k8s.io", "tcproutes.gateway.networking.k8s.io",
	"listenersets.gateway.networking.k8s.io",
}

// Known reports whether discovery reads objects of o's kind.
func Known(o Object) bool {
	switch o.Group() {
	case "":
		return slices.Contains([]string{
			"Namespace", "Service", "Pod", "Node", "Endpoints", "ConfigMap", "Secret", "ServiceAccount",
		}, o.Kind())
	case "discovery.k8s.io":
		return o.Kind() == "EndpointSlice"
	}
	return slices.Contains(definitions, o.resource().String())
}

func namespaceObject(name string) Object {
	return Object{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
		"name": name, "labels": map[string]any{"kubernetes.io/metadata.name": name},
	}}
}

// Kubeconfig writes a kubeconfig for this server into dir and returns its path.
func (c *Cluster) Kubeconfig(dir string) (string, error) {
	path := filepath.Join(dir, "kubeconfig")
	doc := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "verify",
"clusters": [{"name": "verify", "cluster": {"server": "http://%s"}}],
"users": [{"name": "verify", "user": {}}],
"contexts": [{"name": "verify", "context": {"cluster": "verify", "user": "verify"}}]}
`, c.ln.Addr())
	return path, os.WriteFile(path, []byte(doc), 0o600)
}

// Close stops the server.
func (c *Cluster) Close() { c.server.Close() }

// Apply adds the objects, replacing those of the same kind, namespace and name. Like Kubernetes, it gives Services an
// address and target ports, and every object a creation time and a UID. It also creates missing namespaces. It fails if
// an object has no kind or no name, and then stores none of them.
func (c *Cluster) Apply(objects ...Object) error {
	for _, o := range objects {
		if o.Name() == "" || o.Kind() == "" {
			return fmt.Errorf("object %q of kind %q: set both kind and metadata.name", o.Name(), o.Kind())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range objects {
		if ns := o.Namespace(); ns != "" {
			if n := namespaceObject(ns); c.objects[n.key()] == nil {
				c.put(n)
			}
		}
		c.put(o)
	}
	close(c.more)
	c.more = make(chan struct{})
	return nil
}

// put stores a copy of an object. The caller holds the lock.
func (c *Cluster) put(o Object) {
	o = clone(o)
	meta, _ := o["metadata"].(map[string]any)
	old, event := c.objects[o.key()], "ADDED"
	c.revision++
	for key, value := range map[string]any{
		"uid": fmt.Sprintf("00000000-0000-0000-0000-%012d", c.revision), "generation": 1.0,
		"creationTimestamp": time.Now().UTC().Format(time.RFC3339),
	} {
		if before := dig(old, "metadata", key); before != nil {
			value = before
		}
		if meta[key] == nil {
			meta[key] = value
		}
	}
	if old != nil {
		event = "MODIFIED"
	}
	meta["resourceVersion"] = strconv.Itoa(c.revision)
	if isWaypoint(o) && o["status"] == nil {
		// Istio ignores a waypoint until it has an address.
		o["status"] = map[string]any{"addresses": []any{map[string]any{
			"type": "Hostname", "value": fmt.Sprintf("%s.%s.svc.cluster.local", o.Name(), o.Namespace()),
		}}}
	}
	if spec, ok := o["spec"].(map[string]any); ok && o.is("", "Service") {
		c.service(spec, dig(old, "spec", "clusterIP"))
	}
	c.objects[o.key()] = o
	c.history = append(c.history, change{c.revision, event, o})
}

// service fills in the fields that a Service leaves to Kubernetes.
func (c *Cluster) service(spec map[string]any, address any) {
	for _, p := range list(spec["ports"]) {
		if port, ok := p.(map[string]any); ok {
			if port["targetPort"] == nil {
				port["targetPort"] = port["port"]
			}
			if port["protocol"] == nil {
				port["protocol"] = "TCP"
			}
		}
	}
	if spec["clusterIP"] != nil || spec["type"] == "ExternalName" {
		return
	}
	if address == nil {
		c.addrs++
		address = fmt.Sprintf("10.96.%d.%d", c.addrs/250, c.addrs%250+1)
	}
	spec["clusterIP"], spec["clusterIPs"] = address, []any{address}
}

// Delete removes the objects with these kinds, namespaces and names, and ignores missing ones.
func (c *Cluster) Delete(objects ...Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range objects {
		old := c.objects[o.key()]
		if old == nil {
			continue
		}
		delete(c.objects, o.key())
		c.revision++
		gone := clone(old)
		gone["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(c.revision)
		c.history = append(c.history, change{c.revision, "DELETED", gone})
	}
	close(c.more)
	c.more = make(chan struct{})
}

// Get returns a copy of the stored object with o's kind, namespace and name, or nil if there is none.
func (c *Cluster) Get(o Object) Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o = c.objects[o.key()]; o == nil {
		return nil
	}
	return clone(o)
}
