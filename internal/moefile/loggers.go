package moefile

import (
	"fmt"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/assembly"
	moeboot "mosn.io/moe/framework/bootstrap"
	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/listener"
	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/udp"
	"mosn.io/moe/internal/bootstrap"
)

// checkLoggers checks the access loggers by their own code; nothing is opened.
func (f *File) checkLoggers(h Host, add func(path string, err error)) {
	if len(f.Loggers) > 0 && h != Dynmod {
		add("accessLoggers", needsModule(h))
		return
	}
	for i, l := range f.Loggers {
		checkExtension("access logger", accesslog.Registrations(), config.Index("accessLoggers", i), l.Name, l.Config, h, add)
	}
}

// checkExtensions does the same for bootstrap extensions.
func (f *File) checkExtensions(h Host, add func(path string, err error)) {
	if len(f.Extensions) > 0 && h != Dynmod {
		add("bootstrap", needsModule(h))
		return
	}
	for i, x := range f.Extensions {
		checkExtension("bootstrap extension", moeboot.Registrations(), config.Index("bootstrap", i), x.Name, x.Config, h, add)
	}
}

// checkConnections does the same for listener, network and UDP filters.
func (f *File) checkConnections(h Host, add func(path string, err error)) {
	for i := range f.Listeners {
		l := &f.Listeners[i]
		at := config.Index("listeners", i)
		named := l.TLS != nil || l.TCP != nil && l.TCP.ServerNames // bootstrap gives it a TLS inspector
		if len(l.ListenerFilters) > 0 && h != Dynmod {
			add(at+".listenerFilters", needsModule(h))
		} else {
			for j, n := range l.ListenerFilters {
				value := checkExtension("listener filter", listener.Registrations(), config.Index(at+".listenerFilters", j), n.Name,
					n.Config, h, add)
				sets, ok := value.(listener.ServerNamer)
				named = named || ok && sets.SetsServerName()
			}
		}
		checkDatagrams(l, at, h, add)
		if len(l.NetworkFilters) > 0 && h != Dynmod {
			add(at+".networkFilters", needsModule(h))
			continue
		}
		for j, n := range l.NetworkFilters {
			at := config.Index(at+".networkFilters", j)
			value := checkExtension("network filter", network.Registrations(), at, n.Name, n.Config, h, add)
			if needs, ok := value.(network.ServerNamer); ok && needs.NeedsServerName() && !named {
				add(at+".name", fmt.Errorf("%s needs the server name that the client's TLS asks for, and nobody looks for it on this "+
					"listener; add serverNames: true to its tcp, or the listener filter clienthello", n.Name))
			}
		}
	}
}

// checkDatagrams checks the UDP filters of a listener.
func checkDatagrams(l *bootstrap.Listener, at string, h Host, add func(path string, err error)) {
	if len(l.UDPFilters) > 0 && h != Dynmod {
		add(at+".udpFilters", needsModule(h))
		return
	}
	for i, n := range l.UDPFilters {
		checkExtension("UDP filter", udp.Registrations(), config.Index(at+".udpFilters", i), n.Name, n.Config, h, add)
	}
}

// checkCertValidators does the same for certificate validators.
func (f *File) checkCertValidators(h Host, add func(path string, err error)) {
	check := func(at string, v *bootstrap.CertValidator) {
		switch {
		case v == nil:
		case h != Dynmod:
			add(at, needsModule(h))
		default:
			checkExtension("certificate validator", certvalidator.Registrations(), at, v.Name, v.Config, h, add)
		}
	}
	for i := range f.Listeners {
		if t := f.Listeners[i].TLS; t != nil && t.ClientCertificates != nil {
			check(config.Index("listeners", i)+".tls.clientCertificates.validator", t.ClientCertificates.Validator)
		}
	}
	for i := range f.Upstreams {
		if t := f.Upstreams[i].TLS; t != nil {
			check(config.Index("upstreams", i)+".tls.validator", t.Validator)
		}
	}
}

func needsModule(h Host) error {
	return fmt.Errorf("they run in Envoys that load MoE as a dynamic module, and this is for the host %s", h.name)
}

// checkExtension checks one extension of a kind, whose registrations are given, and returns its configuration, or nil if it
// is wrong.
func checkExtension[R interface {
	Base() *extension.Registration
}](
	kind string, regs []R, at, name string, conf map[string]any, h Host, add func(path string, err error),
) (value any) {
	var names []string
	for _, r := range regs {
		reg := r.Base()
		if reg.Name == name {
			var doc any
			if conf != nil {
				doc = conf
			}
			value, err := assembly.Check(reg, doc, h.caps)
			add(at+".config", err)
			return value
		}
		names = append(names, reg.Name)
	}
	add(at+".name", fmt.Errorf("%q: %s", name, config.Unknown(kind, name, names)))
	return nil
}
