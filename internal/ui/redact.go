package ui

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/config"
)

// hidden stands where a secret is.
const hidden = "(secret)"

// redact returns a copy of what is written in a configuration, without its secrets: what the schema says is one, and
// where no schema says what a field is, what has the name of one. It is nil for a value of which nothing is known.
func redact(v any, key string, s, root *schema, declared bool) any {
	if s != nil && s.WriteOnly {
		return reference(v)
	}
	switch v := v.(type) {
	case map[string]any:
		if !declared && (v["env"] != nil || v["file"] != nil) && len(v) == 1 {
			return reference(v)
		}
		m := make(map[string]any, len(v))
		for k, e := range v {
			of, known := s.field(k, root)
			m[k] = redact(e, k, of, root, known)
		}
		return m
	case []any:
		var of *schema
		if s != nil {
			of = s.Items.in(root)
		}
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = redact(e, key, of, root, declared)
		}
		return l
	case string:
		switch {
		case v == "":
		case !declared && secretName.MatchString(key), strings.Contains(v, "PRIVATE KEY-----"):
			return hidden
		}
		return userInfo.ReplaceAllString(v, "://"+hidden+"@")
	}
	return v
}

var (
	secretName = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|key|credentials?|auth(orization)?|cookie|signature|hash)s?$`)
	userInfo   = regexp.MustCompile(`://[^/?#@\s]*@`)
	envName    = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,63}$`)
)

// reference returns where a secret is, {env: NAME} or {file: PATH}, as far as that cannot be the secret itself in the
// wrong place, and hidden for everything else.
func reference(v any) any {
	m, _ := v.(map[string]any)
	if len(m) != 1 {
		return hidden
	}
	if name, ok := m["env"].(string); ok && envName.MatchString(name) {
		return map[string]any{"env": name}
	}
	const most = 200
	if path, ok := m["file"].(string); ok && filepath.IsAbs(path) && len(path) <= most && !strings.ContainsAny(path, "\r\n") {
		return map[string]any{"file": path}
	}
	return hidden
}

// written is a value as it may stand in a moe.yaml: in one line, if it is short.
func written(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if v == "" {
			return `""`
		}
		return v
	}
	const short = 80
	if text, err := json.Marshal(v); err == nil && len(text) <= short {
		var n yaml.Node
		if yaml.Unmarshal(text, &n) == nil {
			flow(&n)
			if text, err := yaml.Marshal(&n); err == nil {
				return strings.TrimSuffix(string(text), "\n")
			}
		}
	}
	text, err := config.Indent(v)
	if err != nil {
		return ""
	}
	var n yaml.Node
	if yaml.Unmarshal(text, &n) != nil {
		return ""
	}
	block(&n)
	out, err := encodeYAML(&n)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(out), "\n")
}

// flow and block have a node, and what is in it, written in one of YAML's two ways, and text without needless quotes.
func flow(n *yaml.Node)  { style(n, yaml.FlowStyle) }
func block(n *yaml.Node) { style(n, 0) }

func style(n *yaml.Node, s yaml.Style) {
	n.Style = 0
	if n.Kind != yaml.ScalarNode {
		n.Style = s
	}
	for _, c := range n.Content {
		style(c, s)
	}
}
