package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	typePrefix    = "type.googleapis.com/"
	listenerType  = typePrefix + "envoy.config.listener.v3.Listener"
	clusterType   = typePrefix + "envoy.config.cluster.v3.Cluster"
	routeType     = typePrefix + "envoy.config.route.v3.RouteConfiguration"
	extensionType = typePrefix + "envoy.config.core.v3.TypedExtensionConfig"
)

// Snapshot holds the resources that the discovery server sends to one proxy, by name. Messages inside an Any are kept
// byte for byte.
type Snapshot struct {
	Listeners  map[string]*listenerv3.Listener
	Clusters   map[string]*clusterv3.Cluster
	Routes     map[string]*routev3.RouteConfiguration // including those inlined in a listener
	Extensions map[string]*corev3.TypedExtensionConfig

	// MissingRoutes and MissingExtensions name what listeners refer to but the discovery server did not send.
	MissingRoutes, MissingExtensions []string
}

// capturePatience bounds how long the discovery server may take to answer.
const capturePatience = 10 * time.Second

// Capture asks the discovery server at address for the whole configuration of a proxy and returns it. It asks as an
// Envoy that accepts everything would.
func Capture(ctx context.Context, address string, p Proxy) (*Snapshot, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, 3*capturePatience, errors.New("the discovery server did not answer in time"))
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+p.token())
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	c := capture{stream: stream, s: &Snapshot{
		Listeners: map[string]*listenerv3.Listener{}, Clusters: map[string]*clusterv3.Cluster{},
		Routes: map[string]*routev3.RouteConfiguration{}, Extensions: map[string]*corev3.TypedExtensionConfig{},
	}}
	if c.node, err = p.proto(); err == nil {
		err = c.run(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the discovery server for the configuration of %s: %w", p, err)
	}
	return c.s, nil
}

func (p Proxy) proto() (*corev3.Node, error) {
	b, err := json.Marshal(p.node())
	if err != nil {
		return nil, err
	}
	n := new(corev3.Node)
	return n, protojson.Unmarshal(b, n)
}

type capture struct {
	stream interface {
		Send(*discoveryv3.DiscoveryRequest) error
		Recv() (*discoveryv3.DiscoveryResponse, error)
	}
	node *corev3.Node
	s    *Snapshot
}

func (c *capture) run(ctx context.Context) error {
	responses := make(chan *discoveryv3.DiscoveryResponse)
	failed := make(chan error, 1)
	go func() {
		for {
			r, err := c.stream.Recv()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = errors.New("the discovery server closed the stream")
				}
				failed <- err
				return
			}
			select {
			case responses <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	// fetch asks for one type and waits for the response. The server sends none if it has no resource of that type.
	fetch := func(typeURL string, names []string, take func(*discoveryv3.DiscoveryResponse) error) error {
		request := &discoveryv3.DiscoveryRequest{Node: c.node, TypeUrl: typeURL, ResourceNames: names}
		if err := c.stream.Send(request); err != nil {
			return err
		}
		late := time.After(capturePatience)
		for {
			select {
			case r := <-responses:
				if r.TypeUrl == typeURL {
					return take(r)
				}
			case err := <-failed:
				return err
			case <-late:
				return nil
			}
		}
	}
	if err := fetch(clusterType, nil, func(r *discoveryv3.DiscoveryResponse) error {
		return unpack(r, c.s.Clusters)
	}); err != nil {
		return err
	}
	if err := fetch(listenerType, nil, func(r *discoveryv3.DiscoveryResponse) error {
		return unpack(r, c.s.Listeners)
	}); err != nil {
		return err
	}
	routes, extensions := c.s.references()
	if len(routes) > 0 {
		if err := fetch(routeType, routes, func(r *discoveryv3.DiscoveryResponse) error {
			return unpack(r, c.s.Routes)
		}); err != nil {
			return err
		}
	}
	if len(extensions) > 0 {
		if err := fetch(extensionType, extensions, func(r *discoveryv3.DiscoveryResponse) error {
			return unpack(r, c.s.Extensions)
		}); err != nil {
			return err
		}
	}
	c.s.MissingRoutes = missing(routes, c.s.Routes)
	c.s.MissingExtensions = missing(extensions, c.s.Extensions)
	return nil
}

func missing[T any](names []string, have map[string]T) []string {
	return slices.DeleteFunc(names, func(name string) bool { _, ok := have[name]; return ok })
}

// named is a resource with a name: a pointer to the message struct T.
type named[T any] interface {
	*T
	proto.Message
	GetName() string
}

func unpack[T any, P named[T]](r *discoveryv3.DiscoveryResponse, into map[string]P) error {
	for _, a := range r.Resources {
		m := P(new(T))
		if err := a.UnmarshalTo(m); err != nil {
			return fmt.Errorf("decoding a resource of type %s: %w", r.TypeUrl, err)
		}
		into[m.GetName()] = m
	}
	return nil
}

// HTTP is an HTTP connection manager of a listener.
type HTTP struct {
	Listener, FilterChain string
	Manager               *hcmv3.HttpConnectionManager
}

// HTTP returns all HTTP connection managers, sorted by the names of their listeners.
func (s *Snapshot) HTTP() []HTTP {
	var all []HTTP
	for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
		l := s.Listeners[name]
		for _, chain := range chains(l) {
			for _, f := range chain.Filters {
				m := new(hcmv3.HttpConnectionManager)
				if a := f.GetTypedConfig(); a.MessageIs(m) && a.UnmarshalTo(m) == nil {
					all = append(all, HTTP{name, chain.Name, m})
				}
			}
		}
	}
	return all
}

func chains(l *listenerv3.Listener) []*listenerv3.FilterChain {
	if l.DefaultFilterChain == nil {
		return l.FilterChains
	}
	return append(slices.Clone(l.FilterChains), l.DefaultFilterChain)
}

// references returns the names of the routes and extension configurations that listeners load by discovery. It adds
// the routes inlined in listeners to the snapshot.
func (s *Snapshot) references() (routes, extensions []string) {
	r, x := map[string]bool{}, map[string]bool{}
	for _, h := range s.HTTP() {
		if rds := h.Manager.GetRds(); rds != nil {
			r[rds.RouteConfigName] = true
		} else if inline := h.Manager.GetRouteConfig(); inline != nil {
			s.Routes[inline.Name] = inline
		}
		for _, f := range h.Manager.HttpFilters {
			if f.GetConfigDiscovery() != nil {
				x[f.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(r)), slices.Sorted(maps.Keys(x))
}
