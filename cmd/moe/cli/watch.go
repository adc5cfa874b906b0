package cli

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/internal/filewatch"
	"mosn.io/moe/internal/moefile"
	"mosn.io/moe/internal/ui"
)

// watchEvery is how often the files are looked at. An edit goes live once two looks have seen the same.
const watchEvery = 200 * time.Millisecond

// watcher takes the edits of a moe.yaml, and of the secrets' files that it names, to a running Envoy.
type watcher struct {
	f      *runFlags
	cmd    *cobra.Command
	loader moefile.Loader
	echo   string            // address of the echo server
	golang *bootstrap.Golang // nil for a dynamic module
	dir    string            // of the files that Envoy reads
	boot   []byte            // what Envoy has been started with
	page   *ui.Server        // that shows what runs; nil for none

	current bootstrap.Options                                      // what Envoy has been given last
	before  []former                                               // what requests may still have the routes of
	later   *bootstrap.Options                                     // what it is to be given when the timer fires; nil if that is current
	timer   *time.Timer                                            // stopped while later is nil
	stat    func(ctx context.Context, name string) (uint64, error) // of the running Envoy

	files   *filewatch.Files
	file    *moefile.File // what Envoy has been given
	secrets secretFiles   // in files
	changed parts         // whose secrets have changed since Envoy was given them
	turn    parts         // that are written in their other form, so that Envoy sets them up, and reads their secrets, again
}

// former is a configuration that an edit has replaced.
type former struct {
	options bootstrap.Options
	until   time.Time // when no request has its routes any more
}

// parts are those of Envoy's configuration that hold secrets.
type parts struct{ filter, loggers, connections bool }

// secretFiles are the files that {file: PATH} names, by the part of the configuration that does.
type secretFiles struct{ filter, loggers, connections []string }

// watch looks at the moe.yaml and at the secrets of files from now on. Call it before they are read, so that no edit is
// missed.
func (w *watcher) watch(files ...*moefile.File) error {
	dir, err := folder(w.f.file)
	if err != nil {
		return err
	}
	w.secrets = secretFiles{}
	for _, f := range files {
		of := secretsOf(f)
		w.secrets.filter = append(w.secrets.filter, within(dir, of.filter)...)
		w.secrets.loggers = append(w.secrets.loggers, within(dir, of.loggers)...)
		w.secrets.connections = append(w.secrets.connections, within(dir, of.connections)...)
	}
	paths := slices.Concat([]string{filepath.Join(dir, filepath.Base(w.f.file))}, w.secrets.filter, w.secrets.loggers,
		w.secrets.connections)
	if w.files == nil {
		w.files = filewatch.New(paths...)
	} else {
		w.files.Follow(paths...)
	}
	return nil
}

// within returns paths with the relative ones below dir.
func within(dir string, paths []string) []string {
	all := slices.Clone(paths)
	for i, p := range all {
		if !filepath.IsAbs(p) {
			all[i] = filepath.Join(dir, p)
		}
	}
	return all
}

// run takes edits until ctx ends.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	w.timer = time.NewTimer(time.Hour)
	w.timer.Stop()
	defer w.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if w.files.Settled() {
				w.take(ctx)
			}
		case <-w.timer.C:
			w.finish()
		}
	}
}

// take reads the files again. If anything is wrong, Envoy goes on with what it has.
func (w *watcher) take(ctx context.Context) {
	for _, path := range w.files.Which() {
		w.changed.filter = w.changed.filter || slices.Contains(w.secrets.filter, path)
		w.changed.loggers = w.changed.loggers || slices.Contains(w.secrets.loggers, path)
		w.changed.connections = w.changed.connections || slices.Contains(w.secrets.connections, path)
	}
	boot, changed, err := w.give(ctx)
	if err != nil {
		for _, line := range messages(err) {
			w.cmd.PrintErrln("moe:", line)
		}
		w.cmd.PrintErrln("moe: the configuration before goes on")
		return
	}
	waits := string(boot) != string(w.boot)
	w.boot = boot
	switch {
	case len(changed) > 0:
		w.cmd.PrintErrf("moe: %s has changed; given to Envoy: %s\n", w.f.file, strings.Join(changed, ", "))
	case !waits:
		w.cmd.PrintErrf("moe: %s has changed, but nothing that concerns Envoy\n", w.f.file)
	}
	if waits {
		w.cmd.PrintErrln("moe: a part of the change waits for the next start of moe run: Envoy reads its bootstrap once")
	}
}

// give takes Envoy to what the files say, and returns the bootstrap and the files that it has changed for Envoy.
func (w *watcher) give(ctx context.Context) (boot []byte, changed []string, err error) {
	// The secrets are known before the plugins read them. Those that Envoy has stay watched: it may keep them.
	file, err := w.f.load(moefile.Loader{Check: moefile.CheckFile, Host: w.loader.Host})
	if err != nil {
		return nil, nil, err
	}
	if err := w.watch(w.file, file); err != nil {
		return nil, nil, err
	}
	if file, err = w.f.load(w.loader); err != nil {
		return nil, nil, err
	}
	turn := parts{
		filter: w.turn.filter != w.changed.filter, loggers: w.turn.loggers != w.changed.loggers,
		connections: w.turn.connections != w.changed.connections,
	}
	if boot, changed, err = w.change(ctx, w.options(file, turn)); err != nil {
		return nil, nil, err
	}
	w.file, w.turn, w.changed = file, turn, parts{}
	if w.page != nil {
		w.page.Loaded(w.f.file, file.Text())
	}
	return boot, changed, w.watch(file)
}

