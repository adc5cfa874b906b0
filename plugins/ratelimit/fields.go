package ratelimit

import (
	"strconv"
	"time"
)

// The fields of draft-ietf-httpapi-ratelimit-headers-10: lists of structured fields (RFC 9651) with an item for each rule.
const (
	policyField = "ratelimit-policy"
	limitField  = "ratelimit"
)

// policyOf returns what the rules are: their quotas (q) and windows in seconds (w). Where a rule's time is less than a
// second, or no whole number of seconds, it is rounded up and the quota with it.
func policyOf(rules []Rule) string {
	var b []byte
	for i := range rules {
		r := &rules[i]
		if i > 0 {
			b = append(b, ", "...)
		}
		window := seconds(r.Per)
		quota := int64(float64(r.Limit) * (float64(window) * float64(time.Second) / float64(r.Per)))
		b = append(append(append(b, '"'), r.Name...), `";q=`...)
		b = strconv.AppendInt(b, quota, 10)
		b = strconv.AppendInt(append(b, ";w="...), window, 10)
	}
	return string(b)
}

// fields returns how many units are left (r), and after how many seconds all are there again (t), by each rule that is for
// the request.
func fields(claims []claim) string {
	var room [maxRules * 48]byte
	b := room[:0]
	for i := range claims {
		c := &claims[i]
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(append(append(b, '"'), c.rule.Name...), `";r=`...)
		b = strconv.AppendInt(b, c.remaining, 10)
		b = strconv.AppendInt(append(b, ";t="...), seconds(c.reset), 10)
	}
	return string(b)
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
