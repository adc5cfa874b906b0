// Package sniroute chooses the cluster of a connection by the server name that its TLS asks for.
package sniroute

import (
	"embed"
	"errors"
	"fmt"
	"strings"

	"mosn.io/moe/framework/network"
)

// SNIRoute has tcp_proxy pass connections to clusters by their server names, without decrypting them.
type SNIRoute struct {
	// Routes say which names go where. Of several that fit, a whole name goes before *.NAME, and of those the longest.
	Routes []Route `json:"routes" validate:"required,min=1"`
	// Default is the cluster for other names, and for connections without one; without it, these are reset.
	Default string `json:"default"`

	exact   map[string]string
	beneath map[string]string // by what follows "*."
	routed  *network.Counter
	unknown *network.Counter
}

// Route is where some names go.
type Route struct {
	// Names are server names such as a.example, or *.a.example for all that end so, of any number of labels.
	Names []string `json:"names" validate:"required,min=1"`
	// Cluster is the name of one of Envoy's clusters, or of an upstream in moe.yaml.
	Cluster string `json:"cluster" validate:"required"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() { network.Register[SNIRoute]("sniroute", network.Docs(docs)) }

// Validate prepares the look-up.
func (r *SNIRoute) Validate() error {
	r.exact, r.beneath = map[string]string{}, map[string]string{}
	var errs []error
	for i, route := range r.Routes {
		for j, name := range route.Names {
			at := fmt.Sprintf("routes[%d].names[%d]", i, j)
			name := strings.ToLower(name)
			into, key := r.exact, name
			if rest, ok := strings.CutPrefix(name, "*."); ok {
				into, key = r.beneath, rest
			}
			switch {
			case key == "" || strings.ContainsAny(key, "*/: ") || strings.HasPrefix(key, ".") || strings.HasSuffix(key, "."):
				errs = append(errs, fmt.Errorf("%s: expected a server name such as www.example.com or *.example.com", at))
			case into[key] != "":
				errs = append(errs, fmt.Errorf("%s: duplicate server name %q", at, name))
			}
			into[key] = route.Cluster
		}
	}
	return errors.Join(errs...)
}

// NeedsServerName is network.ServerNamer's.
func (r *SNIRoute) NeedsServerName() bool { return true }

// Provision declares metrics.
func (r *SNIRoute) Provision(env *network.Env) error {
	r.routed, r.unknown = env.Counter("routed"), env.Counter("unknown")
	return nil
}

// OnConnection chooses.
func (r *SNIRoute) OnConnection(c *network.Conn) network.Action {
	name := strings.ToLower(c.ServerName())
	cluster, ok := r.find(name)
	if !ok {
		r.unknown.Inc()
		if cluster = r.Default; cluster == "" {
			c.Log().Info("no route", "server_name", name)
			return network.Reset("no route for the server name")
		}
	}
	r.routed.Inc()
	if err := c.SetUpstreamCluster(cluster); err != nil {
		c.Log().Error("the cluster cannot be set", "cluster", cluster, "error", err)
		return network.Reset("the cluster cannot be set")
	}
	return network.Continue
}

func (r *SNIRoute) find(name string) (cluster string, ok bool) {
	if name == "" {
		return "", false
	}
	if cluster, ok = r.exact[name]; ok {
		return cluster, true
	}
	for rest := name; ; {
		_, rest, ok = strings.Cut(rest, ".")
		if !ok {
			return "", false
		}
		if cluster, ok := r.beneath[rest]; ok {
			return cluster, true
		}
	}
}
