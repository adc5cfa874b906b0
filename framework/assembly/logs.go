package assembly

import (
	"fmt"

	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/internal/logs"
)

// logSettings returns what an entry says of its plugin's lines.
func logSettings(p *document.Plugin) logs.Settings {
	s := logs.Standard
	if level, ok := logs.Levels[string(p.LogLevel)]; ok {
		s.Level = &level
	}
	if n := p.LogRepeats; n != nil {
		s.Repeats = *n
		if *n == 0 {
			s.Repeats = -1
		}
	}
	return s
}

// logs writes what an entry says of its plugin's lines. An instance's key leaves it out, so that a plugin stays as it is when
// somebody looks closer at it.
func (h hasher) logs(p *document.Plugin) {
	fmt.Fprintf(h.h, "%q;%d;", p.LogLevel, logSettings(p).Repeats)
}
