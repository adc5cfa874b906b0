package waf

import (
	"strconv"
	"strings"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	"github.com/corazawaf/coraza/v3/types"

	"mosn.io/moe/framework/filter"
)

// report is what a stream has told of its transaction.
type report struct {
	seen   int      // matches
	rules  []string // ids of those that say something
	shadow bool     // that it would be refused

	decided   *types.Interruption // the first that refuses it, or would
	direction string              // what that has refused
}

// maxNoted bounds how many ids the metadata of a request has.
const maxNoted = 64

// take counts and logs the matches since the last call. Rules that only keep the Core Rule Set's accounts log nothing.
func (st *stream) take() {
	matched := st.tx.MatchedRules()
	for _, m := range matched[st.report.seen:] {
		if !logs(m) {
			continue
		}
		st.report.rules = append(st.report.rules, strconv.Itoa(m.Rule().ID()))
		st.p.counts.matched.With(attack(m.Rule())).Inc()
		if st.p.Log == "matches" {
			st.p.env.Log().Warn(m.ErrorLog())
		}
	}
	st.report.seen = len(matched)
}

// logs reports whether a rule that has matched has something to say.
func logs(m types.MatchedRule) bool {
	l, ok := m.(interface{ Log() bool })
	return !ok || l.Log()
}

// attack is the kind of attack that a rule is about, by its tags.
func attack(r types.RuleMetadata) string {
	for _, tag := range r.Tags() {
		if kind, ok := strings.CutPrefix(tag, "attack-"); ok {
			return kind
		}
	}
	return "other"
}

// conclude counts, notes, logs and carries out what the rules have decided.
func (st *stream) conclude(s filter.Stream, direction string, it *types.Interruption, next filter.Action) filter.Action {
	p, before := st.p, len(st.report.rules)
	st.take()
	decided := it
	if dry, ok := st.tx.(interface {
		DetectionOnlyInterruption() *types.Interruption
	}); ok && it == nil && !st.report.shadow {
		if decided = dry.DetectionOnlyInterruption(); decided != nil {
			st.report.shadow = true
			p.counts.shadowed.With(direction).Inc()
		}
	}
	if decided != nil && st.report.decided == nil {
		st.report.decided, st.report.direction = decided, direction
	}
	if len(st.report.rules) > before || decided != nil {
		st.note(s, decided)
	}
	if decided != nil && p.Log != "none" {
		s.Log().Warn("refused by a rule", "direction", direction, "rule", decided.RuleID, "shadow", it == nil,
			"score", st.score(), "rules", strings.Join(st.report.rules, ","))
	}
	if it == nil {
		return next
	}
	p.counts.blocked.With(direction).Inc()
	return p.reply(it)
}

// note writes to the dynamic metadata.
func (st *stream) note(s filter.Stream, decided *types.Interruption) {
	if !st.p.metadata {
		return
	}
	set := func(key string, value any) { _ = s.SetMetadata(st.p.ns, key, value) } // the request does not depend on it
	set("rules", strings.Join(st.report.rules[:min(len(st.report.rules), maxNoted)], ","))
	set("score", st.score())
	if decided == nil {
		return
	}
	set("decision", "block")
	set("rule", float64(decided.RuleID))
	if st.report.shadow {
		set("shadow", true)
	}
}

// score is how suspicious the Core Rule Set finds the request and the response so far.
func (st *stream) score() float64 {
	tx, ok := st.tx.(plugintypes.TransactionState)
	if !ok {
		return 0
	}
	sum := 0
	for _, name := range []string{"blocking_inbound_anomaly_score", "blocking_outbound_anomaly_score"} {
		for _, text := range tx.Variables().TX().Get(name) {
			n, _ := strconv.Atoi(text)
			sum += n
		}
	}
	return float64(sum)
}

// reply is how a stream ends by a rule.
func (p *WAF) reply(it *types.Interruption) filter.Action {
	details := filter.WithDetails("moe." + p.env.Plugin + ".blocked")
	status := it.Status
	switch it.Action {
	case "drop":
		return filter.Reset("dropped by rule " + strconv.Itoa(it.RuleID))
	case "redirect":
		if status < 300 || status > 399 {
			status = 302
		}
		return filter.Reply(status, "", filter.WithHeader("location", it.Data), details)
	}
	if status < 200 || status > 599 {
		status = 403
	}
	return filter.Reply(status, p.Body, details)
}
