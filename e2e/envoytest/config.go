package envoytest

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	ldsFile = "lds.json"
	cdsFile = "cds.json"

	pushPatience = 2 * time.Minute
)

// files are the resources that Envoy watches. A file is replaced by a rename, which is what Envoy waits for.
type files struct {
	dir     string
	version atomic.Int64
}

func (f *files) write(name string, resources []M) error {
	if resources == nil {
		resources = []M{}
	}
	p, err := json.Marshal(M{"version_info": strconv.FormatInt(f.version.Add(1), 10), "resources": resources})
	if err != nil {
		return err
	}
	return Replace(filepath.Join(f.dir, name), p)
}

// Rejected is a configuration that Envoy refused; the one before goes on serving.
type Rejected struct{ Reason string }

func (r *Rejected) Error() string { return "Envoy refused the configuration: " + r.Reason }

// push replaces a watched file and waits for Envoy's verdict, which the statistics below prefix tell.
func (e *Envoy) push(prefix, file string, resources []M) error {
	verdicts := func() (ok, bad int64, err error) {
		s, err := e.Stats("^" + strings.ReplaceAll(prefix, ".", `\.`) + `\.update_(success|rejected|failure)$`)
		if err != nil {
			return 0, 0, err
		}
		return s[prefix+".update_success"], s[prefix+".update_rejected"] + s[prefix+".update_failure"], nil
	}
	ok0, bad0, err := verdicts()
	if err != nil {
		return err
	}
	mark := e.Log.Mark()
	if err := e.files.write(file, resources); err != nil {
		return err
	}
	return Poll(pushPatience, func() error {
		if err := e.Alive(); err != nil {
			return Final(err)
		}
		ok, bad, err := verdicts()
		switch {
		case err != nil:
			return err
		case bad > bad0:
			e.Log.Wait(mark, `(?i)config update (rejected|failure)`, 2*time.Second) // statistics may be ahead of the log
			return Final(&Rejected{e.Log.Since(mark)})
		case ok > ok0:
			return nil
		}
		return fmt.Errorf("envoy has not looked at %s yet", file)
	})
}

// SetListeners replaces all listeners. The error is a *[Rejected] when Envoy refused one of them; the others are in
// force all the same.
func (e *Envoy) SetListeners(ls []M) error {
	return e.push("listener_manager.lds", ldsFile, typed("envoy.config.listener.v3.Listener", ls))
}

// SetClusters replaces all clusters.
func (e *Envoy) SetClusters(cs []M) error {
	return e.push("cluster_manager.cds", cdsFile, typed("envoy.config.cluster.v3.Cluster", cs))
}

// RDS returns the `rds` of an HTTP connection manager whose routes are those of [Envoy.SetRoutes] under name.
func (e *Envoy) RDS(name string) M {
	return M{"route_config_name": name, "config_source": M{
		"path_config_source": M{"path": filepath.Join(e.files.dir, routesFile(name))}, "resource_api_version": "V3",
	}}
}

func routesFile(name string) string { return "rds-" + name + ".json" }

// WriteRoutes writes the first route configuration of name, before a listener refers to it.
func (e *Envoy) WriteRoutes(name string, rc M) error {
	return e.files.write(routesFile(name), typed("envoy.config.route.v3.RouteConfiguration", []M{rc}))
}

// SetRoutes replaces the route configuration of name while a listener whose stat_prefix is prefix uses it.
func (e *Envoy) SetRoutes(prefix, name string, rc M) error {
	return e.push("http."+prefix+".rds."+name, routesFile(name),
		typed("envoy.config.route.v3.RouteConfiguration", []M{rc}))
}

func typed(message string, resources []M) []M {
	out := make([]M, len(resources))
	for i, r := range resources {
		out[i] = M{"@type": "type.googleapis.com/" + message}
		for k, v := range r {
			out[i][k] = v
		}
	}
	return out
}

// Address writes host:port as Envoy's core.v3.Address.
func Address(hostport string) M {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		panic(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	return M{"socket_address": M{"address": host, "port_value": n}}
}

// Cluster returns a static cluster of the given host:port endpoints; h2 has Envoy speak HTTP/2 to them.
func Cluster(name string, h2 bool, endpoints ...string) M {
	var lb A
	for _, ep := range endpoints {
		lb = append(lb, M{"endpoint": M{"address": Address(ep)}})
	}
	c := M{
		"name": name, "type": "STATIC", "connect_timeout": "5s",
		"load_assignment": M{"cluster_name": name, "endpoints": A{M{"lb_endpoints": lb}}},
	}
	if h2 {
		c["typed_extension_protocol_options"] = M{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": M{
			"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config": M{"http2_protocol_options": M{"allow_connect": true}},
		}}
	}
	return c
}
