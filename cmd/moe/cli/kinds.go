package cli

import (
	"encoding/json"
	"fmt"
	"regexp"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/network"
)

// other is an extension of a kind that stands in no list of plugins. In the place of a stage it has the name of its kind.
type other struct {
	kind string
	*extension.Registration
}

// others are the network filters and the access loggers that are compiled in.
func others() (all []other) {
	for _, r := range network.Registrations() {
		all = append(all, other{"network", r.Base()})
	}
	for _, r := range accesslog.Registrations() {
		all = append(all, other{"accesslog", r.Base()})
	}
	return all
}

// describe returns what a plugin's description has, and its manual.
func (o other) describe() (*plugin, string, error) {
	reg := &filter.Registration{Registration: *o.Registration}
	text, err := document.PluginSchema(reg)
	if err != nil {
		return nil, "", err
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, "", fmt.Errorf("the schema of %s: %w", o.Name, err)
	}
	manual := manualOf(reg)
	return &plugin{
		Name: o.Name, Stage: o.kind, Phases: []string{}, Schema: text, description: s.Description,
		Summary: summary(o.Name, manual, s.Description), Example: o.example(manual),
	}, manual, nil
}

var listenersBlock = regexp.MustCompile("(?s)\n```yaml\n(listeners:\n.*?)```")

// example is the manual's part of a moe.yaml, or the least that there can be.
func (o other) example(manual string) string {
	if m := listenersBlock.FindStringSubmatch(manual); m != nil {
		return m[1]
	}
	field := map[string]string{"network": "networkFilters", "accesslog": "accessLoggers"}[o.kind]
	return fmt.Sprintf("%s:\n- name: %s\n", field, o.Name)
}

// lookupOther finds one by its name.
func lookupOther(name string) (other, bool) {
	for _, o := range others() {
		if o.Name == name {
			return o, true
		}
	}
	return other{}, false
}
