package main

import (
	"fmt"
	"regexp"
	"strings"
)

// function is one of Envoy's.
type function struct {
	result string // "" for void
	name   string
	params []param
}

type param struct{ kind, name string }

// Names of functions begin with one of these; what follows decides whose they are.
const prefix = "envoyGo"

// needed are the beginnings of the functions that an HTTP filter may call; foreign are those of network filters and of
// the TCP upstream, which this library does not have.
var (
	needed  = []string{"envoyGoFilterHttp", "envoyGoConfigHttp", "envoyGoFilterLog"}
	foreign = []string{
		"envoyGoFilterDownstream", "envoyGoFilterUpstream", "envoyGoFilterSetFilterState", "envoyGoFilterGetFilterState",
		"envoyGoHttpTcpBridge",
	}
)

var (
	comment   = regexp.MustCompile(`(?s)//[^\n]*|/\*.*?\*/`)
	spaces    = regexp.MustCompile(`\s+`)
	prototype = regexp.MustCompile(`(\w[\w ]*?[ *]+)(` + prefix + `\w+)\(([^()]*)\);`)
)

// parse returns the functions of a header that an HTTP filter may call, in its order.
func parse(header string) ([]function, error) {
	text := spaces.ReplaceAllString(comment.ReplaceAllString(header, " "), " ")
	var fs []function
	found := 0
	for _, m := range prototype.FindAllStringSubmatch(text, -1) {
		found++
		switch {
		case hasPrefix(m[2], needed):
			f, err := newFunction(m[1], m[2], m[3])
			if err != nil {
				return nil, err
			}
			fs = append(fs, f)
		case hasPrefix(m[2], foreign):
		default:
			return nil, fmt.Errorf("the function %s is of no kind that abigen knows", m[2])
		}
	}
	if n := strings.Count(text, prefix); n != found {
		return nil, fmt.Errorf("%d names begin with %s, but only %d prototypes were understood", n, prefix, found)
	}
	if len(fs) == 0 {
		return nil, fmt.Errorf("no function begins with one of %v", needed)
	}
	return fs, nil
}

func hasPrefix(name string, all []string) bool {
	for _, p := range all {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func newFunction(result, name, params string) (function, error) {
	f := function{result: strings.TrimSpace(result), name: name}
	switch f.result {
	case "void":
		f.result = ""
	case "CAPIStatus", "uint32_t":
	default:
		return f, fmt.Errorf("%s returns a %s: what shall it return where Envoy lacks it?", name, f.result)
	}
	if params = strings.TrimSpace(params); params == "" {
		return f, nil
	}
	for p := range strings.SplitSeq(params, ",") {
		p = strings.TrimSpace(p)
		at := strings.LastIndexAny(p, " *")
		if at < 0 {
			return f, fmt.Errorf("%s: the parameter %q has no name", name, p)
		}
		f.params = append(f.params, param{strings.TrimSpace(p[:at+1]), p[at+1:]})
	}
	return f, nil
}
