// Package framework is the root of MoE's filter framework. It holds no code; this page is where its packages and its
// words are explained.
//
// # Packages
//
// An event travels from left to right, and a decision travels back:
//
//	Envoy ↔ host ↔ chain ↔ plugin
//
// The packages, beginning at the plugin:
//
//   - filter is what the author of an HTTP filter imports.
//   - accesslog is what the author of an access logger imports.
//   - bootstrap is what the author of a bootstrap extension imports.
//   - certvalidator is what the author of a certificate validator imports.
//   - network is what the author of a network filter imports.
//   - listener is what the author of a listener filter imports.
//   - udp is what the author of a UDP filter imports.
//   - extension is what every kind of extension shares: secrets, sizes, metrics, lifecycle, registration.
//   - chain runs one stream through a list of plugins.
//   - metrics reads what the process has counted.
//   - telemetry lets chains and plugins take part in traces; telemetry/otlp exports those of the process.
//   - debugview shows what the plugins of a chain do with chosen requests.
//   - document is the configuration of a chain: one struct, from which its schema and its merge derive.
//   - config decodes, defaults, validates and merges any struct; it knows no document and no filter.
//   - assembly turns documents into provisioned plugins and chains.
//   - host/dynmod, host/golang and host/extproc connect chains with Envoy; filtertest does the same in memory.
//   - nethttp runs net/http middleware as a plugin.
//   - mosn runs stream filters and network filters of MOSN as a plugin and as a network filter.
//   - vet finds what the compiler allows and a plugin should not do.
//
// docs/design.md explains how they work together. internal/importcheck holds the map of who may import whom.
//
// # Glossary
//
// Code, comments, errors and documents use these words, and use each of them for one thing only.
//
// Words about one request:
//
//   - Stream: one request and its response. A plugin sees it as filter.Stream, the chain as chain.Stream. Other objects
//     that accompany a stream are named after what they are: a host's is an envoyStream, an instance or a handle, and C
//     code calls its own a filter instance.
//   - Event: what a host feeds into a chain, namely the headers, a piece of the body, or the trailers of one direction.
//   - Direction: the request's way through the chain, or the response's.
//   - Phase: a method of a plugin that the chain calls for an event, or for a whole message, or at the end.
//   - Position: the place of a plugin in the order of one direction. The response passes the plugins in reverse, so its
//     position 0 is the last plugin of the chain.
//   - Index: the place of a plugin in the order of the chain. Position and index have types of their own.
//   - Run: the loop that carries what is in flight from plugin to plugin until a plugin waits or the end of the chain is
//     reached. Ending a run is the last step of that loop. The panic fence, which turns a panic of the framework or of a
//     plugin into an answer, is a function around it.
//   - Suspend, resume: a direction waits for a plugin, and goes on when the plugin's result is there.
//   - Hold: a plugin keeps the headers back until it has the body (WaitBody, WaitPrefix). Hold has no other meaning.
//   - Reply: an answer that a plugin or the framework gives in place of the upstream's.
//   - Observation: what an observer of a stream learns: that a phase or a wait begins or ends, a reply, a time-out, a
//     panic, a reset. Traces and metrics are made of observations.
//   - Sink: what takes the events and replies that leave a chain. Each host has one.
//   - Misuse: something a plugin did that its contract forbids, such as changing headers that it has passed on. It is
//     reported once and counted.
//   - Mark changed, clear changes: a block of headers or a body is marked changed when a plugin changes it, and its
//     changes are cleared when a host has carried them out.
//
// Words about memory:
//
//   - Life: the use of pooled memory by one stream, from start to release.
//   - Generation: the number of a life. Whatever refers to pooled memory carries the generation and compares it, so that
//     a reference that was kept too long finds nothing.
//   - Acquire, release: take a reference and drop it. Every successful acquire needs a release; the last release closes
//     what was shared.
//
// Words about configuration:
//
//   - Plugin: a registered type. Its configuration is its struct.
//   - Instance: a provisioned plugin, shared by all chains whose configuration of it is the same.
//   - Document: what an operator writes for one chain: its plugins, consumers, order and timeout.
//   - Merge: put one document or configuration over another; what the upper one says wins.
//   - Overlay: the document, or the part of one, that is merged over another.
//   - Consumer: a caller whom the operator knows by name, with credentials and perhaps plugins of its own.
//   - Consumer set: the consumers of one source, as they are at present.
//   - Consumer chain: the chain for one consumer, made by merging the consumer's overlay into a chain. It is live while
//     streams may acquire it.
//   - Switch chain: a stream goes on with its consumer's chain once the consumer is known.
//
// Questions that a host asks of a chain or a stream:
//
//   - Wants: which phases does it want to be called for?
//   - Busy: does it wait for a plugin, so that further events would only queue?
//   - HoldsBody: does a plugin keep back headers or body, so that the host must say when nothing more follows?
//   - NeedsWholeBody: for which directions may a plugin wait for the body?
//   - OffloadBuffering: may the host collect the body and hand it over in one piece? A yes has an effect: the chain stops
//     limiting that body, because the host now does.
package framework
