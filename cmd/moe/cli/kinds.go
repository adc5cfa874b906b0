package cli

import (
	"encoding/json"
	"fmt"
	"regexp"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/bootstrap"
	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/listener"
	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/udp"
)

// other is an extension of a kind that stands in no list of plugins. In the place of a stage it has the name of its kind.
type other struct {
	kind string
	*extension.Registration
}

// others are the extensions of those kinds that are compiled in.
func others() (all []other) {
	for _, of := range []struct {
		kind string
		all  []*extension.Registration
	}{
		{"listener", extension.Bases(listener.Registrations())},
		{"network", extension.Bases(network.Registrations())},
		{"udp", extension.Bases(udp.Registrations())},
		{"accesslog", extension.Bases(accesslog.Registrations())},
		{"bootstrap", extension.Bases(bootstrap.Registrations())},
		{"certvalidator", extension.Bases(certvalidator.Registrations())},
	} {
		for _, r := range of.all {
			all = append(all, other{of.kind, r})
		}
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

var fileBlock = regexp.MustCompile("(?s)\n```yaml\n((?:listeners|bootstrap):\n.*?)```")

// example is the manual's part of a moe.yaml, or the least that there can be.
func (o other) example(manual string) string {
	if m := fileBlock.FindStringSubmatch(manual); m != nil {
		return m[1]
	}
	form := map[string]string{
		"listener": "listenerFilters:\n- name: %s\n", "network": "networkFilters:\n- name: %s\n", "udp": "udpFilters:\n- name: %s\n",
		"accesslog": "accessLoggers:\n- name: %s\n", "certvalidator": "validator:\n  name: %s\n",
		"bootstrap": "bootstrap:\n- name: %s\n",
	}[o.kind]
	return fmt.Sprintf(form, o.Name)
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
