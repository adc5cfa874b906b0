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

	files   *filewatch.Files
	watched []string
	turn    bool // whether the configuration is written in its other form; see touch
}

// watch begins to look at the files. Call it before they are read, so that no edit is missed.
func (w *watcher) watch(file *moefile.File) error {
	dir, err := folder(w.f.file)
	if err != nil {
		return err
	}
	watched := []string{filepath.Join(dir, filepath.Base(w.f.file))}
	if file != nil {
		for _, path := range secretFiles(file) {
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			watched = append(watched, path)
		}
	}
	if !slices.Equal(watched, w.watched) {
		w.files, w.watched = filewatch.New(watched...), watched
	}
	return nil
}

// run takes edits until ctx ends.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if w.files.Settled() {
				w.take()
			}
		}
	}
}

// take reads the files again. If anything is wrong, Envoy goes on with what it has.
func (w *watcher) take() {
	file, err := load(w.f.file, w.loader)
	var changed []string
	var boot []byte
	if err == nil {
		boot, changed, err = w.write(file, w.turn)
	}
	if err == nil && len(changed) == 0 { // a secret: Envoy would not read an equal configuration
		w.turn = !w.turn
		boot, changed, err = w.write(file, w.turn)
	}
	if err != nil {
		for _, line := range messages(err) {
			w.cmd.PrintErrln("moe:", line)
		}
		w.cmd.PrintErrln("moe: the configuration before goes on")
		return
	}
	if err := w.watch(file); err != nil {
		w.cmd.PrintErrln("moe:", err)
	}
	w.cmd.PrintErrf("moe: %s has changed; given to Envoy: %s\n", w.f.file, strings.Join(changed, ", "))
	if string(boot) != string(w.boot) {
		w.boot = boot
		w.cmd.PrintErrln("moe: a part of the change waits for the next start of moe run: Envoy reads its bootstrap once")
	}
}

// write writes the files that Envoy reads.
func (w *watcher) write(file *moefile.File, turn bool) (boot []byte, changed []string, err error) {
	o := file.Bootstrap(w.f.admin, w.echo)
	o.Golang, o.Dir = w.golang, w.dir
	if turn {
		o.Filter = touch(o.Filter)
	}
	return w.f.write(o)
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

// secretFiles returns the files that {file: PATH} names in a file, in order.
func secretFiles(f *moefile.File) []string {
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
	find(config.Clone(f.Filter))
	for _, r := range f.Routes {
		find(r.Doc)
	}
	return slices.Sorted(maps.Keys(found))
}
