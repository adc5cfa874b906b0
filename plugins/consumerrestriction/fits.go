package consumerrestriction

import (
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/match"
)

// question is a request, with what rules ask of it.
type question struct {
	*authz.Request
	consumer      *filter.Consumer // nil if it is not known
	method, route string
}

// fits reports whether all that a rule says is so.
func (q *question) fits(r Rule) bool {
	if len(r.Consumers) > 0 && (q.consumer == nil || !oneOf(r.Consumers, q.consumer.Name)) {
		return false
	}
	if len(r.Groups) > 0 && (q.consumer == nil || !slices.ContainsFunc(q.consumer.Groups, func(g string) bool { return oneOf(r.Groups, g) })) {
		return false
	}
	if len(r.Methods) > 0 && !slices.ContainsFunc(r.Methods, func(m string) bool { return strings.EqualFold(m, q.method) }) {
		return false
	}
	if len(r.Hosts) > 0 && !match.Host(r.Hosts, q.Host()) {
		return false
	}
	if len(r.Routes) > 0 && (q.route == "" || !oneOf(r.Routes, q.route)) {
		return false
	}
	return len(r.Paths) == 0 || slices.ContainsFunc(r.Paths, func(p string) bool { return below(q.Path, p) })
}

// oneOf reports whether one of the patterns means a name.
func oneOf(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return wild(p, name) })
}

// wild reports whether a pattern, in which * stands for any text, means name.
func wild(pattern, name string) bool {
	first, rest, has := strings.Cut(pattern, "*")
	if !has {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		part, more, has := strings.Cut(rest, "*")
		if !has {
			return strings.HasSuffix(name, part)
		}
		at := strings.Index(name, part) // the first place leaves most for the rest
		if at < 0 {
			return false
		}
		name, rest = name[at+len(part):], more
	}
}

// below reports whether pattern means path. As most servers do, it ignores a slash at the end of path.
func below(path, pattern string) bool {
	if path != "/" {
		path = strings.TrimSuffix(path, "/")
	}
	stem, all := strings.CutSuffix(pattern, "/*")
	if !all && stem != "/" {
		stem = strings.TrimSuffix(stem, "/")
	}
	for {
		before, after, has := strings.Cut(stem, "/*/")
		if !has {
			break
		}
		rest, ok := strings.CutPrefix(path, before+"/")
		slash := strings.IndexByte(rest, '/')
		if !ok || slash <= 0 {
			return false
		}
		path, stem = rest[slash:], "/"+after
	}
	if !all {
		return path == stem
	}
	rest, ok := strings.CutPrefix(path, stem)
	return ok && (rest == "" || rest[0] == '/')
}
