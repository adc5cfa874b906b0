package bootstrap

import (
	"time"

	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/extension"
)

// Limits bound what the clients of all listeners together may use, by Envoy's overload manager.
type Limits struct {
	// MaxConnections is how many connections clients may have open; further ones are closed at once.
	MaxConnections int64 `json:"maxConnections" default:"50000" validate:"min=1"`
	// MaxHeapSize is how much memory Envoy may use, without that of the plugins: from 95 % on it gives memory back, from
	// 98 % on it answers requests with 503. At least 64 MiB; 0 is unlimited.
	MaxHeapSize extension.Size `json:"maxHeapSize" default:"2GiB" validate:"omitempty,min=67108864"`
	// BufferSize is how much of a body Envoy, or a plugin that waits for the whole of it, keeps of one request or
	// response: Envoy's per_connection_buffer_limit_bytes.
	BufferSize extension.Size `json:"bufferSize" default:"1MiB" validate:"min=16384,max=2147483647"`
}

// overloadManager bounds connections and memory. Each stock Envoy has both monitors; that of the heap needs one built
// with tcmalloc, as they are.
func (l *Limits) overloadManager() *overloadv3.OverloadManager {
	m := &overloadv3.OverloadManager{ResourceMonitors: []*overloadv3.ResourceMonitor{
		monitor("envoy.resource_monitors.global_downstream_max_connections",
			&connectionsv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: l.MaxConnections}),
	}}
	if l.MaxHeapSize == 0 {
		return m
	}
	const heap = "envoy.resource_monitors.fixed_heap"
	m.RefreshInterval = durationpb.New(250 * time.Millisecond)
	m.ResourceMonitors = append(m.ResourceMonitors,
		monitor(heap, &heapv3.FixedHeapConfig{MaxHeapSizeBytes: uint64(l.MaxHeapSize)}))
	m.Actions = []*overloadv3.OverloadAction{
		above(heap, 0.95, "envoy.overload_actions.shrink_heap"),
		above(heap, 0.98, "envoy.overload_actions.stop_accepting_requests"),
	}
	return m
}

func monitor(name string, config proto.Message) *overloadv3.ResourceMonitor {
	return &overloadv3.ResourceMonitor{
		Name: name, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: pack(config)},
	}
}

// above is an action that is taken above a share of a resource.
func above(resource string, share float64, action string) *overloadv3.OverloadAction {
	return &overloadv3.OverloadAction{Name: action, Triggers: []*overloadv3.Trigger{{
		Name:         resource,
		TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: share}},
	}}}
}

func (l *Limits) buffer() *wrapperspb.UInt32Value { return wrapperspb.UInt32(uint32(l.BufferSize)) }
