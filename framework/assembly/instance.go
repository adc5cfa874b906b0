package assembly

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// instance is a provisioned plugin. All chains of the process with the same configuration for it share it.
type instance struct {
	share
	plugin chain.Plugin
	close  func()
}

var instances = shares[*instance]{m: map[digest]*instance{}}

// acquire returns the instance for s, provisioned by the first who asks for it. Who gets one releases it.
func acquire(host core.ConfigHost, s *spec) (*instance, error) {
	fresh := &instance{}
	in, err := instances.join(s.key, fresh, func() error { return fresh.provision(host, s) })
	if err != nil {
		return nil, err
	}
	return in, nil
}

// release gives one reference back; the last one closes the instance, and returns when it is closed.
func (in *instance) release() {
	if instances.leave(in) {
		in.close()
	}
}

func (in *instance) provision(host core.ConfigHost, s *spec) error {
	value, d, err := s.decode(filter.Capability(host.Capabilities()))
	if err != nil {
		return err
	}
	secrets := &secrets{list: d.Secrets()}
	conf := extension.EnvConfig{Host: host, ID: s.id, Plugin: s.reg.Name, Decode: secrets.decode}
	leave := func() {}
	if s.consumers != nil {
		c, err := s.consumers.join(slog.New(host.Log()))
		if err != nil {
			return err
		}
		conf.Consumers, leave = c.set, c.leave
	}
	env, closing := shared.NewEnv(conf)
	closeEnv := func() {
		closing()
		leave()
	}
	log := slog.New(host.Log()).With("plugin", s.id)
	in.close = func() {
		closeEnv()
		closePlugin(log, value, secrets.all())
	}
	if p, ok := value.(filter.Provisioner); ok {
		if err := provision(log, p, env, secrets); err != nil {
			closeEnv() // what Provision has not finished, Close cannot be asked to undo
			return s.provisionErrors(err).Redact(secrets.all())
		}
	}
	secrets.enough()
	in.plugin = chain.Plugin{Name: s.id, Reg: s.reg, Config: value, Env: env}
	return nil
}

// provisionErrors puts what Provision returned where it belongs: to a field if it names one, else to the plugin.
func (s *spec) provisionErrors(err error) config.Errors {
	es := config.FromPlugin("", s.reg.Config, err).Of(s.reg.Name)
	for i, e := range es {
		at := s.path
		if e.Path != "" {
			at = s.configPath
		}
		es[i] = config.Errors{e}.In(at)[0]
	}
	return es
}

// secrets are what a plugin may know and must not tell.
type secrets struct {
	mu   sync.Mutex
	list []string
	full bool
}

// decode decodes strictly. Any goroutine may call it.
func (s *secrets) decode(raw, into any) error {
	d := &config.Decoder{}
	err := d.Decode(raw, into)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.full {
		s.list = append(s.list, d.Secrets()...)
	}
	return err
}

// enough ends the collection: consumers that change would make it grow for ever.
func (s *secrets) enough() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = true
}

func (s *secrets) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

func provision(log *slog.Logger, p filter.Provisioner, env *filter.Env, secrets *secrets) (err error) {
	defer func() {
		if v := recover(); v != nil {
			msg := config.Redact(fmt.Sprint(v), secrets.all())
			log.Error("Provision panics", "value", msg, "stack", string(debug.Stack()))
			err = fmt.Errorf("its Provision panics: %s; the log has the stack", msg)
		}
	}()
	return p.Provision(env)
}

func closePlugin(log *slog.Logger, value any, secrets []string) {
	c, ok := value.(io.Closer)
	if !ok {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			log.Error("Close panics", "value", config.Redact(fmt.Sprint(v), secrets), "stack", string(debug.Stack()))
		}
	}()
	if err := c.Close(); err != nil {
		log.Warn("Close fails", "error", config.Redact(err.Error(), secrets))
	}
}

// built is a chain and what it holds.
type built struct {
	refs      int // guarded by Assembler.mu
	key       digest
	chain     *chain.Chain
	joiner    *joiner // of its consumers' chains, or nil
	crowd     *crowd  // or nil
	instances []*instance
}

// build provisions p, with the meter of its filter. If any of it fails, nothing stays.
func (p *plan) build(host core.ConfigHost, meter *chain.Meter) (b *built, err error) {
	b = &built{refs: 1, key: p.key}
	defer func() {
		if err != nil {
			b.release()
			b = nil
		}
	}()
	plugins := make([]chain.Plugin, 0, len(p.specs))
	for i := range p.specs {
		in, err := acquire(host, &p.specs[i])
		if err != nil {
			return b, err
		}
		b.instances = append(b.instances, in)
		plugins = append(plugins, in.plugin)
	}
	options := chain.Options{Timeout: p.timeout, Meter: meter, AnyScheme: p.any, Unused: b.unused}
	if slices.ContainsFunc(p.specs, func(s spec) bool { return s.reg.Stage == filter.Authn }) {
		options.Identity = &chain.Identity{Header: p.header}
	}
	if p.doc != nil && p.doc.consumers.source != nil {
		if b.crowd, err = p.doc.consumers.join(slog.New(host.Log())); err != nil {
			b.crowd = nil
			return b, err
		}
	}
	if len(p.forWhom) > 0 || b.crowd != nil {
		if b.joiner, err = newJoiner(host, meter, p, b.crowd); err != nil {
			return b, err
		}
		options.ForConsumer = b.joiner.chainFor
	}
	b.chain = chain.New(plugins, options)
	return b, nil
}

// unused is called when no stream and no joiner holds the chain of a consumer any more. It may be on a stream's thread.
func (b *built) unused() { go b.release() }

// release gives back all instances, the last first, as they may use those before.
func (b *built) release() {
	if b.joiner != nil {
		b.joiner.close()
	}
	for _, in := range slices.Backward(b.instances) {
		in.release()
	}
	if b.crowd != nil {
		b.crowd.leave()
	}
}
