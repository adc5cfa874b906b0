package cli

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/internal/moefile"
	"mosn.io/moe/internal/timeline"
	"mosn.io/moe/internal/ui"
)

// traceFlags are those of `moe run --trace`.
type traceFlags struct {
	on           bool
	path, plugin string
}

func (f *traceFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.BoolVar(&f.on, "trace", false, "show what the plugins do with each request, live")
	fl.StringVar(&f.path, "trace-path", "", "with --trace, only requests whose path begins with `PREFIX`")
	fl.StringVar(&f.plugin, "trace-plugin", "", "with --trace, only requests that the plugin with the id `ID` has seen")
}

func (f *traceFlags) check(run *runFlags) error {
	switch {
	case !f.on && (f.path != "" || f.plugin != ""):
		return errors.New("--trace-path and --trace-plugin are for --trace")
	case f.on && (run.print || run.split != ""):
		return errors.New("--trace is for an Envoy that moe starts; in a configuration, debug has records logged")
	case f.on:
		return checkLevel("--trace", run.pluginLevel)
	}
	return nil
}

// writer returns what takes Envoy's log, line by line: it draws the records of requests on out, gives them to page unless
// that is nil, and hands everything else on.
func (f *traceFlags) writer(log, out io.Writer, page *ui.Server) io.Writer {
	if !f.on && page == nil {
		return log
	}
	t := &tracer{log: log, page: page}
	if f.on {
		t.filter = timeline.Filter{Path: f.path, Plugin: f.plugin}
		t.printer = &timeline.Printer{W: out, Colours: isTerminal(out) && os.Getenv("NO_COLOR") == ""}
	}
	return t
}

type tracer struct {
	log     io.Writer
	filter  timeline.Filter
	printer *timeline.Printer // nil where nothing is drawn
	page    *ui.Server        // may be nil
}

// Write takes a line.
func (t *tracer) Write(line []byte) (int, error) {
	r, ok := timeline.Parse(line)
	if !ok {
		return t.log.Write(line)
	}
	if t.page != nil {
		t.page.Add(r)
	}
	switch {
	case t.printer == nil && asked(r, bytes.Contains(line, []byte("slow request"))):
		return t.log.Write(line)
	case t.printer != nil && t.filter.Takes(r):
		t.printer.Print(r)
	}
	return len(line), nil
}

// asked reports whether a record is one that the configuration asks for, besides those of all requests.
func asked(r *debugview.Record, slow bool) bool { return slow || r.Why != "sample" }

// isTerminal reports whether somebody looks at what is written to w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// load reads the flags' file, and has all requests recorded where somebody is to see them.
func (f *runFlags) load(l moefile.Loader) (*moefile.File, error) {
	file, err := load(f.file, l)
	if err == nil && (f.trace.on || f.ui.on()) {
		recordAll(file)
	}
	return file, err
}

// recordAll has the chains of a file record each request, beside what they show already.
func recordAll(file *moefile.File) {
	file.Filter = recorded(file.Filter)
	for i := range file.Routes {
		if doc := file.Routes[i].Doc; doc["debug"] != nil { // else the filter's holds
			file.Routes[i].Doc = recorded(doc)
		}
	}
}

func recorded(doc map[string]any) map[string]any {
	doc = maps.Clone(doc)
	debug, _ := config.Clone(doc["debug"]).(map[string]any)
	if debug == nil {
		debug = map[string]any{}
	}
	when, _ := debug["when"].(map[string]any)
	if when == nil {
		when = map[string]any{}
	}
	when["sample"] = 1
	debug["when"], debug["record"] = when, true
	doc["debug"] = debug
	return doc
}
