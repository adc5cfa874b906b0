package breaker

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/keytable"
	"mosn.io/moe/plugins/internal/requestkey"
	"mosn.io/moe/plugins/internal/rules"
)

// Rule says when the circuit of a key opens, for how long, and when it closes again.
type Rule struct {
	// Name tells rules apart, in metrics and metadata.
	Name string `json:"name" default:"default"`
	// Key is what has a circuit of its own: the parts of a key, such as cluster or route. Without parts there is one for
	// all requests.
	Key requestkey.Key `json:"key" validate:"max=8"`
	// When is an expression of CEL, of type bool: the rule is for the requests for which it is true.
	When string `json:"when"`

	// ErrorRate opens the circuit when this part of the requests in the window has failed; 0 never does.
	ErrorRate float64 `json:"errorRate" default:"0.5"`
	// SlowRate opens the circuit when this part of the requests in the window was slow; 0 never does.
	SlowRate float64 `json:"slowRate"`
	// SlowAfter is from when on a request is slow: the time until the response's headers.
	SlowAfter time.Duration `json:"slowAfter"`
	// Consecutive opens the circuit when as many requests in a row have failed; 0 never does.
	Consecutive uint32 `json:"consecutive" validate:"max=1000000"`
	// Window is the time that rates are for. It moves in tenths.
	Window time.Duration `json:"window" default:"10s"`
	// MinRequests is how many requests there have to be in the window for a rate to count.
	MinRequests uint32 `json:"minRequests" default:"20" validate:"min=1,max=1000000"`
	// Open is for how long an open circuit refuses everything.
	Open time.Duration `json:"open" default:"5s"`
	// Probes is how many requests then pass, to see whether the upstream answers again. When all of them succeed, the
	// circuit closes; when one fails, it opens again.
	Probes uint32 `json:"probes" default:"3" validate:"min=1,max=1000"`
	// Statuses are those of responses that count as failures: a status, or a class such as 5xx.
	Statuses []string `json:"statuses" default:"5xx"`
	// GRPCStatuses are those of gRPC responses that do, by their numbers: by default UNKNOWN, DEADLINE_EXCEEDED, INTERNAL,
	// UNAVAILABLE and DATA_LOSS.
	GRPCStatuses []int `json:"grpcStatuses" default:"[2, 4, 13, 14, 15]"`

	when     rules.Condition
	failures [600]bool // by status
	grpc     [17]bool  // by grpc-status
	table    *keytable.Table[*circuit]
}

const (
	buckets = 10 // of a window
)

func (r *Rule) validate(metadata []authz.Metadata) (errs []error) {
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf(field+": "+format, args...))
	}
	if err := rules.CheckName(r.Name); err != nil {
		bad("name", "%w", err)
	}
	errs = append(errs, r.Key.Check("key", metadata)...)
	for field, rate := range map[string]float64{"errorRate": r.ErrorRate, "slowRate": r.SlowRate} {
		if !(rate >= 0 && rate <= 1) {
			bad(field, "must be 0 to 1")
		}
	}
	if (r.SlowRate > 0) != (r.SlowAfter > 0) {
		bad("slowRate", "slowRate and slowAfter need each other")
	}
	if r.ErrorRate == 0 && r.SlowRate == 0 && r.Consecutive == 0 {
		bad("errorRate", "nothing opens the circuit: set errorRate, slowRate or consecutive")
	}
	for field, d := range map[string]time.Duration{"window": r.Window, "open": r.Open} {
		if d < 10*time.Millisecond || d > time.Hour {
			bad(field, "must be 10ms to 1h")
		}
	}
	for i, s := range r.Statuses {
		if !r.count(s) {
			bad(fmt.Sprintf("statuses[%d]", i), "must be a status from 100 to 599, or a class such as 5xx")
		}
	}
	for i, n := range r.GRPCStatuses {
		if n < 1 || n >= len(r.grpc) {
			bad(fmt.Sprintf("grpcStatuses[%d]", i), "must be 1 to 16")
			continue
		}
		r.grpc[n] = true
	}
	var err error
	if r.when, err = rules.NewCondition(r.Name, r.When, metadata); err != nil {
		bad("when", "%w", err)
	}
	return errs
}

// count has a status, or the statuses of a class, count as failures. It reports whether s is one.
func (r *Rule) count(s string) bool {
	if len(s) != 3 || s[0] < '1' || s[0] > '5' {
		return false
	}
	class := int(s[0]-'0') * 100
	if strings.EqualFold(s[1:], "xx") {
		for i := range 100 {
			r.failures[class+i] = true
		}
		return true
	}
	if s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return false
	}
	r.failures[class+int(s[1]-'0')*10+int(s[2]-'0')] = true
	return true
}

// start makes the rule's circuits, which log to log.
func (r *Rule) start(p *Breaker, log *slog.Logger) {
	r.table = keytable.New(keytable.Options[*circuit]{
		New:       func() *circuit { return newCircuit(r, p.counts.of(r.Name), log) },
		Idle:      p.MaxKeys,
		Precious:  (*circuit).tripped, // a flood of keys closes none
		Forgotten: (*circuit).forget,
	})
}
