package moefile

import (
	"fmt"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
)

// checkLoggers checks the access loggers by their own code; nothing is opened.
func (f *File) checkLoggers(h Host, add func(path string, err error)) {
	if len(f.Loggers) > 0 && h != Dynmod {
		add("accessLoggers", fmt.Errorf("they run in Envoys that load MoE as a dynamic module, and this is for the host %s", h.name))
		return
	}
	for i, l := range f.Loggers {
		at := config.Index("accessLoggers", i)
		reg := accesslog.Lookup(l.Name)
		if reg == nil {
			add(at+".name", fmt.Errorf("%q: %s", l.Name, config.Unknown("access logger", l.Name, loggerNames())))
			continue
		}
		var doc any
		if l.Config != nil {
			doc = l.Config
		}
		add(at+".config", assembly.Check(&reg.Registration, doc, h.caps))
	}
}

func loggerNames() (names []string) {
	for _, r := range accesslog.Registrations() {
		names = append(names, r.Name)
	}
	return names
}
