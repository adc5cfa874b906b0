package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"mosn.io/moe/internal/envoy"
)

// binary is an Envoy executable.
type binary struct {
	path, version string
	golang        bool // whether it has the contrib Golang filter
}

var versionRE = regexp.MustCompile(`/(\d+\.\d+\.\d+[^/]*)/`)

func inspect(ctx context.Context, path string) (*binary, error) {
	path, err := envoy.Find(path)
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", path, err)
	}
	b := &binary{path: path, version: "Envoy of unknown version"}
	if m := versionRE.FindSubmatch(out); m != nil {
		b.version = "Envoy " + string(m[1])
	}
	// An Envoy's executable contains the names of its extensions.
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b.golang, err = contains(f, "envoy.filters.http.golang")
	return b, err
}

// contains reports whether s occurs in what r reads.
func contains(r io.Reader, s string) (bool, error) {
	buf, kept := make([]byte, 1<<20), 0
	for {
		n, err := r.Read(buf[kept:])
		have := buf[:kept+n]
		if bytes.Contains(have, []byte(s)) {
			return true, nil
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return false, err
		}
		kept = copy(buf, have[max(0, len(have)-len(s)):])
	}
}

// settlePatience bounds how long an Envoy may take to accept or refuse its configuration.
const settlePatience = 30 * time.Second

// try starts an Envoy as the proxy of r and records in r what it accepts and refuses.
func (b *binary) try(ctx context.Context, v *verification, r *ProxyReport) error {
	config, err := r.Proxy.Bootstrap(v.pilot.Address(), v.agent.Address())
	if err != nil {
		return err
	}
	log := &complaints{}
	p, err := envoy.Start(ctx, envoy.Options{
		Path: b.path, Config: config, Module: v.Module, Concurrency: 1, LogLevel: "warning",
		Stdout: v.Log, Log: io.MultiWriter(v.Log, log), StartTimeout: settlePatience,
	})
	if err != nil {
		// Istio's first configuration made it exit, or a listener never became ready.
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.Refusals = append(r.Refusals, Refusal{Type: "process", Reason: err.Error()})
		r.Log = log.lines()
		return nil
	}
	defer p.Stop()
	settled, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	var status Status
	err = poll(settled, func() (bool, error) {
		select {
		case <-p.Done():
			return false, p.Err()
		default:
		}
		var err error
		status, err = v.pilot.Sync(settled, r.Proxy.ID())
		return err == nil && status.settled(), err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.Refusals = append(r.Refusals, Refusal{Type: "process", Reason: "Envoy did not accept the whole configuration: " + err.Error()})
	}
	if err := r.read(ctx, p, status); err != nil {
		return err
	}
	r.Log = log.lines()
	return nil
}

// settled reports whether the proxy has accepted or refused the latest response of each type.
func (s Status) settled() bool {
	for _, name := range []string{listenerType, clusterType} {
		if s[name].Sent == "" {
			return false
		}
	}
	for _, t := range s {
		if t.Sent != t.Acked && t.LastError == "" {
			return false
		}
	}
	return true
}

// listenerDump is a listener in Envoy's /config_dump.
type listenerDump struct {
	Name       string
	Active     *struct{} `json:"active_state"`
	Warming    *struct{} `json:"warming_state"`
	ErrorState *struct {
		Details string
	} `json:"error_state"`
}

// read records the refusals that the discovery server and Envoy's admin page report.
func (r *ProxyReport) read(ctx context.Context, p *envoy.Process, status Status) error {
	dump, err := p.Get(ctx, "/config_dump?resource=dynamic_listeners")
	if err != nil {
		return err
	}
	var doc struct{ Configs []listenerDump }
	if err := json.Unmarshal(dump, &doc); err != nil {
		return fmt.Errorf("decoding Envoy's /config_dump: %w", err)
	}
	// Envoy reports some refusals a second time, without a name.
	slices.SortStableFunc(doc.Configs, func(a, b listenerDump) int { return strings.Compare(b.Name, a.Name) })
	explained := map[string]bool{}
	for _, l := range doc.Configs {
		switch {
		case l.ErrorState != nil && l.Name == "" && explained[l.ErrorState.Details]: // reported already
		case l.ErrorState != nil:
			explained[l.ErrorState.Details] = true
			r.Refusals = append(r.Refusals, Refusal{"listener", l.Name, l.ErrorState.Details})
		case l.Active == nil && l.Warming != nil:
			r.Refusals = append(r.Refusals, Refusal{"listener", l.Name, "not in use: waiting for routes, clusters or " +
				"extension configurations that it refers to"})
		default:
			r.Listeners++
		}
	}
	for url, t := range status {
		if t.LastError == "" || url == listenerType && len(explained) > 0 {
			continue
		}
		what := url[strings.LastIndexByte(url, '.')+1:]
		r.Refusals = append(r.Refusals, Refusal{Type: what, Reason: t.LastError})
	}
	slices.SortFunc(r.Refusals, func(a, b Refusal) int { return strings.Compare(a.Type+a.Name, b.Type+b.Name) })
	return nil
}

// complaints collects the errors in Envoy's log, without repetitions.
type complaints struct {
	mu  sync.Mutex
	all []string
}

// complaintRE matches an error in Envoy's log, in the format that package envoy sets, and captures what follows the
// level.
var complaintRE = regexp.MustCompile(`^\[[^\]]*\]\[\d+\]\[(?:error|critical)\](.*)`)

func (c *complaints) Write(line []byte) (int, error) {
	if m := complaintRE.FindSubmatch(line); m != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if text := string(m[1]); !slices.Contains(c.all, text) {
			c.all = append(c.all, text)
		}
	}
	return len(line), nil
}

func (c *complaints) lines() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// syncWriter lets several processes share one writer. If w is nil, it discards what they write.
type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *syncWriter) Write(b []byte) (int, error) {
	if s.w == nil {
		return len(b), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}
