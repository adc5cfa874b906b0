package bootstrap

import (
	"fmt"
	"net"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Struct returns a document as Envoy's configuration carries it. Its errors name the place in doc.
func Struct(doc map[string]any) (*structpb.Struct, error) { return toStruct(doc) }

// Filter returns the HTTP filter that sends streams to the server over the cluster named cluster, for the plugins of a part.
func (x *ExtProc) Filter(cluster string, p *Part) *extprocv3.ExternalProcessor {
	f := x.filter(p)
	f.GrpcService.GetEnvoyGrpc().ClusterName = cluster
	return f
}

// Cluster returns the cluster of the server, with the name given. Other than [New], it takes a Server that has a name,
// which Envoy then looks up itself.
func (x *ExtProc) Cluster(name string) (*clusterv3.Cluster, error) {
	host, text, err := net.SplitHostPort(x.Server)
	if err != nil || host == "" {
		return nil, fmt.Errorf("%q: expected HOST:PORT", x.Server)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("%q: expected a port from 1 to 65535", x.Server)
	}
	at := *x
	if !isAddress(host) {
		at.Server = net.JoinHostPort("127.0.0.1", text)
	}
	c, err := at.cluster()
	if err != nil {
		return nil, err
	}
	c.Name, c.LoadAssignment.ClusterName = name, name
	if !isAddress(host) {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.LoadAssignment.Endpoints[0].LbEndpoints[0].HostIdentifier = &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: socket(host, uint32(port))},
		}
	}
	return c, nil
}
