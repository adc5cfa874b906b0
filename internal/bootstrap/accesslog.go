package bootstrap

import (
	"errors"
	"fmt"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	modulesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/dynamic_modules/v3"
)

// AccessLogger is an access logger in Go: it sees each request of each listener, also what reaches no plugin.
type AccessLogger struct {
	// Name is the one that it is registered under.
	Name string `json:"name" validate:"required"`
	// Config is its configuration.
	Config map[string]any `json:"config"`
}

var errLoggersNeedModule = errors.New(
	"access loggers in Go run in Envoys that load MoE as a dynamic module; leave accessLoggers out with another host")

// accessLoggers are those of every connection manager.
func (b *builder) accessLoggers() (all []*accesslogv3.AccessLog, err error) {
	if len(b.o.AccessLoggers) > 0 && (b.o.ExtProc != nil || b.o.Golang != nil) {
		return nil, errLoggersNeedModule
	}
	name := Name // Envoy finds the extension by the type of the configuration
	if b.o.OtherLoggers {
		name += "-other"
	}
	for i, l := range b.o.AccessLoggers {
		s, err := toStruct(l.Config)
		if err != nil {
			return nil, fmt.Errorf("accessLoggers[%d]: %w", i, err)
		}
		all = append(all, &accesslogv3.AccessLog{
			Name: name, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(&modulesv3.DynamicModuleAccessLog{
				DynamicModuleConfig: module(Name), LoggerName: l.Name, LoggerConfig: pack(s),
			})},
		})
	}
	return all, nil
}
