package waf

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/corazawaf/coraza/v3/types"
)

// Exclusion takes rules away, or keeps them from looking at some of a request.
type Exclusion struct {
	// Rules are ids of rules, or ranges of ids such as 942100-942199.
	Rules []string `json:"rules"`
	// Tags are tags of rules, such as attack-sqli.
	Tags []string `json:"tags"`
	// Targets are what the rules shall not look at, such as ARGS:comment or REQUEST_COOKIES. Without any, they are gone.
	Targets []string `json:"targets"`
}

var (
	tagForm    = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)
	targetForm = regexp.MustCompile(`^[A-Z_]+(:[^\s"'|!&,\\]+)?$`)
)

// check reports what is wrong with the exclusion, beginning with the field.
func (e *Exclusion) check() error {
	if len(e.Rules) == 0 && len(e.Tags) == 0 {
		return errors.New("rules: name rules, or tags")
	}
	for i, r := range e.Rules {
		if _, _, err := ruleRange(r); err != nil {
			return fmt.Errorf("rules[%d]: %w", i, err)
		}
	}
	for i, t := range e.Tags {
		if !tagForm.MatchString(t) {
			return fmt.Errorf("tags[%d]: expected a tag such as attack-sqli", i)
		}
	}
	for i, t := range e.Targets {
		if !targetForm.MatchString(t) {
			return fmt.Errorf("targets[%d]: expected a variable such as ARGS:comment", i)
		}
	}
	return nil
}

// ruleRange reads an id or a range of ids.
func ruleRange(text string) (first, last int, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if first, err = strconv.Atoi(from); err == nil && first > 0 {
		if last = first; isRange {
			last, err = strconv.Atoi(to)
		}
		if err == nil && last >= first {
			return first, last, nil
		}
	}
	return 0, 0, errors.New("expected an id of a rule, or a range such as 942100-942199")
}

// directives is the exclusion in SecLang. Each directive has one id, as the engine looks at the first only.
func (e *Exclusion) directives() string {
	var b strings.Builder
	targets := make([]string, 0, len(e.Targets))
	for _, t := range e.Targets {
		targets = append(targets, "!"+t)
	}
	list := strings.Join(targets, "|")
	for _, r := range e.Rules {
		if list == "" {
			fmt.Fprintf(&b, "SecRuleRemoveById %s\n", r)
		} else {
			fmt.Fprintf(&b, "SecRuleUpdateTargetById %s \"%s\"\n", r, list)
		}
	}
	for _, t := range e.Tags {
		if list == "" {
			fmt.Fprintf(&b, "SecRuleRemoveByTag %s\n", t)
		} else {
			fmt.Fprintf(&b, "SecRuleUpdateTargetByTag %s \"%s\"\n", t, list)
		}
	}
	return b.String()
}

// names reports whether there are rules with the ids and tags that the exclusion names; the engine does not mind.
func (e *Exclusion) names(rules []types.RuleMetadata) error {
	for i, text := range e.Rules {
		first, last, _ := ruleRange(text)
		if !anyRule(rules, func(r types.RuleMetadata) bool { return first <= r.ID() && r.ID() <= last }) {
			return fmt.Errorf("rules[%d]: there is no such rule", i)
		}
	}
	for i, tag := range e.Tags {
		if !anyRule(rules, func(r types.RuleMetadata) bool { return hasTag(r, tag) }) {
			return fmt.Errorf("tags[%d]: no rule has this tag", i)
		}
	}
	return nil
}

func anyRule(rules []types.RuleMetadata, f func(types.RuleMetadata) bool) bool {
	for _, r := range rules {
		if f(r) {
			return true
		}
	}
	return false
}

func hasTag(r types.RuleMetadata, tag string) bool {
	for _, t := range r.Tags() {
		if t == tag {
			return true
		}
	}
	return false
}
