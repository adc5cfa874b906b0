package probes

import (
	"errors"
	"strings"

	"mosn.io/moe/framework/filter"
)

func init() {
	filter.Register[Probe]("probe", filter.Transform)
	filter.Register[Change]("probechange", filter.Transform, filter.ChangesBody())
	filter.Register[Authn]("probeauthn", filter.Authn)
	filter.Register[Whole]("probewhole", filter.Transform)
	filter.Register[Headers]("probeheaders", filter.Transform)
	filter.Register[Request]("proberequest", filter.Transform)
	filter.Register[Response]("proberesponse", filter.Transform)
	filter.Register[Bodies]("probebody", filter.Transform)
	filter.Register[Trailers]("probetrailers", filter.Transform)
	filter.Register[Complete]("probecomplete", filter.Transform)
	filter.RegisterPerStream("probestream", filter.Transform, (*PerStream).newStream)
	filter.Register[Control]("probecontrol", filter.Access)
	filter.Register[Key]("probekey", filter.Authn)
	filter.Register[Config]("probeconfig", filter.Transform)
	filter.Register[Setter]("probesetter", filter.Transform)
	filter.Register[Prompt]("probeprompt", filter.Transform, filter.Needs(filter.CanPipePromptly))
	filter.Register[Caller]("probecallouts", filter.Transform, filter.Needs(filter.CanCallout))
	filter.Register[Prompt]("probesecrets", filter.Transform, filter.Needs(filter.CanReadSecret))
}

// Scripts is the configuration that all scripted probes share.
type Scripts struct {
	// On has a script by phase; doc.go says what one may hold.
	On map[string]string `json:"on"`

	engine
}

// Validate checks the scripts.
func (b *Scripts) Validate() error {
	_, err := parse(b.On)
	return err
}

// Provision declares the metrics and runs the provision script, which knows panic, fail and background.
func (b *Scripts) Provision(env *filter.Env) error {
	b.env = env
	b.scripts, _ = parse(b.On)
	b.counter = env.Tag("kind").Counter("events")
	b.gauge = env.Tag("kind").Gauge("level")
	b.histogram = env.Tag("kind").Histogram("size")
	for _, c := range b.scripts["provision"] {
		switch c[0] {
		case "panic":
			panic(strings.Join(c[1:], " "))
		case "fail":
			return errors.New(strings.Join(c[1:], " "))
		case "background":
			background(&run{e: &b.engine}, c[1:])
		}
	}
	Live.Provisioned.Add(1)
	return nil
}

// Close counts.
func (b *Scripts) Close() error {
	Live.Closed.Add(1)
	return nil
}

// complete runs the completion script and notes a second completion of one stream.
func (b *Scripts) complete(s filter.Stream) {
	if !traceOf(s).done(b.name()) {
		Live.Twice.Add(1)
	}
	b.call(run{s: s, phase: "complete"})
}

func (b *Scripts) requestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	return b.call(run{s: s, phase: "request_headers", block: h.Headers, end: end})
}

func (b *Scripts) responseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	return b.call(run{s: s, phase: "response_headers", block: h.Headers, end: end})
}

func (b *Scripts) bodyPhase(s filter.Stream, phase string, body filter.Body, end bool) filter.Action {
	return b.call(run{s: s, phase: phase, body: body, end: end})
}

func (b *Scripts) trailers(s filter.Stream, phase string, t filter.Headers) filter.Action {
	return b.call(run{s: s, phase: phase, block: t, end: true})
}

func (b *Scripts) whole(s filter.Stream, phase string, h filter.Headers, body filter.Body) filter.Action {
	return b.call(run{s: s, phase: phase, block: h, body: body, end: body.Complete()})
}
