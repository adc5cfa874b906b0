// Package filter is what the author of an HTTP filter imports. It knows no host and needs no cgo.
//
// The configuration struct is the plugin. It implements the phases it needs (OnRequestHeaders, OnResponse, …) and is
// registered by name in an init function; its fields, their tags and doc comments are the schema and the manual.
//
//   - To register: [Register] or [RegisterPerStream], with an [Option] such as [Needs].
//   - To set up: [Validator], [Provisioner], [Merger], [Env]; fields of [Secret], [Size]; [Shared].
//   - To act: the phases, [RequestHeadersHandler] to [CompleteHandler].
//   - To decide: an [Action], such as [Continue], [Reply], [Fail] or [Reset].
//   - To wait: [WaitBody] or [WaitPrefix] for a body, [Go] for all else, [Pipe].
//   - To change a message: [RequestHeaders], [ResponseHeaders], [Headers], [Body].
//   - To know the stream: [Stream] and its [Attr]; [Key] for what plugins share.
//   - To know who calls: [WithCredential], [IndexConsumers], [Consumer], [Unauthenticated], [HeaderOwner].
//   - To count: [Counter], [Gauge] and [Histogram]; [Tagged] where they have a tag.
//   - To depend on what not every host can do: [Capability], and [ErrUnsupported].
package filter
