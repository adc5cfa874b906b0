package mosnconf

import (
	"cmp"
	"time"
)

// balancers are Envoy's names of MOSN's load balancers.
var balancers = map[string]string{
	"": "ROUND_ROBIN", "LB_RANDOM": "RANDOM", "LB_ROUNDROBIN": "ROUND_ROBIN", "LB_WEIGHTED_ROUNDROBIN": "ROUND_ROBIN",
	"LB_LEAST_REQUEST": "LEAST_REQUEST", "LB_MAGLEV": "MAGLEV",
	"LB_ORIGINAL_DST": "CLUSTER_PROVIDED", // of clusters of the type ORIGINAL_DST, which have it in any case
}

type slowStart struct {
	Mode       string        `json:"mode"`
	Duration   time.Duration `json:"slow_start_duration"`
	Aggression float64       `json:"aggression"`
	Min        float64       `json:"min_weight_percent"` // of 1: MOSN multiplies the weight by it
}

// balancer writes how the cluster chooses hosts.
func (c *converter) balancer(path string, cl *cluster, out obj) {
	policy, known := balancers[cl.LB]
	if !known {
		c.fail(path+".lb_type", "load balancer %q has no counterpart in Envoy; LB_RANDOM, LB_ROUNDROBIN, LB_LEAST_REQUEST and "+
			"LB_MAGLEV have", cl.LB)
	}
	if cl.LB == "LB_ORIGINAL_DST" && cl.Type != "ORIGINAL_DST" {
		c.fail(path+".lb_type", "%s takes a cluster of the type ORIGINAL_DST in Envoy", cl.LB)
	}
	out["lb_policy"] = policy
	s := cl.SlowStart
	if s == nil || s.Mode == "" || s.Duration <= 0 {
		return
	}
	field, known := map[string]string{"ROUND_ROBIN": "round_robin_lb_config", "LEAST_REQUEST": "least_request_lb_config"}[policy]
	switch {
	case s.Mode != "duration":
		c.fail(path+".slow_start.mode", "%q has no counterpart in Envoy; duration has", s.Mode)
	case !known:
		c.fail(path+".slow_start", "Envoy starts hosts slowly with LB_ROUNDROBIN and LB_LEAST_REQUEST only")
	default:
		out[field] = obj{"slow_start_config": obj{
			"slow_start_window": seconds(s.Duration), "min_weight_percent": obj{"value": cmp.Or(max(s.Min, 0), 0.1) * 100},
			"aggression": obj{"default_value": cmp.Or(max(s.Aggression, 0), 1), "runtime_key": cl.Name + ".slow_start.aggression"},
		}}
	}
}
