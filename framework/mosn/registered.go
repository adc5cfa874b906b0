package mosn

import (
	"maps"
	"slices"
	_ "unsafe" // for linkname

	"mosn.io/api"
)

// creators is where api.RegisterStream keeps what it is given. The API can look up a type and does not list them, which
// the hint in an error about an unknown type needs.
//
//go:linkname creators mosn.io/api.creatorStreamFactory
var creators map[string]api.StreamFilterFactoryCreator

// Types returns the types of the stream filters that are compiled in, sorted. Filters register in init functions, so it
// is called after those.
func Types() []string { return slices.Sorted(maps.Keys(creators)) }

// networkCreators is where api.RegisterNetwork keeps what it is given.
//
//go:linkname networkCreators mosn.io/api.creatorNetworkFactory
var networkCreators map[string]api.NetworkFilterFactoryCreator

// NetworkTypes returns the types of the network filters that are compiled in, as [Types] does those of stream filters.
func NetworkTypes() []string { return slices.Sorted(maps.Keys(networkCreators)) }

// listenerCreators is where api.RegisterListener keeps what it is given.
//
//go:linkname listenerCreators mosn.io/api.creatorListenerFactory
var listenerCreators map[string]api.ListenerFilterFactoryCreator

// ListenerTypes returns the types of the listener filters that are compiled in, as [Types] does those of stream filters.
func ListenerTypes() []string { return slices.Sorted(maps.Keys(listenerCreators)) }
