package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
)

// plugin describes one plugin.
type plugin struct {
	Name    string          `json:"name"`
	Summary string          `json:"summary"`
	Stage   string          `json:"stage"`
	Phases  []string        `json:"phases"`
	Needs   string          `json:"needs,omitempty"` // capabilities of the host, if it needs some
	Example string          `json:"example"`         // an entry of a list of plugins, in YAML
	Schema  json.RawMessage `json:"schema"`          // of its configuration

	description string
}

func describe(reg *filter.Registration) (*plugin, error) {
	text, err := document.PluginSchema(reg)
	if err != nil {
		return nil, err
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("the schema of plugin %s: %w", reg.Name, err)
	}
	manual := manualOf(reg)
	p := &plugin{
		Name: reg.Name, Stage: reg.Stage.String(), Schema: text, description: s.Description, Phases: phases(reg),
		Example: exampleOf(reg.Name, manual, &s),
	}
	if reg.Needs != 0 {
		p.Needs = reg.Needs.String()
	}
	p.Summary = summary(reg.Name, manual, s.Description)
	return p, nil
}

// manualOf returns the plugin's README.md; "" if it has none.
func manualOf(reg *filter.Registration) string {
	if reg.Docs == nil {
		return ""
	}
	b, err := fs.ReadFile(reg.Docs, "README.md")
	if err != nil {
		return ""
	}
	return string(b)
}

// phases returns the names of the phases that the plugin implements: of its methods, without On.
func phases(reg *filter.Registration) []string {
	phases := host.Phases(reg).Methods()
	for i := range phases {
		phases[i] = strings.TrimPrefix(phases[i], "On")
	}
	return phases
}

var (
	nameSection = regexp.MustCompile(`(?s)\n## Name\n\s*(.*?)\n(?:\n|$)`)
	// markdownLink keeps the text of a link.
	markdownLink = regexp.MustCompile(`(?s)\[([^\]]*)\]\([^)]*\)`)
	sentence     = regexp.MustCompile(`(?s)^.*?\.(?:\s|$)`)
)

// summary is what the manual says under Name, or the first sentence of the struct's comment; without the name itself.
func summary(name, manual, description string) string {
	s := strings.TrimSpace(sentence.FindString(description))
	if m := nameSection.FindStringSubmatch(manual); m != nil {
		s = strings.TrimLeft(strings.TrimPrefix(m[1], "`"+name+"`"), " -–—:")
	} else if word, rest, ok := strings.Cut(s, " "); ok && strings.EqualFold(word, name) {
		s = rest
	}
	s = markdownLink.ReplaceAllString(s, "$1")
	return strings.TrimSuffix(strings.Join(strings.Fields(s), " "), ".")
}

// print writes the manual, or a description made in its place, then an example and the schema.
func (p *plugin) print(w io.Writer, manual string) {
	if manual != "" {
		fmt.Fprintln(w, strings.TrimSpace(manual))
	} else {
		fmt.Fprintf(w, "# %s\n\n", p.Name)
		if p.description != "" {
			fmt.Fprintf(w, "%s\n\n", p.description)
		}
		fmt.Fprintf(w, "Stage: %s. Phases: %s.\n", p.Stage, strings.Join(p.Phases, ", "))
		if p.Needs != "" {
			fmt.Fprintf(w, "It needs a host with %s.\n", p.Needs)
		}
		var s schema
		if json.Unmarshal(p.Schema, &s) == nil {
			fmt.Fprint(w, fieldTable(&s))
		}
	}
	fmt.Fprintf(w, "\n## Example, for the list of plugins\n\n%s", p.Example)
	fmt.Fprintf(w, "\n## JSON Schema of the configuration\n\n%s\n", strings.TrimSpace(string(p.Schema)))
}
