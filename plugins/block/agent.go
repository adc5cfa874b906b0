package block

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"mosn.io/moe/plugins/internal/authz"
)

// Agent is a condition for the program that sends a request, as its user-agent names it. A request meets it if one of the
// fields applies.
type Agent struct {
	// Kinds lists kinds of robots of the list of known ones: ai-crawler, search-engine, scanner and so on, or all.
	Kinds []string `json:"kinds" enum:"all,academic,advertising,ai-crawler,archiver,browser-automation,feed-reader,http-library,monitoring,scanner,search-engine,seo,social-preview"`
	// Patterns are regular expressions (RE2) for a part of the user-agent.
	Patterns []*regexp.Regexp `json:"patterns" validate:"max=1000"`
	// Missing is for requests without a user-agent, or with an empty one.
	Missing bool `json:"missing"`
	// Except lists regular expressions (RE2) for a part of the user-agents that do not meet the condition.
	Except []*regexp.Regexp `json:"except" validate:"max=1000"`

	kinds kinds // those of Kinds
}

// longest is how much of a user-agent is looked at.
const longest = 1024

func (a *Agent) validate() error {
	if len(a.Kinds) == 0 && len(a.Patterns) == 0 && !a.Missing {
		return errors.New("kinds: is required, or patterns or missing")
	}
	return nil
}

func (a *Agent) is(r *authz.Request) bool {
	agent := strings.Join(r.Headers.Values("user-agent"), " ")
	if agent = agent[:min(len(agent), longest)]; agent == "" {
		return a.Missing
	}
	found := matches(a.Patterns, agent) || a.kinds != 0 && known().has(agent, a.kinds)
	return found && !matches(a.Except, agent)
}

func matches(list []*regexp.Regexp, text string) bool {
	return slices.ContainsFunc(list, func(re *regexp.Regexp) bool { return re.MatchString(text) })
}
