package filter

import (
	"reflect"

	"mosn.io/moe/framework/internal/core"
)

// RegisterPrepared is for the framework's own packages: [RegisterPerStream] with a step between a configuration and
// its streams. prepare is called once for each provisioned configuration, when the first chain has it.
func RegisterPrepared[T, P, S any](_ core.Internal, name string, stage Stage, prepare func(*T) *P,
	newStream func(*P, Stream) S, opts ...Option,
) {
	register(&Registration{
		Name: name, Stage: stage, Config: reflect.TypeFor[T](), Handler: reflect.TypeFor[S](),
		New:       func() any { return new(T) },
		Prepare:   func(c any) any { return prepare(c.(*T)) },
		PerStream: func(p any, s Stream) any { return newStream(p.(*P), s) },
	}, opts)
}

// Prepared is for the framework's own packages: what r.Prepare makes of config, which is this Env's configuration, or
// config itself. A nil Env remembers nothing.
func (e *Env) Prepared(r *Registration, config any) any {
	switch {
	case r.Prepare == nil:
		return config
	case e == nil:
		return r.Prepare(config)
	}
	e.prepare.Do(func() { e.prepared = r.Prepare(config) })
	return e.prepared
}

// KeepLength is for the framework's own packages: a Pipe whose writer sees to it that content-length holds.
func KeepLength(_ core.Internal, pipe Action) Action {
	p := *pipe.a.P
	p.KeepLength = true
	return Action{core.Action{Kind: pipe.a.Kind, P: &p}}
}
