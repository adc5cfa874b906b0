package extension

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// Registration describes a plugin that is compiled in, as far as all kinds of extension are alike. It is for the
// framework, and not to be changed.
type Registration struct {
	Name   string
	Needs  Capability
	Config reflect.Type // the plugin's struct, T
	New    func() any   // returns a zero *T
	Docs   fs.FS        // README.md and schema.json, or nil
}

// Base returns r: what a kind's own registration, which embeds a Registration, shares with the others.
func (r *Registration) Base() *Registration { return r }

// RegistrationOf returns the part of a registration that follows from the plugin's struct T.
func RegistrationOf[T any](name string) Registration {
	return Registration{Name: name, Config: reflect.TypeFor[T](), New: func() any { return new(T) }}
}

// Bases returns the part of registrations that is alike in all kinds.
func Bases[R interface{ Base() *Registration }](all []R) []*Registration {
	bases := make([]*Registration, len(all))
	for i, r := range all {
		bases[i] = r.Base()
	}
	return bases
}

// Option refines the registration of any kind of extension.
type Option func(*Registration)

// Needs refuses the plugin's configuration on a host that lacks one of c.
func Needs(c Capability) Option { return func(r *Registration) { r.Needs |= c } }

// Docs adds the plugin's documentation, for `moe plugins NAME`: a README.md, and optionally a schema.json, at the root
// of files, which is usually an embed.FS.
func Docs(files fs.FS) Option { return func(r *Registration) { r.Docs = files } }

// Registry holds the plugins of one kind; R is a pointer to what embeds their [Registration]. The zero Registry is
// empty. Its methods may be called from any goroutine.
type Registry[R interface {
	comparable
	Base() *Registration
}] struct {
	mu   sync.RWMutex
	m    map[string]R
	read atomic.Bool // somebody has seen the plugins: from then on there are no others
}

// Add adds a plugin. An error says what is wrong with its name, which is made of a-z, 0-9, "_" and "-", with a method
// of its configuration that the framework would never call, that the name is taken, and by whom, or that plugins were
// looked up before: what was seen then would have lacked this one.
func (g *Registry[R]) Add(r R) error {
	b := r.Base()
	if err := checkName(b.Name); err != nil {
		return err
	}
	if err := checkLifecycle(reflect.PointerTo(b.Config)); err != nil {
		return fmt.Errorf("%s: %w", b.Name, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if other, ok := g.m[b.Name]; ok {
		return fmt.Errorf("duplicate plugin name %q: registered for %s and for %s", b.Name,
			fullName(other.Base().Config), fullName(b.Config))
	}
	if g.read.Load() {
		return fmt.Errorf("%s: registered after plugins were looked up: register it in an init function of %s, and import that "+
			"package in the program", b.Name, b.Config.PkgPath())
	}
	if g.m == nil {
		g.m = map[string]R{}
	}
	g.m[b.Name] = r
	return nil
}

// MustAdd is Add for packages that are named pkg, whose plugins have registered themselves: it panics with err, what the
// package has found wrong with the plugin, or else with the error of Add.
func (g *Registry[R]) MustAdd(pkg string, r R, err error) {
	if err == nil {
		err = g.Add(r)
	}
	if err != nil {
		panic(fmt.Sprintf("%s: %s: %v", pkg, r.Base().Name, err))
	}
}

// CheckMethods reports what is wrong with the methods of t, which must implement must. It may have the method of optional,
// but then with that signature. Both are interfaces of one method.
func CheckMethods(t, must, optional reflect.Type) error {
	if !t.Implements(must) {
		return fmt.Errorf("%v must have the method %v", t, must.Method(0))
	}
	want := optional.Method(0)
	if _, ok := t.MethodByName(want.Name); ok && !t.Implements(optional) {
		return fmt.Errorf("%v.%s must be %v", t, want.Name, want.Type)
	}
	return nil
}

// CheckHandlers reports what is wrong with the methods of t that begin with On: each must be one of handlers, which are
// interfaces of one method by its name. kind says in the plural what t is, for the error.
func CheckHandlers(t reflect.Type, kind string, handlers map[string]reflect.Type) error {
	for i := range t.NumMethod() {
		name := t.Method(i).Name
		h, ok := handlers[name]
		switch {
		case ok && !t.Implements(h):
			return fmt.Errorf("%v.%s must be %v", t, name, h.Method(0).Type)
		case !ok && len(name) > 2 && name[:2] == "On" && name[2] >= 'A' && name[2] <= 'Z':
			return fmt.Errorf("%v.%s is not a method of %s", t, name, kind)
		}
	}
	return nil
}

// Lookup returns the registration of a plugin by its name, or nil.
func (g *Registry[R]) Lookup(name string) R {
	g.mu.RLock()
	defer g.mu.RUnlock()
	g.read.Store(true)
	return g.m[name]
}

// LookupType returns the registration of the plugin whose struct is t, or nil.
func (g *Registry[R]) LookupType(t reflect.Type) (none R) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	g.read.Store(true)
	for _, r := range g.m {
		if r.Base().Config == t {
			return r
		}
	}
	return none
}

// All returns the registrations, by name.
func (g *Registry[R]) All() []R {
	g.mu.RLock()
	defer g.mu.RUnlock()
	g.read.Store(true)
	return slices.SortedFunc(maps.Values(g.m), func(a, b R) int { return cmp.Compare(a.Base().Name, b.Base().Name) })
}

// fullName is a type's name with the path of its package.
func fullName(t reflect.Type) string { return t.PkgPath() + "." + t.Name() }

func checkName(name string) error {
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return fmt.Errorf("the plugin name %q may only contain a-z, 0-9, _ and -", name)
		}
	}
	if name == "" {
		return errors.New("a plugin needs a name")
	}
	return nil
}
