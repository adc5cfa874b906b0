// Package waf holds requests and responses against the rules of a web application firewall: the OWASP Core Rule Set, and
// the operator's own in its language.
package waf

import (
	"embed"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/reload"
)

// WAF refuses requests that look like attacks, and responses if it inspects them.
type WAF struct {
	// Paranoia is the level of the Core Rule Set, 1 to 4: how much it suspects, and how often wrongly.
	Paranoia int `json:"paranoia" default:"1" validate:"min=1,max=4"`
	// DetectionParanoia is the level up to which rules are noted, without counting towards the threshold; 0 is paranoia.
	DetectionParanoia int `json:"detectionParanoia" validate:"min=0,max=4"`
	// InboundThreshold is the score at which a request is refused. A critical rule counts 5, an error 4, a warning 3.
	InboundThreshold int `json:"inboundThreshold" default:"5" validate:"min=1,max=10000"`
	// OutboundThreshold is the score at which a response is replaced.
	OutboundThreshold int `json:"outboundThreshold" default:"4" validate:"min=1,max=10000"`
	// WithoutCoreRuleSet leaves the operator's rules alone: setup, directives and ruleFiles.
	WithoutCoreRuleSet bool `json:"withoutCoreRuleSet"`
	// Setup are directives in SecLang that come before the Core Rule Set, such as actions that set its variables.
	Setup string `json:"setup"`
	// Directives are directives in SecLang that come after it: more rules, and changes of its rules.
	Directives string `json:"directives"`
	// RuleFiles are files of such directives (.conf) and of data that they use (.data), or folders of both. They come last,
	// in the order of their names, and are read again when they change. Only the filter's configuration may have them.
	RuleFiles []string `json:"ruleFiles"`
	// Exclusions take rules away, or what they look at.
	Exclusions []Exclusion `json:"exclusions" merge:"append"`
	// RequestBody says which part of a request's body is inspected.
	RequestBody RequestBody `json:"requestBody"`
	// Response says whether responses are inspected.
	Response Response `json:"response"`
	// Log says what goes to Envoy's log: the requests that are refused, every match of a rule, or nothing.
	Log string `json:"log" default:"blocked" enum:"blocked,matches,none"`
	// Audit has records of requests written to Envoy's log.
	Audit *Audit `json:"audit"`
	// Shadow refuses nothing, and only counts, logs and notes in metadata what would be refused: a dry run.
	Shadow bool `json:"shadow"`
	// FailOpen lets requests and responses pass whose inspection fails.
	FailOpen bool `json:"failOpen"`
	// ErrorStatus is the status of the reply to a request whose inspection fails.
	ErrorStatus int `json:"errorStatus" default:"500" validate:"min=400,max=599"`
	// Body is the text of the reply to a request that is refused.
	Body string `json:"body" default:"request refused"`
	reload.Files

	env      *filter.Env
	engine   atomic.Pointer[lease]
	failed   filter.Action
	tooLarge filter.Action
	ns       string
	metadata bool
	counts   counts
}

type counts struct {
	inspected, cut, failed     *filter.Counter
	audited                    *filter.Counter
	blocked, shadowed, matched *filter.Tagged[*filter.Counter]
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.RegisterPerStream("waf", filter.Traffic, (*WAF).newStream, filter.Docs(docs)) }

// Validate checks what tags cannot say, without compiling the rules, as that takes a second.
func (p *WAF) Validate() error {
	errs := []error{p.Files.Validate()}
	for i := range p.Exclusions {
		if err := p.Exclusions[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("exclusions[%d].%w", i, err))
		}
	}
	for _, text := range []struct{ field, directives string }{{"setup", p.Setup}, {"directives", p.Directives}} {
		if err := checkDirectives(text.directives); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", text.field, err))
		}
	}
	errs = append(errs, p.RequestBody.check(), p.Response.check())
	errs = append(errs, p.Audit.check()...)
	if p.WithoutCoreRuleSet && p.Setup == "" && p.Directives == "" && len(p.RuleFiles) == 0 {
		errs = append(errs, errors.New("withoutCoreRuleSet: leaves no rule; give setup, directives or ruleFiles"))
	}
	return errors.Join(errs...)
}

// Provision compiles the rules, unless another configuration has the same.
func (p *WAF) Provision(env *filter.Env) error {
	p.env = env
	p.ns, p.metadata = "moe."+env.ID, env.Has(filter.CanSetMetadata)
	p.failed = filter.Reply(p.ErrorStatus, "the request cannot be inspected", filter.WithDetails("moe."+env.Plugin+".error"))
	p.tooLarge = filter.Reply(413, "the body is too large to be inspected", filter.WithDetails("moe."+env.Plugin+".too_large"))
	p.counts = counts{
		inspected: env.Counter("inspected"), cut: env.Counter("bodies_cut"), failed: env.Counter("failed"),
		audited:  env.Counter("audited"),
		blocked:  env.Tag("direction").Counter("blocked"),
		shadowed: env.Tag("direction").Counter("shadow_blocked"),
		matched:  env.Tag("attack").Counter("matched"),
	}
	return p.Follow(env, ruleFileSuffixes, p.RuleFiles, p.load)
}

// SkipsPhase is that of filter.PhaseSkipper: responses that are not inspected pass by.
func (p *WAF) SkipsPhase(method string) bool {
	return strings.HasPrefix(method, "OnResponse") && p.Response.Inspect == "none"
}

// load compiles the rules with the files as they are now.
func (p *WAF) load(files []reload.File) error {
	l, err := acquire(p.program(), files)
	if err != nil {
		return err
	}
	return p.engine.Swap(l).release()
}

// Close lets the rules go. Requests under way have their own hold of them.
func (p *WAF) Close() error { return p.engine.Swap(nil).release() }

// Merge is the default merge, which refuses to let a route or a consumer name files: who may write a route's configuration
// need not be one who may read the proxy's files.
func (*WAF) Merge(parent, child map[string]any) (map[string]any, error) {
	if files, ok := child["ruleFiles"]; ok && files != nil {
		return nil, errors.New("ruleFiles: only the filter's configuration may name files; write the rules into directives")
	}
	merged := overlay(parent, child)
	appendList(merged, parent, child, "exclusions")
	if audit, ok := merged["audit"].(map[string]any); ok { // a route hides more, and not less
		over, _ := child["audit"].(map[string]any)
		under, _ := parent["audit"].(map[string]any)
		for _, name := range []string{"redact", "redactQuery", "redactPatterns"} {
			appendList(audit, under, over, name)
		}
	}
	return merged, nil
}

// appendList has a list of merged be that of parent and then that of child, where both have one.
func appendList(merged, parent, child map[string]any, name string) {
	before, ok := parent[name].([]any)
	if own, ok2 := child[name].([]any); ok && ok2 {
		merged[name] = append(before[:len(before):len(before)], own...)
	}
}

// overlay merges objects; anything else of child replaces what parent has, and null removes it.
func overlay(parent, child map[string]any) map[string]any {
	merged := maps.Clone(parent)
	if merged == nil {
		merged = map[string]any{}
	}
	for key, value := range child {
		over, isObject := value.(map[string]any)
		under, wasObject := merged[key].(map[string]any)
		switch {
		case value == nil:
			delete(merged, key)
		case isObject && wasObject:
			merged[key] = overlay(under, over)
		default:
			merged[key] = value
		}
	}
	return merged
}
