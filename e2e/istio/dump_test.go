package istio

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// httpFilter is an HTTP filter of a listener that is in use.
type httpFilter struct {
	Name      string
	Discovery any `json:"config_discovery"`
}

// filters returns, from Envoy's own account, the HTTP filters of each filter chain of a listener.
func (p *proxy) filters(listener string) ([][]httpFilter, error) {
	text, err := p.Get(context.Background(), "/config_dump?resource=dynamic_listeners")
	if err != nil {
		return nil, err
	}
	var dump struct {
		Configs []struct {
			Name   string
			Active struct {
				Listener struct {
					Chains []struct {
						Filters []struct {
							Config struct {
								HTTP []httpFilter `json:"http_filters"`
							} `json:"typed_config"`
						}
					} `json:"filter_chains"`
				}
			} `json:"active_state"`
			Warming any `json:"warming_state"`
			Error   any `json:"error_state"`
		}
	}
	if err := json.Unmarshal(text, &dump); err != nil {
		return nil, err
	}
	var chains [][]httpFilter
	for _, l := range dump.Configs {
		if l.Name != listener {
			continue
		}
		if l.Warming != nil || l.Error != nil {
			return nil, fmt.Errorf("listener %s: warming %v, refused %v", listener, l.Warming != nil, l.Error)
		}
		for _, c := range l.Active.Listener.Chains {
			for _, f := range c.Filters {
				if len(f.Config.HTTP) > 0 {
					chains = append(chains, f.Config.HTTP)
				}
			}
		}
	}
	if len(chains) == 0 {
		return nil, fmt.Errorf("listener %s: no HTTP filters", listener)
	}
	return chains, nil
}

const router = "envoy.filters.http.router"

// order is a rule for the place of MoE's filter: right before or after another, or behind all of some.
type order struct {
	before, after string
	behind        []string // those that are there
	some          bool     // one of behind is there
	first         bool
}

// check looks whether each chain has one filter of MoE's, in its place and delivered as wanted.
func (o order) check(chains [][]httpFilter, delivery string) error {
	for _, chain := range chains {
		var names []string
		at := -1
		for i, f := range chain {
			names = append(names, f.Name)
			if f.Name != "moe" && !strings.HasPrefix(f.Name, "moe.") {
				continue
			}
			if at >= 0 {
				return fmt.Errorf("two filters of MoE's: %s", names)
			}
			at = i
			if (f.Discovery != nil) != (delivery == "ecds") {
				return fmt.Errorf("%s is not delivered by %s", f.Name, delivery)
			}
		}
		wrong := at < 0 || o.first && at != 0 ||
			o.before != "" && slices.Index(names, o.before) != at+1 ||
			o.after != "" && slices.Index(names, o.after) != at-1
		found := !o.some || len(o.behind) == 0
		for _, name := range o.behind {
			i := slices.Index(names, name)
			found = found || i >= 0
			wrong = wrong || i > at
		}
		wrong = wrong || !found
		if wrong {
			return fmt.Errorf("MoE's filter should be at %+v: %s", o, names)
		}
	}
	return nil
}
