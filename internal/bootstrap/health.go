package bootstrap

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// HealthCheck asks each endpoint now and then whether it is well; one that is not gets no requests. It is by HTTP with
// path, by gRPC's health service with grpc, and else whether a connection can be made.
type HealthCheck struct {
	// Path to GET; an expected status means well.
	Path string `json:"path"`
	// Host is that of the request; the upstream's name by default.
	Host string `json:"host"`
	// ExpectedStatuses are the statuses that mean well.
	ExpectedStatuses []int64 `json:"expectedStatuses" absent:"[200]" validate:"dive,min=100,max=599"`
	// GRPC asks gRPC's health service.
	GRPC bool `json:"grpc"`
	// Interval between two checks.
	Interval time.Duration `json:"interval" default:"10s" validate:"min=1ms"`
	// Timeout is how long an endpoint may take to answer.
	Timeout time.Duration `json:"timeout" default:"2s" validate:"min=1ms"`
	// UnhealthyThreshold is how many checks in a row must fail before an endpoint is not well. One connection that is
	// refused, or a status of 503, is enough in HTTP.
	UnhealthyThreshold uint32 `json:"unhealthyThreshold" default:"3" validate:"min=1"`
	// HealthyThreshold is how many must succeed before it is well again; when Envoy starts, one is enough.
	HealthyThreshold uint32 `json:"healthyThreshold" default:"2" validate:"min=1"`
}

// OutlierDetection takes an endpoint out for some time when requests to it fail: Envoy's OutlierDetection.
type OutlierDetection struct {
	// Consecutive5xx is how many responses in a row must have a status of 500 or more, or fail.
	Consecutive5xx uint32 `json:"consecutive5xx" default:"5" validate:"min=1"`
	// ConsecutiveGatewayFailure is how many must have a status of 502, 503 or 504, or fail.
	ConsecutiveGatewayFailure uint32 `json:"consecutiveGatewayFailure" default:"5" validate:"min=1"`
	// Interval is how often to look whether endpoints may come back.
	Interval time.Duration `json:"interval" default:"10s" validate:"min=1ms"`
	// BaseEjectionTime is how long an endpoint is out, times how often it has been.
	BaseEjectionTime time.Duration `json:"baseEjectionTime" default:"30s" validate:"min=1ms"`
	// MaxEjectionPercent is how many of the endpoints may be out at a time.
	MaxEjectionPercent uint32 `json:"maxEjectionPercent" default:"50" validate:"max=100"`
}

// CircuitBreakers bound what goes to an upstream at a time; a request beyond that is answered with 503.
type CircuitBreakers struct {
	// MaxConnections is how many connections Envoy makes.
	MaxConnections uint32 `json:"maxConnections" default:"1024"`
	// MaxPendingRequests is how many requests may wait for a connection.
	MaxPendingRequests uint32 `json:"maxPendingRequests" default:"1024"`
	// MaxRequests is how many requests may be under way over HTTP/2.
	MaxRequests uint32 `json:"maxRequests" default:"1024"`
	// MaxRetries is how many of them may be retries.
	MaxRetries uint32 `json:"maxRetries" default:"3"`
}

func (h *HealthCheck) build(http2 bool) []*corev3.HealthCheck {
	if h == nil {
		return nil
	}
	c := &corev3.HealthCheck{
		Timeout: durationpb.New(h.Timeout), Interval: durationpb.New(h.Interval),
		NoTrafficInterval:  durationpb.New(h.Interval), // an edge must know before the first request
		UnhealthyThreshold: wrapperspb.UInt32(h.UnhealthyThreshold),
		HealthyThreshold:   wrapperspb.UInt32(h.HealthyThreshold),
	}
	switch {
	case h.GRPC:
		c.HealthChecker = &corev3.HealthCheck_GrpcHealthCheck_{
			GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{Authority: h.Host},
		}
	case h.Path != "":
		http := &corev3.HealthCheck_HttpHealthCheck{Host: h.Host, Path: h.Path}
		for _, s := range h.ExpectedStatuses {
			http.ExpectedStatuses = append(http.ExpectedStatuses, &typev3.Int64Range{Start: s, End: s + 1})
		}
		if http2 {
			http.CodecClientType = typev3.CodecClientType_HTTP2
		}
		c.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: http}
	default:
		c.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}
	}
	return []*corev3.HealthCheck{c}
}

func (d *OutlierDetection) build() *clusterv3.OutlierDetection {
	if d == nil {
		return nil
	}
	return &clusterv3.OutlierDetection{
		Consecutive_5Xx:                    wrapperspb.UInt32(d.Consecutive5xx),
		ConsecutiveGatewayFailure:          wrapperspb.UInt32(d.ConsecutiveGatewayFailure),
		EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(100), // Envoy only counts them by default
		Interval:                           durationpb.New(d.Interval),
		BaseEjectionTime:                   durationpb.New(d.BaseEjectionTime),
		MaxEjectionTime:                    durationpb.New(max(10*d.BaseEjectionTime, 5*time.Minute)),
		MaxEjectionPercent:                 wrapperspb.UInt32(d.MaxEjectionPercent),
	}
}

func (c *CircuitBreakers) build() *clusterv3.CircuitBreakers {
	if c == nil {
		return nil
	}
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: wrapperspb.UInt32(c.MaxConnections), MaxPendingRequests: wrapperspb.UInt32(c.MaxPendingRequests),
		MaxRequests: wrapperspb.UInt32(c.MaxRequests), MaxRetries: wrapperspb.UInt32(c.MaxRetries),
	}}}
}
