package bootstrap

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	modulesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/dynamic_modules/v3"
)

// Extension is a bootstrap extension in Go: it lives as long as Envoy.
type Extension struct {
	// Name is the one that it is registered under.
	Name string `json:"name" validate:"required"`
	// Config is its configuration.
	Config map[string]any `json:"config"`
}

func (o *Options) checkExtensions(p *problems) {
	if len(o.Extensions) > 0 && (o.ExtProc != nil || o.Golang != nil) {
		p.add("bootstrap", "bootstrap extensions in Go run in Envoys that load MoE as a dynamic module; leave them out with "+
			"another host")
	}
}

// bootstrapExtensions are those in Go.
func (o *Options) bootstrapExtensions() (all []*corev3.TypedExtensionConfig, err error) {
	for i, x := range o.Extensions {
		s, err := toStruct(x.Config)
		if err != nil {
			return nil, fmt.Errorf("bootstrap[%d]: %w", i, err)
		}
		all = append(all, &corev3.TypedExtensionConfig{
			Name: "envoy.bootstrap.dynamic_modules", TypedConfig: pack(&modulesv3.DynamicModuleBootstrapExtension{
				DynamicModuleConfig: module(Name), ExtensionName: x.Name, ExtensionConfig: pack(s),
			}),
		})
	}
	return all, nil
}
