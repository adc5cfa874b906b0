package mosn

import (
	"errors"
	"fmt"

	"mosn.io/api"
	"mosn.io/moe/framework/listener"
)

// ListenerFilters runs MOSN's listener filters, from a list as a listener has it in mosn_config.json. It is the listener
// filter "mosn".
type ListenerFilters struct {
	// ListenerFilters are the filters, in the order in which MOSN runs them.
	ListenerFilters []ListenerFilter `json:"listener_filters" validate:"required"`
	// UseOriginalDst says that the listener has use_original_dst, which is what GetUseOriginalDst tells the filters.
	UseOriginalDst bool `json:"use_original_dst,omitempty"`

	list    []acceptFilter
	blocks  bool // at least one of them
	reports *reports
}

// ListenerFilter is one entry of the listener_filters of MOSN's listeners.
type ListenerFilter struct {
	// Type is the name under which the filter is registered.
	Type string `json:"type" validate:"required"`
	// Config is the filter's own, as the filter defines it.
	Config map[string]any `json:"config,omitempty"`
	// Blocking says whether the filter may block: wait for a network, a lock or a timer, or compute for long. A list
	// without such filters runs on Envoy's thread, others on goroutines. The default is true.
	Blocking *bool `json:"blocking,omitempty"`
}

// acceptFilter is the filter of one entry of the list: one for all connections.
type acceptFilter struct {
	typ string
	api.ListenerFilterChainFactory
}

func init() { listener.RegisterPerSocket("mosn", newAccepting) }

// Provision makes the filters.
func (f *ListenerFilters) Provision(env *listener.Env) error {
	f.reports = newReports(env)
	prepareVariables()
	logTo(env.Log())
	var errs []error
	for i, entry := range f.ListenerFilters {
		made, err := listenerFilters.create(entry.Type, entry.Config)
		if err != nil {
			errs = append(errs, fmt.Errorf("listener_filters[%d]%w", i, err))
			continue
		}
		f.list = append(f.list, acceptFilter{entry.Type, made})
		f.blocks = f.blocks || entry.Blocking == nil || *entry.Blocking
	}
	return errors.Join(errs...)
}
