package render

import (
	"encoding/json"
	"fmt"

	golangv3 "github.com/envoyproxy/go-control-plane/contrib/envoy/extensions/filters/http/golang/v3alpha"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	modulev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/dynamic_modules/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_modules/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
	"mosn.io/moe/framework/host/processing"
	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// filterConfig returns the configuration of the HTTP filter with a part of a chain.
func filterConfig(h *v1alpha1.Host, doc *document.Document, part *bootstrap.Part) (proto.Message, error) {
	if h.ExtProc != nil {
		return extProcFilter(h.ExtProc, doc, part)
	}
	divided := *doc
	divided.Stages, doc = part.Stages, &divided
	if h.Golang != nil {
		return golangFilter(h.Golang, doc)
	}
	config, err := packed(doc.Data())
	if err != nil {
		return nil, err
	}
	return &filterv3.DynamicModuleFilter{
		DynamicModuleConfig: module(h.DynamicModules), FilterName: assembly.ChainName, FilterConfig: config,
	}, nil
}

func golangFilter(g *v1alpha1.Golang, doc *document.Document) (proto.Message, error) {
	raw, secrets, err := bootstrap.GenericSecrets(doc.Data())
	if err != nil {
		return nil, err
	}
	config, err := packed(raw)
	if err != nil {
		return nil, err
	}
	return &golangv3.Config{
		LibraryId: g.LibraryID, LibraryPath: g.LibraryPath, PluginName: assembly.ChainName, PluginConfig: config,
		GenericSecrets: secrets,
	}, nil
}

// routeConfig returns the configuration of a route, virtual host or route configuration.
func routeConfig(h *v1alpha1.Host, doc *document.Document) (proto.Message, error) {
	if h.ExtProc != nil {
		metadata, err := configMetadata(doc)
		if err != nil {
			return nil, err
		}
		return &extprocv3.ExtProcPerRoute{Override: &extprocv3.ExtProcPerRoute_Overrides{
			Overrides: &extprocv3.ExtProcOverrides{GrpcInitialMetadata: metadata, ProcessingMode: processingMode(doc)},
		}}, nil
	}
	config, err := packed(doc.Data())
	switch {
	case err != nil:
		return nil, err
	case h.Golang != nil:
		return &golangv3.ConfigsPerRoute{PluginsConfig: map[string]*golangv3.RouterPlugin{
			assembly.ChainName: {Override: &golangv3.RouterPlugin_Config{Config: config}},
		}}, nil
	}
	return &filterv3.DynamicModuleFilterPerRoute{
		DynamicModuleConfig: module(h.DynamicModules), FilterName: assembly.ChainName, FilterConfig: config,
	}, nil
}

func packed(doc map[string]any) (*anypb.Any, error) {
	s, err := bootstrap.Struct(doc)
	if err != nil {
		return nil, err
	}
	return anypb.New(s)
}

// module is never unloaded: Go cannot be. A path goes before the name; but Envoy 1.38 goes by the name in routes.
func module(d *v1alpha1.DynamicModules) *modulev3.DynamicModuleConfig {
	m := &modulev3.DynamicModuleConfig{Name: d.Name, DoNotClose: true}
	if d.LibraryPath != "" {
		m.Module = &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{
			Local: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: d.LibraryPath}},
		}}
	}
	return m
}

func extProcServer(x *v1alpha1.ExtProc) *bootstrap.ExtProc {
	b := &bootstrap.ExtProc{
		Server: x.Address, FailOpen: x.FailOpen, MessageTimeout: x.MessageTimeout, MaxMessageTimeout: x.MaxMessageTimeout,
		Attributes: texted(
			filter.AttrRequestID, filter.AttrProtocol, filter.AttrSourceAddress, filter.AttrDestinationAddress,
			filter.AttrRouteName, filter.AttrVirtualHostName, filter.AttrClusterName),
		Response: texted(filter.AttrCodeDetails, filter.AttrResponseFlags, filter.AttrUpstreamAddress),
	}
	if t := x.TLS; t != nil {
		b.TLS, b.CA, b.Cert, b.Key = true, t.CAFile, t.CertFile, t.KeyFile
	}
	return b
}

func texted(attributes ...filter.Attr) (s []string) {
	for _, a := range attributes {
		s = append(s, string(a))
	}
	return s
}

func extProcCluster(x *v1alpha1.ExtProc) (*clusterv3.Cluster, error) {
	return extProcServer(x).Cluster(clusterName(x))
}

func clusterName(x *v1alpha1.ExtProc) string { return "moe-extproc|" + x.Address }

func extProcFilter(x *v1alpha1.ExtProc, doc *document.Document, part *bootstrap.Part) (proto.Message, error) {
	metadata, err := configMetadata(doc)
	if err != nil {
		return nil, err
	}
	b := extProcServer(x)
	b.Mode = processingMode(doc)
	f := b.Filter(clusterName(x), part)
	f.GrpcService.InitialMetadata = append(f.GrpcService.InitialMetadata, metadata...)
	return f, nil
}

func configMetadata(doc *document.Document) ([]*corev3.HeaderValue, error) {
	raw := doc.Data()
	if _, err := bootstrap.Struct(raw); err != nil { // whose errors have the path
		return nil, err
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return nil, err
	}
	for _, c := range text {
		if c >= 0x7f {
			return asciiMetadata(text)
		}
	}
	return []*corev3.HeaderValue{{Key: host.ExtProcConfigKey, Value: string(text)}}, nil
}

// asciiMetadata escapes what is not ASCII: a header can hold nothing else for sure.
func asciiMetadata(text []byte) ([]*corev3.HeaderValue, error) {
	var b []byte
	for _, r := range string(text) {
		switch {
		case r < 0x7f:
			b = append(b, byte(r))
		case r > 0xffff:
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return []*corev3.HeaderValue{{Key: host.ExtProcConfigKey, Value: string(b)}}, nil
}

// processingMode has Envoy send what the plugins of doc that are on need, and those of its consumers.
func processingMode(doc *document.Document) *extprocv3.ProcessingMode {
	var on []*filter.Registration
	add := func(plugins []document.Plugin) {
		for i := range plugins {
			if reg := filter.Lookup(plugins[i].Name); reg != nil && !plugins[i].Off() {
				on = append(on, reg)
			}
		}
	}
	add(doc.Plugins)
	for i := range doc.Consumers {
		add(doc.Consumers[i].Plugins)
	}
	return processing.ModeFor(on, doc.Debug != nil)
}
