package redirect

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/match"
)

// Target says what is different in the address that a client is sent to. The rest is as in the request.
type Target struct {
	// Scheme is http or https.
	Scheme string `json:"scheme" enum:"http,https"`
	// Host is the new host, without a port.
	Host string `json:"host"`
	// Port is the new port. A new scheme or host without one has the port of the scheme.
	Port int `json:"port" validate:"min=0,max=65535"`
	// Path is the new path. With the rule's pattern, it may use what the pattern's groups have matched: $1, ${name}.
	Path string `json:"path"`
	// Prefix replaces the rule's prefix in the path.
	Prefix string `json:"prefix"`
	// Query is the new query, without its question mark.
	Query string `json:"query"`
	// DropQuery leaves the query out.
	DropQuery bool `json:"dropQuery"`
}

var (
	hostName  = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?\.?)+$|^\[[0-9a-fA-F:.]+\]$`)
	authority = regexp.MustCompile(`^([-A-Za-z0-9_.]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?$`)
	pathText  = regexp.MustCompile(`^/[!-~]*$`) // what the location may have: visible ASCII
)

func (t *Target) validate(m *match.Match) error {
	var errs []error
	bad := func(text string) { errs = append(errs, errors.New(text)) }
	if *t == (Target{}) {
		bad("path: is required, or another field of the address")
	}
	if t.Host != "" && !hostName.MatchString(t.Host) {
		bad("host: expected a host without a port, such as www.example.com")
	}
	for field, text := range map[string]string{"path": t.Path, "prefix": t.Prefix} {
		switch {
		case text == "":
		case !pathText.MatchString(text) && (field == "prefix" || !pathText.MatchString("/"+text) || text[0] != '$'):
			bad(field + ": must begin with a slash and have visible ASCII only; encode other characters (%20)")
		case strings.ContainsAny(text, "?#"):
			bad(field + ": must not have a query or a fragment: use query")
		case text[0] == '/' && text != slashes(text):
			bad(field + ": must not begin with two slashes: a client would take what follows for a host")
		}
	}
	if t.Query != "" && !pathText.MatchString("/"+t.Query) {
		bad("query: must have visible ASCII only; encode other characters (%20)")
	}
	switch {
	case t.Path != "" && t.Prefix != "":
		bad("path: path and prefix are mutually exclusive")
	case t.Prefix != "" && m.Prefix == "":
		bad("prefix: replaces the rule's prefix, which is missing")
	case strings.Contains(t.Path, "$") && m.Pattern == nil:
		bad("path: uses $ without a pattern of the rule; a plain $ is written %24")
	case t.Query != "" && t.DropQuery:
		bad("query: query and dropQuery are mutually exclusive")
	}
	if m.Pattern != nil {
		for _, name := range groups.FindAllStringSubmatch(t.Path, -1) {
			if !hasGroup(m.Pattern, strings.Trim(name[1], "{}")) {
				bad("path: the pattern has no group " + name[1] + "; write ${1} before letters and digits")
			}
		}
	}
	return errors.Join(errs...)
}

// groups are the references of a replacement, as [regexp.Regexp.Expand] reads them.
var groups = regexp.MustCompile(`\$(\w+|\{\w+\})`)

func hasGroup(re *regexp.Regexp, name string) bool {
	if n, err := strconv.Atoi(name); err == nil {
		return n <= re.NumSubexp()
	}
	return re.SubexpIndex(name) >= 0
}

// address is what a location is made of.
type address struct {
	scheme, host, path, query string // host with the port; query with its question mark
}

// origin returns the address that a request is for.
func origin(h filter.RequestHeaders) address {
	path, query := split(h.Path())
	return address{scheme: h.Scheme(), host: h.Host(), path: path, query: query}
}

// split returns the path, and the query with its question mark.
func split(target string) (path, query string) {
	if i := strings.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:]
	}
	return target, ""
}

// of returns the address that the target makes of a request.
func (t *Target) of(h filter.RequestHeaders, rule *Rule) address {
	a := origin(h)
	if t.Host != "" || t.Scheme != "" || t.Port != 0 {
		host := t.Host
		if host == "" {
			host = withoutPort(a.host)
		}
		if t.Scheme != "" {
			a.scheme = t.Scheme
		}
		if t.Port != 0 && strconv.Itoa(t.Port) != defaultPort(a.scheme) {
			host += ":" + strconv.Itoa(t.Port)
		}
		a.host = host
	}
	switch {
	case t.Path != "" && rule.Pattern != nil:
		if at := rule.Pattern.FindStringSubmatchIndex(a.path); at != nil {
			a.path = string(rule.Pattern.ExpandString(nil, t.Path, a.path, at))
		}
	case t.Path != "":
		a.path = t.Path
	case t.Prefix != "":
		rest := strings.TrimPrefix(a.path, rule.Prefix)
		if strings.HasSuffix(t.Prefix, "/") {
			rest = strings.TrimPrefix(rest, "/")
		} else if rest != "" && rest[0] != '/' {
			rest = "/" + rest
		}
		a.path = t.Prefix + rest
	}
	// What a pattern has matched is the client's: it may not begin another part of the address, nor a host.
	a.path, _ = split(slashes(a.path))
	a.path, _, _ = strings.Cut(a.path, "#")
	a.query, _, _ = strings.Cut(a.query, "#")
	switch {
	case t.Query != "":
		a.query = "?" + t.Query
	case t.DropQuery:
		a.query = ""
	}
	return a
}

// slashes returns a path with one slash at its beginning, because clients take what follows two, or a slash and a
// backslash, for a host.
func slashes(path string) string { return "/" + strings.TrimLeft(path, `/\`) }

func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// String returns the address as a URL, in visible ASCII.
func (a address) String() string {
	return a.scheme + "://" + a.host + a.target()
}

// target returns the path and the query as they stand in the URL, and so as a client sends them that goes there.
func (a address) target() string {
	var b strings.Builder
	for _, text := range [...]string{a.path, a.query} {
		for i := range len(text) {
			if c := text[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' {
				b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

// same reports whether a client that goes to a comes back to b.
func (a address) same(b address) bool {
	return a.scheme == b.scheme && a.target() == b.target() &&
		strings.EqualFold(strings.TrimSuffix(a.host, ":"+defaultPort(a.scheme)), strings.TrimSuffix(b.host, ":"+defaultPort(b.scheme)))
}
