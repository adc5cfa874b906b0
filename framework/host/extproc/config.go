package extproc

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/refs"
)

// Config is what a server runs.
type Config struct {
	Name   string         // assembly.ChainName (the default), or one plugin's name
	Doc    any            // that filter's document, as config.Parse returns it
	Routes map[string]any // routes' documents, by the name of the route
}

// generation is a loaded configuration. Streams finish on the one that they began with.
type generation struct {
	srv    *Server
	name   string
	doc    any
	filter *assembly.Filter
	routes map[string]*assembly.Route
	refs   refs.Count

	mu    sync.Mutex
	given map[string]*given // routes that came with streams, by their documents
	parts map[string]*part  // of the filter, by their stages
}

// part is the filter with the plugins of some stages alone.
type part struct {
	filter *assembly.Filter
	err    error
}

// maxParts is how many different lists of stages streams may bring. All that are right are fewer.
const maxParts = 100

type given struct {
	route *assembly.Route
	err   error
}

// maxGiven bounds how many different documents streams may bring.
const maxGiven = 10_000

// Load replaces the configuration. After an error the one before goes on; the error names every mistake.
func (s *Server) Load(c Config) error {
	orElse(&c.Name, assembly.ChainName)
	g := &generation{
		srv: s, name: c.Name, doc: c.Doc, routes: map[string]*assembly.Route{}, given: map[string]*given{}, parts: map[string]*part{},
	}
	var err error
	if g.filter, err = s.assembler.Filter(c.Name, c.Doc); err != nil {
		return err
	}
	var errs config.Errors
	for _, name := range slices.Sorted(maps.Keys(c.Routes)) {
		r, err := s.assembler.Route(c.Name, c.Routes[name])
		if err == nil {
			g.routes[name] = r
			_, err = g.filter.Chain(r)
		}
		var all config.Errors
		if errors.As(err, &all) {
			errs = append(errs, all.In(config.Key("routes", name))...)
		} else if err != nil {
			errs = append(errs, config.Error{Path: config.Key("routes", name), Msg: err.Error()})
		}
	}
	if err := errs.Err(); err != nil {
		g.close()
		return err
	}
	if s.o.Modes != nil {
		if err := g.fits(s.o.Modes); err != nil {
			g.close()
			return err
		}
	}
	if old := s.current.Swap(g); old != nil {
		old.release()
	}
	return nil
}

// Close lets go of the configuration; streams that run finish on it.
func (s *Server) Close() {
	if old := s.current.Swap(nil); old != nil {
		old.release()
	}
}

// Loaded reports whether there is a configuration.
func (s *Server) Loaded() bool { return s.current.Load() != nil }

// Streams is how many streams run.
func (s *Server) Streams() int64 { return s.o.Registry.server.active.Load() }

func (s *Server) acquire() *generation {
	for {
		g := s.current.Load()
		if g == nil {
			return nil
		}
		if g.refs.Acquire() {
			return g
		}
	}
}

func (g *generation) release() {
	if g.refs.Release() {
		go g.close() // may wait for plugins' goroutines
	}
}

func (g *generation) close() {
	for _, r := range g.routes {
		r.Close()
	}
	for _, r := range g.given {
		if r.route != nil {
			r.route.Close()
		}
	}
	for _, p := range g.parts {
		if p.filter != nil {
			p.filter.Close()
		}
	}
	g.filter.Close()
}

// chain returns the chain for a stream: stages are those whose plugins run, or "" for all, doc is a route's document that
// came with it, names are routes that it may be on, of which the first that the configuration knows counts.
func (g *generation) chain(stages, doc string, names ...string) (*chain.Chain, error) {
	f, err := g.part(stages)
	if err != nil {
		return nil, err
	}
	if doc != "" {
		r, err := g.give(doc)
		if err != nil {
			return nil, err
		}
		return f.Chain(r)
	}
	for _, name := range names {
		if r := g.routes[name]; r != nil {
			return f.Chain(r)
		}
	}
	return f.Chain(nil)
}

// part returns the filter with the plugins of these stages. Its plugins are those of the whole filter, which runs already.
func (g *generation) part(stages string) (*assembly.Filter, error) {
	if stages == "" {
		return g.filter, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.parts[stages]; p != nil {
		return p.filter, p.err
	}
	if len(g.parts) >= maxParts {
		return nil, fmt.Errorf("more than %d different %s", maxParts, StagesKey)
	}
	p := &part{}
	if doc, ok := g.doc.(map[string]any); ok && g.name == assembly.ChainName {
		p.filter, p.err = g.srv.assembler.Filter(g.name, document.WithStages(doc, strings.Split(stages, ",")))
	} else {
		p.err = errors.New("the server runs one plugin, which has no part")
	}
	if p.err != nil {
		p.err = fmt.Errorf("%s: %w", StagesKey, p.err)
		g.srv.log.Error("requests of these stages are refused: " + p.err.Error())
	}
	g.parts[stages] = p
	return p.filter, p.err
}

func (g *generation) give(doc string) (*assembly.Route, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.given[doc]; r != nil {
		return r.route, r.err
	}
	if len(g.given) >= maxGiven {
		return nil, fmt.Errorf("more than %d different %s", maxGiven, ConfigKey)
	}
	r := &given{}
	raw, err := config.Parse([]byte(doc))
	if err == nil {
		r.route, err = g.srv.assembler.Route(g.name, raw)
	}
	if err == nil && g.srv.o.Modes != nil {
		err = g.misfits(r.route, g.srv.o.Modes, "").Err()
	}
	if err != nil {
		r.err = fmt.Errorf("%s: %w", ConfigKey, err)
		g.srv.log.Error("requests of this route are refused: " + r.err.Error())
	}
	g.given[doc] = r
	return r.route, r.err
}

// configHost is core.ConfigHost.
type configHost struct{ log slog.Handler }

func (configHost) Name() string         { return Name }
func (configHost) Capabilities() uint32 { return uint32(Capabilities) }
func (h configHost) Log() slog.Handler  { return h.log }

// MayListSecrets says what to do in their place.
func (configHost) MayListSecrets() error {
	return errors.New("a process outside of Envoy is not shown its secrets; mount them as files, and give plugins " +
		"{file: PATH} in their configuration")
}

// MeasuresPhases says yes: beside the protocol, it costs next to nothing.
func (configHost) MeasuresPhases() bool { return true }

func (configHost) Transport(cluster string) (http.RoundTripper, error) {
	return nil, fmt.Errorf("cluster %s: a process outside Envoy has no clusters: %w", cluster, filter.ErrUnsupported)
}
