package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Admin returns the address of Envoy's admin listener, host:port.
func (p *Process) Admin() string { return p.admin }

// client talks to the admin listener alone: no proxy of the environment may come between.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// Get returns what Envoy's admin listener answers at path, such as /stats. A status other than 200 is an error.
func (p *Process) Get(ctx context.Context, path string) ([]byte, error) {
	return p.ask(ctx, http.MethodGet, path)
}

// Post is Get for what changes something, such as /drain_listeners.
func (p *Process) Post(ctx context.Context, path string) ([]byte, error) {
	return p.ask(ctx, http.MethodPost, path)
}

func (p *Process) ask(ctx context.Context, method, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.admin+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return b, fmt.Errorf("%s of Envoy's admin listener: %s: %.200s", path, resp.Status, b)
	}
	return b, nil
}

// Listener returns the address, host:port, that a listener is bound to, even if the configuration asked for port 0.
func (p *Process) Listener(ctx context.Context, name string) (string, error) {
	b, err := p.Get(ctx, "/listeners?format=json")
	if err != nil {
		return "", err
	}
	var doc struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return "", fmt.Errorf("/listeners of Envoy's admin listener: %w", err)
	}
	for _, l := range doc.Statuses {
		if l.Name == name {
			return net.JoinHostPort(l.Address.Socket.Address, strconv.Itoa(l.Address.Socket.Port)), nil
		}
	}
	return "", fmt.Errorf("the Envoy has no listener %q", name)
}

// Stat returns the value of a counter or gauge; 0 if there is none of that name.
func (p *Process) Stat(ctx context.Context, name string) (uint64, error) {
	b, err := p.Get(ctx, "/stats?filter="+url.QueryEscape("^"+regexp.QuoteMeta(name)+"$"))
	if err != nil {
		return 0, err
	}
	_, value, ok := strings.Cut(strings.TrimSpace(string(b)), ": ")
	if !ok {
		return 0, nil
	}
	return strconv.ParseUint(value, 10, 64)
}

// waitReady waits until Envoy has written its admin address and says that it is live.
func (p *Process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.options.StartTimeout,
		fmt.Errorf("not ready within %v", p.options.StartTimeout))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if b, err := os.ReadFile(p.adminFile()); err == nil && len(b) > 0 {
			p.admin = strings.TrimSpace(string(b))
			if b, err := p.Get(ctx, "/ready"); err == nil && strings.HasPrefix(string(b), "LIVE") {
				return nil
			}
		}
		select {
		case <-p.done:
			return errors.New("it exited: " + p.cmd.ProcessState.String())
		case <-p.noAdmin:
			return errors.New("it cannot write its admin address into " + p.dir)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
