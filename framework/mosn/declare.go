package mosn

import (
	"reflect"
	"sync"
)

// Body says which bodies filters read. Filters get a nil buffer in place of a body that they do not read, and Envoy
// streams it.
type Body string

// The bodies.
const (
	BodyNone     Body = "none"
	BodyRequest  Body = "request"
	BodyResponse Body = "response"
	BodyBoth     Body = "both"
)

func (b Body) request() bool  { return b == BodyRequest || b == BodyBoth }
func (b Body) response() bool { return b == BodyResponse || b == BodyBoth }

// Declaration is what a type of filter says about itself.
type Declaration struct {
	// Body says which bodies the filters of the type read. "" stands for those that their phases can see.
	Body Body
	// Config is a zero value of the struct as which the filter reads its configuration, or nil. Fields that it does not
	// have are then errors; MOSN ignores them.
	Config any
	// NeverBlocks says that neither the filters nor their factory wait for a network, a lock that is held for long, or a
	// timer, nor compute for long. A list of such filters runs on Envoy's thread, and others on goroutines.
	NeverBlocks bool
}

var declarations = struct {
	sync.Mutex
	m map[string]declared
}{m: map[string]declared{}}

type declared struct {
	body        Body
	config      reflect.Type
	neverBlocks bool
}

// Declare says what is known about a type of filter. It is called in an init function, by the filter's package or by the
// one that imports it; a second declaration of a type replaces the first.
func Declare(typ string, d Declaration) {
	declarations.Lock()
	defer declarations.Unlock()
	declarations.m[typ] = declared{d.Body, reflect.TypeOf(d.Config), d.NeverBlocks}
}

func declarationOf(typ string) declared {
	declarations.Lock()
	defer declarations.Unlock()
	return declarations.m[typ]
}

// configTypes are the structs as which filters of one kind read their configurations, by the filters' types.
type configTypes struct {
	mu sync.Mutex
	m  map[string]reflect.Type
}

func (c *configTypes) declare(typ string, config any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]reflect.Type{}
	}
	c.m[typ] = reflect.TypeOf(config)
}

func (c *configTypes) of(typ string) reflect.Type {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[typ]
}

var networkConfigs, listenerConfigs configTypes

// DeclareNetwork says what is known about a type of network filter: config is a zero value of the struct as which the
// filter reads its configuration. Fields that it does not have are then errors; MOSN ignores them.
func DeclareNetwork(typ string, config any) { networkConfigs.declare(typ, config) }

// DeclareListener is [DeclareNetwork] for a type of listener filter.
func DeclareListener(typ string, config any) { listenerConfigs.declare(typ, config) }
