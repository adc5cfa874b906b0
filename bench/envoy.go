package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/internal/envoy"
)

// A host starts Envoys, each for one variant, and stops those that it has started.
type host struct {
	envoy   string // the binary's path
	modules string // the folder with the dynamic modules
	names   setHeaders
	godebug []string      // for every Envoy, besides what its variant needs
	timeout time.Duration // for its start, its stop and its first answer; 0: the usual ones
	started []*process
}

// A process is an Envoy that serves a variant.
type process struct {
	*envoy.Process
	port   int
	worker int // the id of its worker's thread
}

func (h *host) options(v variant, upstream int, forward bool) (envoy.Options, error) {
	if v.consumers > 0 {
		path, err := writeConsumers(h.modules, v.consumers)
		if err != nil {
			return envoy.Options{}, err
		}
		v.filters = []filterConfig{keyauthFilter(path)}
	}
	config, err := json.Marshal(bootstrap(v, h.names, upstream, forward))
	config = bytes.ReplaceAll(config, []byte(librariesHere), []byte(h.modules))
	return envoy.Options{
		Path:        h.envoy,
		Config:      config,
		Concurrency: 1,
		LogLevel:    "warning",
		Env: []string{
			"ENVOY_DYNAMIC_MODULES_SEARCH_PATH=" + h.modules,
			"GODEBUG=" + strings.Join(append(v.godebug, h.godebug...), ","),
		},
		StartTimeout: h.timeout,
		StopTimeout:  h.timeout,
	}, err
}

// start starts an Envoy for v that answers as v should. upstream and forward are those of bootstrap.
func (h *host) start(ctx context.Context, v variant, upstream int, forward bool) (*process, error) {
	p, err := h.launch(ctx, v, upstream, forward)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.name, err)
	}
	return p, nil
}

func (h *host) launch(ctx context.Context, v variant, upstream int, forward bool) (*process, error) {
	o, err := h.options(v, upstream, forward)
	if err != nil {
		return nil, err
	}
	e, err := envoy.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	p := &process{Process: e}
	h.started = append(h.started, p)
	address, err := e.Listener(ctx, listener)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if p.port, err = strconv.Atoi(port); err != nil {
		return nil, err
	}
	if p.worker, err = findWorker(e.Pid()); err != nil {
		return nil, err
	}
	if v.refuses {
		resp, err := p.ask(ctx, cmp.Or(h.timeout, 10*time.Second), nil)
		if err == nil {
			err = refuses(resp.StatusCode, v)
		}
		if err != nil {
			return nil, err
		}
	}
	resp, err := p.ask(ctx, cmp.Or(h.timeout, 10*time.Second), v.fields)
	if err != nil {
		return nil, err
	}
	return p, check(resp, v, h.names)
}

// stop ends all Envoys that were started.
func (h *host) stop() error {
	var first error
	for _, p := range h.started {
		if err := p.Stop(); err != nil && first == nil {
			first = err
		}
	}
	h.started = nil
	return first
}

// ask sends a request for pathCheck, with more fields.
func (p *process) ask(ctx context.Context, timeout time.Duration, fields []string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d%s", p.port, pathCheck), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(input, value)
	for _, f := range fields {
		name, v, _ := strings.Cut(f, ": ")
		req.Header.Set(name, v)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, err
}

// check fails if the variant has not done its work: a filter that fails open would win every comparison.
func check(resp *http.Response, v variant, names setHeaders) error {
	if resp.StatusCode != 200 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	for i := range v.headers {
		seen := fmt.Sprintf("x-seen-%d", i)
		if got := resp.Header.Get(seen); got != value {
			return fmt.Errorf("request header %d is %q, not %q", i, got, value)
		}
		if _, response := names.names(i); resp.Header.Get(response) != "1" {
			return fmt.Errorf("response header %s is %q, not 1", response, resp.Header.Get(response))
		}
	}
	return nil
}
