// Package admin is a bootstrap extension with pages of MoE's in Envoy's admin interface, which show and change nothing.
package admin

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/bootstrap"
)

// Admin shows what of MoE is at work in the process.
type Admin struct {
	// Path is where the page is; /goroutines below it has another.
	Path string `json:"path" default:"/moe"`

	begun  time.Time
	server atomic.Pointer[bootstrap.Server]
}

//go:embed README.md schema.json
var docs embed.FS

func init() { bootstrap.Register[Admin]("admin", bootstrap.Docs(docs)) }

var validPath = regexp.MustCompile(`^(/[A-Za-z0-9_.-]+)+$`)

// Validate checks the path.
func (a *Admin) Validate() error {
	if !validPath.MatchString(a.Path) {
		return errors.New("path: expected a path such as /moe, made of letters, digits, \"_\", \"-\", \".\" and \"/\"")
	}
	return nil
}

// Provision notes when Envoy has begun.
func (a *Admin) Provision(*bootstrap.Env) error {
	a.begun = time.Now()
	return nil
}

// OnServerInitialized keeps the server, which the page asks.
func (a *Admin) OnServerInitialized(_ context.Context, s *bootstrap.Server) error {
	a.server.Store(s)
	return nil
}

// AdminPages has the pages.
func (a *Admin) AdminPages() []bootstrap.Page {
	return []bootstrap.Page{
		{Path: a.Path, Help: "MoE: chains, plugins, consumers, versions (format=json)", Handler: http.HandlerFunc(a.page)},
		{Path: a.Path + "/goroutines", Help: "MoE: the stacks of goroutines, those that are alike together", Handler: http.HandlerFunc(goroutines)},
	}
}

// report is what the page shows.
type report struct {
	Version    version `json:"version"`
	Uptime     string  `json:"uptime"`
	Goroutines int     `json:"goroutines"`
	HeapBytes  uint64  `json:"heapBytes"` // of objects in use, and those not yet collected
	bootstrap.Overview
}

type version struct {
	MoE      string `json:"moe"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *Admin) page(w http.ResponseWriter, r *http.Request) {
	s := a.server.Load()
	if s == nil {
		http.Error(w, "Envoy is not initialized yet", http.StatusServiceUnavailable)
		return
	}
	now := report{
		Version: versions(), Uptime: time.Since(a.begun).Round(time.Second).String(), Goroutines: runtime.NumGoroutine(),
		HeapBytes: heap(), Overview: s.Overview(),
	}
	switch format := r.URL.Query().Get("format"); format {
	case "", "text":
		now.write(w)
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		_ = e.Encode(now) // into memory; the page is bounded
	default:
		http.Error(w, "format: expected text or json", http.StatusBadRequest)
	}
}

// versions returns those of the library.
func versions() version {
	v := version{MoE: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	const moe = "mosn.io/moe"
	if info.Main.Path == moe {
		v.MoE = info.Main.Version
	}
	for _, d := range info.Deps {
		if d.Path == moe {
			v.MoE = d.Version
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}

func (r *report) write(w io.Writer) {
	fmt.Fprintf(w, "moe %s", r.Version.MoE)
	if r.Version.Revision != "" {
		fmt.Fprintf(w, " (%s)", r.Version.Revision)
	}
	fmt.Fprintf(w, ", %s, %s\nup %s, %d goroutines, %d bytes of heap\n", r.Version.Go, r.Version.Platform, r.Uptime, r.Goroutines,
		r.HeapBytes)
	fmt.Fprintf(w, "\nfilters: %d\n", len(r.Filters))
	for _, f := range r.Filters {
		fmt.Fprintf(w, "  %s of %s, chains: %d\n", f.Name, f.Host, len(f.Chains))
		for _, c := range f.Chains {
			fmt.Fprintf(w, "    %s\n", line(c.Plugins))
		}
	}
	fmt.Fprint(w, "\ninstances:\n")
	for _, in := range r.Instances {
		fmt.Fprintf(w, "  %s %s: %d\n", in.Kind, in.Name, in.Count)
	}
	fmt.Fprintf(w, "\nconsumers, chains of their own: %d\n", r.ConsumerChains)
	for _, s := range r.ConsumerSets {
		from := s.Source
		if from == "" {
			from = "in a document"
		}
		fmt.Fprintf(w, "  %s: %d\n", from, s.Consumers)
	}
	if r.LeftOut > 0 {
		fmt.Fprintf(w, "\nleft out: %d\n", r.LeftOut)
	}
}

// line shows a chain in a line.
func line(plugins []bootstrap.PluginOverview) string {
	if len(plugins) == 0 {
		return "(no plugins)"
	}
	names := make([]string, len(plugins))
	for i, p := range plugins {
		if names[i] = p.ID; p.ID != p.Name {
			names[i] += " (" + p.Name + ")"
		}
	}
	return strings.Join(names, " > ")
}

// heap returns the bytes of Go's objects.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// goroutines shows the stacks of all goroutines.
func goroutines(w http.ResponseWriter, _ *http.Request) {
	out := &cut{w: w, left: bootstrap.MaxPage - len(cutOff)}
	if err := pprof.Lookup("goroutine").WriteTo(out, 1); err != nil && out.left > 0 {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
	if out.left == 0 {
		fmt.Fprint(w, cutOff)
	}
}

const cutOff = "\n(cut off)\n"

// cut passes as many bytes on as there is room for.
type cut struct {
	w    io.Writer
	left int
}

// Write is io.Writer's.
func (c *cut) Write(p []byte) (int, error) {
	n, err := c.w.Write(p[:min(len(p), c.left)])
	c.left -= n
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
