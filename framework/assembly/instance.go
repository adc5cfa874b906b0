package assembly

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/logs"
	"mosn.io/moe/framework/internal/refs"
)

// instance is a provisioned plugin. All chains of the process with the same configuration for it share it.
type instance struct {
	refs.Share[digest]
	plugin chain.Plugin
	close  func()
}

var instances refs.Table[digest, *instance]

// acquire returns the instance for s, provisioned by the first that asks for it. Every successful acquire needs a
// release.
func (p *plan) acquire(host core.ConfigHost, s *spec) (*instance, error) {
	fresh := &instance{}
	return instances.Acquire(s.key, fresh, func() error { return fresh.provision(host, p, s) })
}

// release drops a reference; the last one closes the instance, and returns when it is closed.
func (in *instance) release() {
	if instances.Release(in) {
		in.close()
	}
}

func (in *instance) provision(host core.ConfigHost, p *plan, s *spec) error {
	d, err := p.decode(s, capabilities(host))
	if err != nil {
		return err
	}
	r := recipe{
		reg: &s.reg.Registration, id: s.EntryID(), decoding: d, reader: p.secrets, consumers: s.consumers,
		logs: logSettings(&s.Plugin),
	}
	env, closeAll, err := r.provision(host, s.provisionErrors)
	if err != nil {
		return err
	}
	if _, err := internals.Constants(d.value); err != nil {
		closeAll()
		return s.provisionErrors(err)
	}
	in.plugin = chain.Plugin{Name: s.EntryID(), Reg: s.reg, Config: d.value, Env: env}
	in.close = closeAll
	return nil
}

// recipe is what a provisioned extension of any kind is made of.
type recipe struct {
	reg       *extension.Registration
	id        string
	decoding  *decoding
	reader    *config.SecretReader
	consumers *consumerList // whom it may find, or nil
	logs      logs.Settings
}

// provision calls Provision where there is one, and returns what it was given and a function that closes all. Place puts
// what Provision returns where it belongs in the document.
func (r *recipe) provision(
	host core.ConfigHost, place func(error) config.Errors,
) (env *extension.Env, undoAll func(), err error) {
	secrets := &secrets{list: r.decoding.secrets, reader: r.reader}
	conf := extension.EnvConfig{Host: host, ID: r.id, Plugin: r.reg.Name, Decode: secrets.decode, Log: &r.logs}
	var undo []func()
	defer func() {
		if err != nil { // what Provision has not finished, Close cannot be asked to undo
			closeAll(undo)
		}
	}()
	if r.consumers != nil {
		set, err := r.consumers.acquire(slog.New(host.Log()))
		if err != nil {
			return nil, nil, err
		}
		conf.Consumers, undo = set.set, append(undo, set.release)
	}
	env, closeEnv := shared.NewEnv(conf)
	undo = append(undo, closeEnv)
	log := slog.New(host.Log()).With("plugin", r.id)
	value := r.decoding.value
	if p, ok := value.(extension.Provisioner); ok {
		if err := provision(log, p, env, secrets); err != nil {
			return nil, nil, place(err).Redact(secrets.all())
		}
	}
	secrets.enough()
	return env, func() {
		closeAll(undo)
		closePlugin(log, value, secrets.all())
	}, nil
}

// closeAll undoes what was done, the last first.
func closeAll(undo []func()) {
	for i := len(undo) - 1; i >= 0; i-- {
		undo[i]()
	}
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
	mu     sync.Mutex
	list   []string
	reader *config.SecretReader // while the plugin is provisioned
	full   bool
}

// decode decodes strictly. Any goroutine may call it.
func (s *secrets) decode(raw, into any) error {
	s.mu.Lock()
	d := &config.Decoder{Reader: s.reader}
	s.mu.Unlock()
	err := d.Decode(raw, into)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.full {
		s.list = append(s.list, d.Secrets()...)
	}
	return err
}

// enough ends the collection: consumers that change would make it grow for ever, and bring new secrets.
func (s *secrets) enough() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full, s.reader = true, nil
}

func (s *secrets) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

func provision(log *slog.Logger, p extension.Provisioner, env *extension.Env, secrets *secrets) (err error) {
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
