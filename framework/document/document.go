// Package document declares what a chain is configured by. The structs here, their tags and their comments are the one
// place that says which fields there are: decoding, merging, the JSON Schema, moe.yaml, FilterPolicy and the printer of
// Envoy configurations derive from them. "How to add a document field" in docs/design.md says what else a field needs.
//
// schema.json is written by `go run ./internal/cmd/schemagen`.
package document

import (
	"cmp"
	"maps"
	"net/netip"
	"reflect"
	"time"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// Document configures the chain of a filter.
type Document struct {
	Route
	// GenericSecrets lists the generic secrets of Envoy's that the plugins may ask for.
	GenericSecrets []GenericSecret `json:"generic_secrets"`
	// Stages are those whose plugins the filter runs, where several filters of a listener share a chain so that filters of
	// Envoy's own can stand in between; all by default. Those filters have the same document but for this field, and
	// each stage is one filter's. Plugins must run in the order of stages.
	Stages []string `json:"stages" enum:"access,authn,authz,traffic,transform,observe" validate:"unique"`
}

// Route is what a route may say about the chain: everything but what belongs to the whole filter. It is merged over the
// filter's document.
type Route struct {
	// Plugins of the chain. Those of a route are merged over the filter's by id; new ones come after them.
	Plugins []Plugin `json:"plugins"`
	// Consumers says who may call. Those of a route are merged over the filter's by name.
	Consumers []Consumer `json:"consumers"`
	// ConsumerSource names files with more consumers; the files are watched.
	ConsumerSource *Source `json:"consumerSource"`
	// Order runs plugins in the order of their stages (access, authn, authz, traffic, transform, observe), or as listed.
	Order Order `json:"order" enum:"stage,listed" absent:"stage"`
	// Timeout is how long a plugin may hold a stream before it is answered with 504.
	Timeout time.Duration `json:"timeout" absent:"30s"`
	// Authentication says what is enough where several plugins authenticate: each must find a credential, all of one
	// consumer, or one is enough.
	Authentication Authentication `json:"authentication" enum:"all,any" absent:"all"`
	// ConsumerHeader is the request header that tells the upstream the consumer's name; none by default. What a client
	// sends in it is removed.
	ConsumerHeader string `json:"consumerHeader"`
	// Traces says what of a stream is in its trace: nothing but what plugins add (off), what plugins do as events of the
	// stream's span (stream), or also a span for each phase of each plugin (phases). Without it, it is stream where MoE exports
	// traces itself, by OTEL_… variables, and off in Envoy's traces.
	Traces Traces `json:"traces" enum:"off,stream,phases"`
	// TraceSampling is the part of the traces in which phases have spans, from 0 to 1.
	TraceSampling *float64 `json:"traceSampling" validate:"omitempty,min=0,max=1" absent:"1"`
	// Metrics says what is counted beside what every plugin counts: nothing more (basic), or for each phase of each plugin
	// calls, replies, errors, what is under way and how long it takes (phases). By default that is phases out of process, and
	// basic in Envoy's.
	Metrics Metrics `json:"metrics" enum:"basic,phases"`
	// Debug shows what the plugins do with chosen requests; by default nothing is shown. That of a route replaces the
	// filter's.
	Debug *Debug `json:"debug"`
}

// Debug says which requests are shown, and how. At least one of serverTiming, record and slow shows something.
type Debug struct {
	// When says which requests are chosen; one of its ways is enough.
	When DebugWhen `json:"when"`
	// ServerTiming adds a Server-Timing header to the responses of requests that were chosen by token or header. It names
	// the plugins that have run, and says how long each took.
	ServerTiming bool `json:"serverTiming"`
	// Record logs chosen requests: which plugins ran, in which order, what each changed (headers by name, and sizes), how
	// long it took and what it waited for.
	Record bool `json:"record"`
	// Slow logs, as a warning, every request whose plugins have taken as long together, with what they waited for calls of
	// their own. By default no request is too slow.
	Slow time.Duration `json:"slow"`
}

// DebugWhen says which requests are chosen.
type DebugWhen struct {
	// Token chooses requests that bring a signed token; `moe debug token` makes them.
	Token *DebugToken `json:"token"`
	// Header chooses requests that have a header and come from networks that are allowed to ask.
	Header *DebugHeader `json:"header"`
	// Sample is the share of all requests that is chosen by chance, from 0 to 1.
	Sample float64 `json:"sample"`
}

// DebugToken says what tokens are valid.
type DebugToken struct {
	// Header is the request header with the token. It does not reach plugins and upstreams.
	Header string `json:"header" default:"x-moe-debug"`
	// Key is the secret that tokens are signed with, of 16 bytes at least.
	Key config.SecretRef `json:"key"`
}

// DebugHeader says who may ask with a header.
type DebugHeader struct {
	// Name of the request header. Its value does not matter.
	Name string `json:"name"`
	// Networks that requests with the header may come from, by the client's address as Envoy determines it.
	Networks []netip.Prefix `json:"networks"`
}

// Plugin is an entry of a chain.
type Plugin struct {
	// Name of the plugin. An entry that changes one of the document below may give its id alone.
	Name string `json:"name"`
	// ID tells entries apart that use one plugin; it is the name by default. Documents merge by it.
	ID string `json:"id"`
	// Config is the plugin's configuration.
	Config map[string]any `json:"config"`
	// Disabled leaves the plugin out; false brings back one that the document below has left out.
	Disabled *bool `json:"disabled"`
	// LogLevel is the lowest level of the plugin's lines that are logged, be it lower or higher than the host's; by default
	// it is the host's. Lines below the level of Envoy's log are written at that level and say their own.
	LogLevel LogLevel `json:"logLevel" enum:"trace,debug,info,warn,error,off"`
	// LogRepeats is how many of the plugin's lines with one message, at info and above, are logged in ten seconds; the others
	// are counted, and a line says how many they were. 0 removes the limit.
	LogRepeats *int `json:"logRepeats" validate:"omitempty,min=0" absent:"100"`
}

// LogLevel is the lowest level that is logged; an empty one is the host's.
type LogLevel string

// EntryID returns p's ID, or its name if it has none.
func (p *Plugin) EntryID() string { return cmp.Or(p.ID, p.Name) }

// Off reports whether p is disabled.
func (p *Plugin) Off() bool { return p.Disabled != nil && *p.Disabled }

// Consumer is somebody who may call.
type Consumer struct {
	// Name of the consumer, unique among all.
	Name string `json:"name" validate:"required"`
	// Labels are what is known of the consumer, for authorization.
	Labels map[string]string `json:"labels"`
	// Groups that the consumer is in.
	Groups []string `json:"groups"`
	// Attributes are whatever else is known of the consumer.
	Attributes map[string]any `json:"attributes"`
	// Credentials are what the consumer proves itself with, by the name of the plugin that asks for it.
	Credentials map[string]map[string]any `json:"credentials"`
	// Plugins that are merged over the chain's for requests of the consumer.
	Plugins []Plugin `json:"plugins"`
}

// Source is where more consumers come from.
type Source struct {
	// Path of a file, or of a directory with .json, .yaml and .yml files.
	Path string `json:"path" validate:"required"`
	// Poll is how often the files are looked at.
	Poll time.Duration `json:"poll" default:"1s"`
}

// GenericSecret is one of Envoy's generic secrets, with the fields of Envoy's SdsSecretConfig.
type GenericSecret struct {
	// Name of the secret.
	Name string `json:"name" validate:"required"`
	// SDSConfig says where Envoy gets it from: a config.core.v3.ConfigSource. Without it the secret is a static one of
	// Envoy's bootstrap.
	SDSConfig map[string]any `json:"sds_config"`
}

// Order is the order in which the plugins of a chain run.
type Order string

// The orders; an empty one is ByStage.
const (
	ByStage  Order = "stage"
	AsListed Order = "listed"
)

// Traces says how much of a stream is in its trace; an empty one depends on who makes the trace.
type Traces string

// Metrics says how much is counted; an empty one depends on the host.
type Metrics string

// The kinds of metrics.
const (
	BasicMetrics Metrics = "basic"
	PhaseMetrics Metrics = "phases"
)

// Authentication says when a stream counts as authenticated.
type Authentication string

// The kinds of authentication; an empty one is AllSchemes.
const (
	AllSchemes Authentication = "all"
	AnyScheme  Authentication = "any"
)

// GenericSecretsField is the name of [Document.GenericSecrets] in a document.
const GenericSecretsField = "generic_secrets"

// Stages are the names of the stages in which plugins run, in order.
var Stages = func() (names []string) {
	for s := filter.Access; s <= filter.Observe; s++ {
		names = append(names, s.String())
	}
	return names
}()

// WithStages returns doc, as it was parsed, for a filter that runs the plugins of these stages.
func WithStages(doc map[string]any, stages []string) map[string]any {
	list := make([]any, len(stages))
	for i, s := range stages {
		list[i] = s
	}
	doc = maps.Clone(doc)
	doc[StagesField] = list
	return doc
}

// StagesField is the name of [Document.Stages] in a document.
const StagesField = "stages"

// Fields returns the names of the fields of a filter's document.
func Fields() []string { return config.Names(reflect.TypeFor[Document]()) }

// RouteFields returns the names of the fields of a route's document.
func RouteFields() []string { return config.Names(reflect.TypeFor[Route]()) }

// Decode decodes generic data as [config.Parse] returns it. Fields that are absent stay zero, so that the document can be
// merged over another. It checks fields and types, not that the document is complete. The error is a config.Errors; d
// has what could be decoded.
func Decode(data any, d *Document) error { return (&config.Decoder{Partial: true}).Decode(data, d) }

// Data returns d as generic data, as [Decode] takes it. It shares the plugins' configurations with d.
func (d *Document) Data() map[string]any {
	m, err := config.Encode(d)
	if err != nil {
		panic(err) // the types above all have a plain form, which a test shows
	}
	return m
}
