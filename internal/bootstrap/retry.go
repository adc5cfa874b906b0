package bootstrap

import (
	"slices"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Retry sends a request again when the upstream fails, to another endpoint if there is one: Envoy's RetryPolicy. The
// default conditions are those in which the upstream cannot have begun to work on the request.
type Retry struct {
	// RetryOn lists the failures after which to try again.
	RetryOn []string `json:"retryOn" default:"connect-failure,refused-stream,reset-before-request" enum:"5xx,gateway-error,reset,reset-before-request,connect-failure,envoy-ratelimited,retriable-4xx,refused-stream,retriable-status-codes,http3-post-connect-failure,cancelled,deadline-exceeded,internal,resource-exhausted,unavailable"`
	// NumRetries is how often to try again.
	NumRetries uint32 `json:"numRetries" default:"1" validate:"min=1,max=10"`
	// PerTryTimeout is how long each try may take until its response is complete; unlimited by default.
	PerTryTimeout time.Duration `json:"perTryTimeout" validate:"min=0"`
	// RetriableStatusCodes are statuses of responses after which to try again.
	RetriableStatusCodes []uint32 `json:"retriableStatusCodes" validate:"dive,min=100,max=599"`
	// BaseInterval is about how long to wait before the first retry; it doubles with each further one.
	BaseInterval time.Duration `json:"baseInterval" default:"25ms" validate:"min=1ms"`
	// MaxInterval bounds that.
	MaxInterval time.Duration `json:"maxInterval" default:"250ms" validate:"min=1ms"`
}

func (r *Retry) policy() *routev3.RetryPolicy {
	if r == nil {
		return nil
	}
	const codes = "retriable-status-codes"
	on := r.RetryOn
	if len(r.RetriableStatusCodes) > 0 && !slices.Contains(on, codes) {
		on = append(slices.Clone(on), codes)
	}
	return &routev3.RetryPolicy{
		RetryOn: strings.Join(on, ","), NumRetries: wrapperspb.UInt32(r.NumRetries),
		PerTryTimeout: limited(r.PerTryTimeout), RetriableStatusCodes: r.RetriableStatusCodes,
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(r.BaseInterval), MaxInterval: durationpb.New(r.MaxInterval),
		},
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name: "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{
				TypedConfig: pack(&previousv3.PreviousHostsPredicate{}),
			},
		}},
		HostSelectionRetryMaxAttempts: 5,
	}
}
