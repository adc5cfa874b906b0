package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/internal/moefile"
	"mosn.io/moe/internal/ui"
)

// uiFlags are those of the page.
type uiFlags struct {
	address string
	remote  bool
	edit    bool
	hosts   []string
	slow    time.Duration
}

func (f *uiFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.address, "ui", "", "`ADDR` of a page that shows the plugins at work; none without it, port 0 is any free one")
	fl.BoolVar(&f.remote, "ui-remote", false, "let --ui be an address other than of this machine's loopback interface")
	fl.BoolVar(&f.edit, "ui-edit", false, "let the page change the file: forms that check as validate does, and keep comments")
	fl.StringSliceVar(&f.hosts, "ui-host", nil, "DNS `NAME` under which the page may be asked for; may repeat")
	fl.DurationVar(&f.slow, "ui-slow", 100*time.Millisecond, "on the page, requests are slow whose plugins take as long together")
}

func (f *uiFlags) on() bool { return f.address != "" }

// check reports what is wrong with the flags of a command for a file, which may only print.
func (f *uiFlags) check(file string, prints bool) error {
	switch {
	case !f.on():
		if f.remote || f.edit || len(f.hosts) > 0 {
			return errors.New("--ui-remote, --ui-edit and --ui-host are for --ui")
		}
		return nil
	case prints:
		return errors.New("--ui is for plugins that moe runs, and not for a printed configuration")
	case f.edit && file == "-":
		return errors.New("--ui-edit is for a file, and not for the standard input")
	case f.slow <= 0:
		return fmt.Errorf("--ui-slow %s: expected a duration above 0", f.slow)
	}
	host, _, err := net.SplitHostPort(f.address)
	if err != nil {
		return fmt.Errorf("--ui: %w; give an address such as 127.0.0.1:9902", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && !f.remote {
		return fmt.Errorf("--ui %s: the page has no TLS, so it is for 127.0.0.1, [::1] and localhost; "+
			"with --ui-remote, whoever has the token may come from elsewhere", f.address)
	}
	return nil
}

// open serves the page, and returns a function that ends it; page is nil where there is to be none. edit is what the page may
// change where the flags let it.
func (f *uiFlags) open(cmd *cobra.Command, edit ui.Edit) (page *ui.Server, end func(), err error) {
	if !f.on() {
		return nil, func() {}, nil
	}
	plugins, err := documented()
	if err != nil {
		return nil, nil, err
	}
	ln, err := net.Listen("tcp", f.address)
	if err != nil {
		return nil, nil, fmt.Errorf("--ui: %w", err)
	}
	o := ui.Options{Slow: f.slow, Hosts: f.hosts, Plugins: plugins}
	if f.edit {
		o.Edit = &edit
	}
	page = ui.New(o)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := page.Serve(ln); err != nil {
			cmd.PrintErrln("moe: the page ends:", err)
		}
	}()
	cmd.PrintErrln("moe: the page is", page.URL(ln.Addr()))
	return page, func() {
		_ = page.Close() // nothing of it is of use any more
		<-served
	}, nil
}

// validates returns what checks a text as moe validate does: first without setting plugins up, and then also with that.
func validates(name string, host moefile.Host) func(text []byte, whole bool) error {
	return func(text []byte, whole bool) error {
		l := moefile.Loader{Check: moefile.CheckPlugins, Host: host, Name: name}
		if whole {
			l.Check = moefile.ProvisionPlugins
		}
		_, err := l.Parse(text)
		return err
	}
}

// documented are the plugins that are compiled in, with their manuals.
func documented() (all []ui.Plugin, err error) {
	add := func(p *plugin, manual string, inChain bool) {
		var text strings.Builder
		if manual == "" {
			p.print(&text, "")
			manual = text.String()
		}
		all = append(all, ui.Plugin{
			Name: p.Name, Stage: p.Stage, Summary: p.Summary, Manual: manual, Schema: p.Schema, InChain: inChain,
		})
	}
	for _, reg := range filter.Registrations() {
		p, err := describe(reg)
		if err != nil {
			return nil, err
		}
		add(p, manualOf(reg), true)
	}
	for _, o := range others() {
		p, manual, err := o.describe()
		if err != nil {
			return nil, err
		}
		add(p, manual, false)
	}
	return all, nil
}

// recordHandler gives the records of requests in a log to the page, and hands everything else on.
type recordHandler struct {
	slog.Handler
	page *ui.Server
}

// Enabled has records made, whatever the level of the log is.
func (h recordHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.Handler.Enabled(ctx, level)
}

// Handle takes an entry.
func (h recordHandler) Handle(ctx context.Context, e slog.Record) error {
	if r := recordIn(e); r != nil {
		h.page.Add(r)
		if !asked(r, e.Level >= slog.LevelWarn) {
			return nil
		}
	}
	if !h.Handler.Enabled(ctx, e.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, e)
}

// recordIn returns the record in an entry of a log, or nil.
func recordIn(e slog.Record) (r *debugview.Record) {
	e.Attrs(func(a slog.Attr) bool {
		if text, ok := a.Value.Any().(json.RawMessage); ok && a.Key == debugview.RecordKey {
			r = &debugview.Record{}
			if json.Unmarshal(text, r) != nil {
				r = nil
			}
			return false
		}
		return true
	})
	return r
}

// WithAttrs is that of slog.Handler.
func (h recordHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return recordHandler{h.Handler.WithAttrs(attrs), h.page}
}

// WithGroup is that of slog.Handler.
func (h recordHandler) WithGroup(name string) slog.Handler {
	return recordHandler{h.Handler.WithGroup(name), h.page}
}

// finest are the levels of the plugins' log in which records are.
var finest = []string{"trace", "debug", "info"}

// checkLevel reports a level of the plugins' log without records, which flag needs.
func checkLevel(flag, level string) error {
	if slices.Contains(finest, level) {
		return nil
	}
	return fmt.Errorf("%s reads the plugins' log: give --plugin-log-level info, debug or trace", flag)
}
