package assembly

import (
	"context"
	"fmt"
	"log/slog"

	"mosn.io/moe/framework/assembly/consumers"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/refs"
)

// consumerSet is the consumers of a document as they are at present: those that it lists, and those of its source, which
// changes. All plugins and chains of the process with the same list and source share it.
type consumerSet struct {
	refs.Share[digest]
	inline []*filter.Consumer
	path   string // of its source, or ""
	set    *extension.ConsumerSet
	stop   func()

	count, reloads *core.Metric
}

var (
	consumerCount = core.Define(core.Definition{
		Name: "moe.consumers", Kind: core.Gauge, Help: "How many consumers a source has.",
	})
	consumerReloads = core.Define(core.Definition{
		Name: "moe.consumer.reloads", Tags: []string{"result"},
		Help: "Changes of a source of consumers that were taken (`ok`) or not (`failed`).",
	})
)

var consumerSets refs.Table[digest, *consumerSet]

// acquire returns the consumer set of cs. The first that asks reads its source. Every successful acquire needs a release.
func (cs *consumerList) acquire(log *slog.Logger) (*consumerSet, error) {
	s := &consumerSet{inline: cs.public, stop: func() {}}
	return consumerSets.Acquire(cs.all, s, func() error {
		s.count, s.reloads = consumerCount.Metric(), consumerReloads.Metric()
		return s.start(cs.source, log)
	})
}

// release drops a reference; the last one stops following the source.
func (s *consumerSet) release() {
	if consumerSets.Release(s) {
		s.stop()
	}
}

func (s *consumerSet) metrics() []*core.Metric { return []*core.Metric{s.count, s.reloads} }

func (s *consumerSet) start(from *document.Source, log *slog.Logger) error {
	if from == nil {
		set, err := shared.NewConsumerSet(s.inline)
		s.set = set
		s.count.Add(int64(len(s.inline)), nil)
		return err
	}
	s.path = from.Path
	source, err := consumers.Open(from.Path)
	if err != nil {
		return sourceError("consumerSource", err)
	}
	var list []*filter.Consumer
	err = fenced(func() error {
		specs, err := source.Read()
		if _, ok := err.(config.Errors); err != nil && !ok { // it cannot be read at all
			return sourceError("consumerSource.path", err)
		}
		if err == nil {
			list, err = s.load(specs)
		}
		if err == nil {
			s.set, err = shared.NewConsumerSet(list)
		}
		if err != nil {
			return sourceError("consumerSource", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.count.Add(int64(len(list)), nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		source.Follow(ctx, from.Poll, func(specs []consumers.Spec, err error) { s.reload(specs, err, from.Path, log) })
	}()
	s.stop = func() {
		cancel()
		<-done
	}
	return nil
}

func sourceError(path string, err error) error { return config.Errors{{Path: path, Msg: err.Error()}} }

// reload replaces the consumers by those of specs. What cannot be used is logged, and changes nothing.
func (s *consumerSet) reload(specs []consumers.Spec, err error, path string, log *slog.Logger) {
	before, n := s.set.Len(), 0
	if err == nil {
		err = fenced(func() error {
			list, err := s.load(specs)
			if err != nil {
				return err
			}
			n = len(list)
			return s.set.Replace(list)
		})
	}
	if err != nil {
		s.reloads.Add(1, []string{"failed"})
		log.Error("cannot load the consumers; those from before stay", "source", path, "consumers", before, "error", err)
		return
	}
	s.count.Add(int64(n-before), nil)
	s.reloads.Add(1, []string{"ok"})
	log.Info("loaded the consumers", "source", path, "consumers", n)
}

// fenced returns a panic of f as an error: sources and plugins are not the framework's.
func fenced(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}

// load makes consumers of what the source says.
func (s *consumerSet) load(specs []consumers.Spec) ([]*filter.Consumer, error) {
	list := make([]*filter.Consumer, 0, len(s.inline)+len(specs))
	list = append(list, s.inline...)
	r := &reading{}
	overlays := map[digest]*overlay{}
	known := map[string]bool{} // plugins that credentials are for
	for i := range specs {
		spec := &specs[i]
		for plugin := range spec.Credentials {
			if !known[plugin] {
				known[plugin] = true
				r.credential(spec.Path+".credentials."+plugin, plugin, nil)
			}
		}
		c := publicOf(&spec.Consumer)
		if len(spec.Plugins) > 0 {
			shared.SetOverlay(c, r.overlay(overlays, spec))
		}
		list = append(list, c)
	}
	return list, r.errs.Err()
}

// overlay is the plugins of a consumer from a source. Consumers with the same ones share it.
type overlay struct {
	path    string // of the first of them
	name    string // its name
	entries []entry
}

func (r *reading) overlay(seen map[digest]*overlay, s *consumers.Spec) *overlay {
	h := newHash()
	for i := range s.Plugins {
		p := &s.Plugins[i]
		fmt.Fprintf(h.h, "%q;%q;%t;%t;", p.Name, p.ID, p.Disabled != nil, p.Off())
		h.logs(p)
		h.value(data(p.Config))
		h.secrets(data(p.Config), r.reader())
	}
	sum := h.sum()
	if o := seen[sum]; o != nil {
		return o
	}
	o := &overlay{path: s.Path, name: s.Name}
	seen[sum] = o
	o.entries = r.consumerEntries(s.Path+".plugins", s.Plugins)
	return o
}
