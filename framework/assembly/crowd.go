package assembly

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/internal/filewatch"
	files "mosn.io/moe/pkg/consumer"
)

// crowd is the consumers of a document as they are at present: those that it lists, and those of its source, which
// changes. All plugins and chains of the process with the same list and source share it.
type crowd struct {
	share
	inline []*filter.Consumer
	set    *extension.ConsumerSet
	stop   func()

	count, reloads core.Metric
}

var crowds = shares[*crowd]{m: map[digest]*crowd{}}

// source is where consumers come from besides the document.
type source struct {
	Path string        `json:"path" validate:"required"`
	Poll time.Duration `json:"poll" default:"1s"`
}

// minPoll bounds what looking at files costs.
const minPoll = 10 * time.Millisecond

// join returns the crowd of cs. The first who asks reads its source. Who gets one leaves it.
func (cs *consumers) join(log *slog.Logger) (*crowd, error) {
	c := &crowd{inline: cs.public, stop: func() {}}
	return crowds.join(cs.all, c, func() error {
		c.count.Kind, c.count.Name = core.Gauge, "moe.consumers"
		c.reloads.Name, c.reloads.Tags = "moe.consumer.reloads", []string{"result"}
		return c.start(cs.source, log)
	})
}

// leave gives a reference back; the last one ends the looking at the source.
func (c *crowd) leave() {
	if crowds.leave(c) {
		c.stop()
	}
}

func (c *crowd) metrics() []*core.Metric { return []*core.Metric{&c.count, &c.reloads} }

func (c *crowd) start(src *source, log *slog.Logger) error {
	if src == nil {
		set, err := shared.NewConsumerSet(c.inline)
		c.set = set
		c.count.Add(int64(len(c.inline)), nil)
		return err
	}
	tree := files.Tree(src.Path)
	read, err := tree.Read()
	if err != nil {
		return config.Errors{{Path: "consumerSource.path", Msg: err.Error()}}
	}
	list, err := c.load(read)
	if err != nil {
		return config.Errors{{Path: "consumerSource", Msg: err.Error()}}
	}
	if c.set, err = shared.NewConsumerSet(list); err != nil {
		return config.Errors{{Path: "consumerSource", Msg: err.Error()}}
	}
	c.count.Add(int64(len(list)), nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.follow(ctx, tree, src, log)
	}()
	c.stop = func() {
		cancel()
		<-done
	}
	return nil
}

// follow replaces the consumers when the source has changed. What cannot be used is told, and changes nothing.
func (c *crowd) follow(ctx context.Context, tree *filewatch.Tree, src *source, log *slog.Logger) {
	tick := time.NewTicker(max(src.Poll, minPoll))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		read, changed, err := tree.Settled()
		if !changed {
			continue
		}
		before, n := c.set.Len(), 0
		if err == nil {
			n, err = c.replace(read)
		}
		if err != nil {
			c.reloads.Add(1, []string{"failed"})
			log.Error("cannot load the consumers; those from before stay", "source", src.Path, "consumers", before,
				"error", err)
			continue
		}
		c.count.Add(int64(n-before), nil)
		c.reloads.Add(1, []string{"ok"})
		log.Info("loaded the consumers", "source", src.Path, "consumers", n)
	}
}

func (c *crowd) replace(read []filewatch.File) (n int, err error) {
	defer func() { // parsers and plugins are not ours
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	list, err := c.load(read)
	if err != nil {
		return 0, err
	}
	return len(list), c.set.Replace(list)
}

// load makes consumers of what files say.
func (c *crowd) load(read []filewatch.File) ([]*filter.Consumer, error) {
	specs, err := files.Read(read)
	if err != nil {
		return nil, err
	}
	list := make([]*filter.Consumer, 0, len(c.inline)+len(specs))
	list = append(list, c.inline...)
	r := &reading{}
	overlays := map[digest]*overlay{}
	known := map[string]bool{} // plugins that credentials are for
	for i := range specs {
		s := &specs[i]
		for plugin := range s.Credentials {
			if !known[plugin] {
				known[plugin] = true
				r.credential(s.Path+".credentials."+plugin, plugin, nil)
			}
		}
		p := &filter.Consumer{
			Name: s.Name, Labels: s.Labels, Groups: s.Groups, Attributes: s.Attributes, Credentials: s.Credentials,
		}
		if len(s.Plugins) > 0 {
			shared.SetOverlay(p, r.overlay(overlays, s))
		}
		list = append(list, p)
	}
	return list, r.errs.Err()
}

// overlay is the plugins of a consumer from a file. Consumers with the same ones share it.
type overlay struct {
	path    string // of the first of them
	name    string // his
	entries []entry
}

func (r *reading) overlay(seen map[digest]*overlay, s *files.Spec) *overlay {
	h := newHash()
	h.value(s.Plugins)
	h.secrets(map[string]any{"plugins": s.Plugins})
	sum := h.sum()
	if o := seen[sum]; o != nil {
		return o
	}
	o := &overlay{path: s.Path, name: s.Name}
	seen[sum] = o
	var raw []rawEntry
	at := s.Path + ".plugins"
	if err := (&config.Decoder{Path: at, Partial: true}).Decode(s.Plugins, &raw); err != nil {
		r.add(err)
		return o
	}
	o.entries = r.consumerEntries(at, raw)
	return o
}
