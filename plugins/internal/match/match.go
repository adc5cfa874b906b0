// Package match selects the requests that a rule of a plugin is for.
package match

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/expression"
	"mosn.io/moe/plugins/internal/fieldname"
)

// Match says which requests a rule is for: those that meet all of the conditions that are set. The zero Match is for
// every request.
type Match struct {
	// Methods lists the methods, such as GET.
	Methods []string `json:"methods"`
	// Scheme is that of the request: http or https.
	Scheme string `json:"scheme" enum:"http,https"`
	// Hosts lists hosts without a port: www.example.com, or *.example.com for all hosts below example.com.
	Hosts []string `json:"hosts"`
	// Path is the whole path, without the query.
	Path string `json:"path"`
	// Prefix is what the path begins with, in whole segments: /a is for /a and /a/b, and not for /ab.
	Prefix string `json:"prefix"`
	// Pattern is a regular expression (RE2) for a part of the path; ^ and $ stand for its ends.
	Pattern *regexp.Regexp `json:"pattern"`
	// Headers are conditions for headers. A request has to meet each.
	Headers []Header `json:"headers"`
	// When is an expression of CEL, of type bool.
	When string `json:"when"`

	when expression.Program
}

// Header is a condition for a header. If it has neither Value nor Pattern nor Absent, the header has to be there.
type Header struct {
	// Name is that of the header.
	Name string `json:"name" validate:"required"`
	// Value is what one of the header's values has to be.
	Value string `json:"value"`
	// Pattern is a regular expression (RE2) for a part of one of the header's values.
	Pattern *regexp.Regexp `json:"pattern"`
	// Absent is for requests without the header.
	Absent bool `json:"absent"`
}

// Empty reports whether no condition is set.
func (m *Match) Empty() bool {
	return len(m.Methods)+len(m.Hosts)+len(m.Headers) == 0 && m.Scheme+m.Path+m.Prefix+m.When == "" && m.Pattern == nil
}

// Validate checks the conditions and compiles the expression. Each of the errors that it joins begins with a field.
func (m *Match) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, method := range m.Methods {
		if err := fieldname.CheckMethod(method); err != nil {
			bad("methods[%d]: %w", i, err)
		}
	}
	for i, h := range m.Hosts {
		name := strings.TrimPrefix(h, "*.")
		if name == "" || strings.ContainsAny(name, "*/ ") || strings.Contains(name, ":") && !strings.HasPrefix(name, "[") {
			bad("hosts[%d]: expected a host without a port, such as www.example.com or *.example.com", i)
		}
	}
	ways := 0
	for field, text := range map[string]string{"path": m.Path, "prefix": m.Prefix} {
		if text == "" {
			continue
		}
		if ways++; text[0] != '/' {
			bad("%s: must begin with a slash", field)
		} else if strings.ContainsAny(text, "?#") {
			bad("%s: must not have a query", field)
		}
	}
	if m.Pattern != nil {
		ways++
	}
	if ways > 1 {
		bad("path, prefix and pattern are mutually exclusive")
	}
	for i := range m.Headers {
		if err := m.Headers[i].validate(); err != nil {
			bad("headers[%d].%w", i, err)
		}
	}
	if m.When != "" {
		var err error
		if m.when, err = expression.Compile(m.When, expression.Bool, expression.Options{}); err != nil {
			bad("when: %w", err)
		}
	}
	return errors.Join(errs...)
}

func (h *Header) validate() error {
	if err := fieldname.Check(h.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if h.Value != "" && h.Pattern != nil || h.Absent && (h.Value != "" || h.Pattern != nil) {
		return errors.New("name: value, pattern and absent are mutually exclusive")
	}
	return nil
}

// Within returns the errors that err joins, each with the field that they are in before it.
func Within(field string, err error) error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s.%w", field, err)
	}
	var errs []error
	for _, e := range joined.Unwrap() {
		errs = append(errs, fmt.Errorf("%s.%w", field, e))
	}
	return errors.Join(errs...)
}

// Is reports whether the rule is for a request. Paths are compared with r.Path. The error is that of the expression.
func (m *Match) Is(r *authz.Request) (bool, error) {
	if len(m.Methods) > 0 && !has(m.Methods, r.Method()) ||
		m.Scheme != "" && m.Scheme != r.Headers.Scheme() ||
		len(m.Hosts) > 0 && !Host(m.Hosts, r.Host()) ||
		!m.path(r.Path) {
		return false, nil
	}
	for i := range m.Headers {
		if !m.Headers[i].is(r) {
			return false, nil
		}
	}
	if m.when == nil {
		return true, nil
	}
	copied := *r // what an expression is given escapes
	v, err := m.when.Evaluate(&copied)
	return err == nil && v.Bool, err
}

// Host reports whether one of the patterns, www.example.com or *.example.com for all hosts below example.com, means a host.
func Host(patterns []string, host string) bool {
	for _, h := range patterns {
		if below, ok := strings.CutPrefix(h, "*"); ok {
			if n := len(host) - len(below); n > 0 && strings.EqualFold(host[n:], below) {
				return true
			}
		} else if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

func (m *Match) path(path string) bool {
	switch {
	case m.Path != "":
		return path == m.Path
	case m.Prefix != "":
		return Below(path, m.Prefix)
	case m.Pattern != nil:
		return m.Pattern.MatchString(path)
	}
	return true
}

// Below reports whether path is prefix or begins with it, in whole segments.
func Below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || prefix[len(prefix)-1] == '/')
}

func (h *Header) is(r *authz.Request) bool {
	if !r.Headers.Has(h.Name) {
		return h.Absent
	}
	if h.Absent {
		return false
	}
	if h.Value == "" && h.Pattern == nil {
		return true
	}
	for _, v := range r.Headers.Values(h.Name) {
		if h.Pattern == nil && v == h.Value || h.Pattern != nil && h.Pattern.MatchString(v) {
			return true
		}
	}
	return false
}

func has(list []string, text string) bool {
	for _, t := range list {
		if t == text {
			return true
		}
	}
	return false
}