// options are what Envoy is to have for a file.
func (w *watcher) options(file *moefile.File, turn parts) bootstrap.Options {
	o := file.Bootstrap(w.f.admin, w.echo)
	o.Golang, o.Dir = w.golang, w.dir
	o.OtherLoggers, o.OtherConnections = turn.loggers, turn.connections
	if turn.filter {
		o.Filter = touch(o.Filter)
	}
	return o
}

// begin writes the files that Envoy is started with.
func (w *watcher) begin(file *moefile.File) (err error) {
	w.file, w.current = file, w.options(file, w.turn)
	w.boot, _, err = w.f.write(w.current)
	return err
}

// change takes Envoy to next, step by step, and returns the bootstrap and the files that have changed.
func (w *watcher) change(ctx context.Context, next bootstrap.Options) (boot []byte, changed []string, err error) {
	var earlier []bootstrap.Options
	for _, b := range w.formers() {
		earlier = append(earlier, b.options)
	}
	steps, old := bootstrap.NewSteps(w.current, next, w.fit, earlier...), w.current
	if err := next.Check(); err != nil {
		return nil, nil, err
	}
	w.timer.Stop()
	w.later = steps.Later
	for i, o := range steps.Now {
		updates, _ := w.stat(ctx, cdsUpdates)
		var files []string
		if boot, files, err = w.f.write(o); err != nil {
			return nil, nil, err
		}
		w.current = o
		changed = append(changed, files...)
		if i+1 < len(steps.Now) && slices.Contains(files, bootstrap.ClustersFile) {
			w.warm(ctx, updates)
		}
	}
	wait := oldRequests(&next)
	w.before = append(w.formers(), former{options: old, until: time.Now().Add(wait)})
	if w.later != nil {
		for _, b := range w.before {
			wait = max(wait, time.Until(b.until))
		}
		w.timer.Reset(wait)
	}
	slices.Sort(changed)
	return boot, slices.Compact(changed), nil
}

// formers returns those of before that requests may still have the routes of.
func (w *watcher) formers() (all []former) {
	for _, b := range w.before {
		if time.Now().Before(b.until) {
			all = append(all, b)
		}
	}
	return all
}

// oldRequests is how long requests may have the routes of before: Envoy gives a request its routes when its first byte
// comes, and its plugins when its headers have come.
func oldRequests(o *bootstrap.Options) time.Duration {
	if t := o.Edge.HTTP.RequestHeadersTimeout; t > 0 && t < time.Minute {
		return t
	}
	return time.Minute
}

// finish takes away what only requests of before an edit have needed.
func (w *watcher) finish() {
	if w.later == nil {
		return
	}
	o := *w.later
	w.later = nil
	_, changed, err := w.f.write(o)
	if err != nil {
		w.cmd.PrintErrln("moe:", err)
		return
	}
	w.current = o
	w.cmd.PrintErrf("moe: no request needs what the edit has removed; given to Envoy: %s\n", strings.Join(changed, ", "))
}

// fit reports whether the documents of routes can be merged over the filter's.
func (w *watcher) fit(filter map[string]any, routes []bootstrap.Route) bool {
	return w.loader.Fit(filter, routes)
}

// cdsUpdates counts the sets of clusters that Envoy has taken.
const cdsUpdates = "cluster_manager.cds.update_success"

// warmTimeout bounds how long an edit waits for new upstreams: for their names in DNS, and their first health check.
const warmTimeout = 10 * time.Second

// warm waits until Envoy has taken the clusters, of which it had taken updates, and each of them is ready for requests.
func (w *watcher) warm(ctx context.Context, updates uint64) {
	ctx, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	for ; ctx.Err() == nil; sleep(ctx, 10*time.Millisecond) {
		if n, err := w.stat(ctx, cdsUpdates); err != nil || n == updates {
			continue
		}
		if n, err := w.stat(ctx, "cluster_manager.warming_clusters"); err == nil && n == 0 {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// touch returns a document that says the same in other words, so that Envoy reads it, and the secrets in it, again: one
// with a null, which is as if it were not written.
func touch(doc map[string]any) map[string]any {
	doc = maps.Clone(doc)
	for _, field := range document.Fields() {
		if _, ok := doc[field]; !ok {
			doc[field] = nil
			break
		}
	}
	return doc
}

// secretsOf returns the files that {file: PATH} names in a file, in order.
func secretsOf(f *moefile.File) secretFiles {
	ofFilter, ofLoggers, ofConnections := []any{config.Clone(f.Filter)}, []any{}, []any{}
	for _, r := range f.Routes {
		ofFilter = append(ofFilter, r.Doc)
	}
	for _, l := range f.Loggers {
		ofLoggers = append(ofLoggers, l.Config)
	}
	for _, l := range f.Listeners {
		for _, n := range l.ListenerFilters {
			ofConnections = append(ofConnections, n.Config)
		}
		for _, n := range l.NetworkFilters {
			ofConnections = append(ofConnections, n.Config)
		}
		for _, n := range l.UDPFilters {
			ofConnections = append(ofConnections, n.Config)
		}
	}
	return secretFiles{filter: filesIn(ofFilter), loggers: filesIn(ofLoggers), connections: filesIn(ofConnections)}
}

func filesIn(data []any) []string {
	found := map[string]bool{}
	var find func(any)
	find = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				find(e)
			}
		case map[string]any:
			if path, ok := v["file"].(string); ok && len(v) == 1 && path != "" {
				found[path] = true
			}
			for _, e := range v {
				find(e)
			}
		}
	}
	find(data)
	return slices.Sorted(maps.Keys(found))
}
