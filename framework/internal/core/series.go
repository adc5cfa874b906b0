package core

import "strings"

// Series is the metric's name with values for its tags in it, as in "moe.panics;plugin=keyauth", for hosts whose metrics
// have no tags of their own.
func (m *Metric) Series(values []string) string {
	if len(values) == 0 {
		return m.Name
	}
	var b strings.Builder
	b.WriteString(m.Name)
	for i, v := range values {
		b.WriteString(";" + m.Tags[i] + "=" + tagValue.Replace(v))
	}
	return b.String()
}

// tagValue keeps a value apart from what is around it, and whole: Envoy splits names at dots.
var tagValue = strings.NewReplacer(";", "_", "=", "_", ".", "_", ":", "_", " ", "_", "\n", "_", "\x00", "_")
