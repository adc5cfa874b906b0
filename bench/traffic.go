package main

// proxied is the variant that hits of a cache are compared with: the same request, answered by an upstream.
const proxied = "proxied"

// trafficVariants hold the plugins of the stage traffic against what Envoy does itself: its local rate limit, and a
// request that goes to an upstream.
func trafficVariants() []variant {
	return []variant{
		{
			name: "native-ratelimit", what: "Envoy's local_ratelimit",
			filters: []filterConfig{filter("local_ratelimit", httpFilters+"local_ratelimit.v3.LocalRateLimit", map[string]any{
				"stat_prefix": "bench",
				"token_bucket": map[string]any{
					"max_tokens": 1_000_000_000, "tokens_per_fill": 1_000_000_000, "fill_interval": "1s",
				},
				"filter_enabled":  always,
				"filter_enforced": always,
			})},
		},
		{
			name: "moe-ratelimit", what: "MoE, ratelimit", module: "moe",
			filters: []filterConfig{moduleFilter("moe", "ratelimit", object(map[string]any{
				"headers": "none", "rules": []any{map[string]any{"limit": 10_000_000, "per": "1s"}},
			}))},
		},
		{name: proxied, what: "no filter, an upstream", forward: true},
		{
			name: "moe-cache", what: "MoE, cache, hits", module: "moe", base: proxied, forward: true,
			filters: []filterConfig{moduleFilter("moe", "cache", object(map[string]any{}))},
		},
	}
}

// always is a share of requests: all of them.
var always = map[string]any{"default_value": map[string]any{"numerator": 100}}
