package extauth

import (
	"errors"
	"fmt"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

// names is a set of names of headers, and of beginnings of names.
type names struct {
	whole    map[string]bool
	prefixes []string
}

func newNames(field string, list []string) (n names, err error) {
	n.whole = map[string]bool{}
	var errs []error
	for i, name := range list {
		name = strings.ToLower(name)
		prefix, isPrefix := strings.CutSuffix(name, "*")
		if isPrefix && prefix == "" {
			n.prefixes = append(n.prefixes, "")
			continue
		}
		if err := fieldname.Check(prefix); err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", field, i, err))
		}
		if isPrefix {
			n.prefixes = append(n.prefixes, prefix)
		} else {
			n.whole[name] = true
		}
	}
	return n, errors.Join(errs...)
}

func (n *names) empty() bool { return len(n.whole) == 0 && len(n.prefixes) == 0 }

// has reports whether a name, in lower case, is in the set.
func (n *names) has(name string) bool {
	if n.whole[name] {
		return true
	}
	for _, p := range n.prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// removeFrom removes the headers of a request whose names are in the set, but those that Envoy needs.
func (n *names) removeFrom(h filter.RequestHeaders) {
	if n.empty() {
		return
	}
	for name := range h.All() {
		if n.has(name) && !isOurs(name) {
			h.Del(name)
		}
	}
}

// isOurs reports whether a header is the business of the connection, or of Envoy, and so of no list.
func isOurs(name string) bool {
	switch name {
	case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer",
		"upgrade", "expect", "":
		return true
	}
	return name[0] == ':' || strings.HasPrefix(name, ours)
}

// ours is how the names of headers begin by which this plugin speaks to the service and to the upstream.
const ours = "x-envoy-auth-"

// strip removes what a client has put into such headers: the upstream would take it for the plugin's word.
func strip(h filter.RequestHeaders) {
	for name := range h.All() {
		if strings.HasPrefix(name, ours) {
			h.Del(name)
		}
	}
}
