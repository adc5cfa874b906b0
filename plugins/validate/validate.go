// Package validate holds requests and responses against an OpenAPI document or JSON Schemas.
package validate

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/reload"
)

// Validate refuses requests, and replaces responses, that are not as a contract says.
type Validate struct {
	// OpenAPI is the file of an OpenAPI document, 3.0 or 3.1, in YAML or JSON. It is read again when it changes.
	OpenAPI string `json:"openapi"`
	// OpenAPIDocument is the document itself, in place of a file.
	OpenAPIDocument map[string]any `json:"openapiDocument"`
	// BasePath is what comes before the paths of the document, such as /v1. The servers in the document are not looked at.
	BasePath string `json:"basePath"`
	// UnknownPaths says what becomes of requests whose path or method is not in the document.
	UnknownPaths string `json:"unknownPaths" default:"refuse" enum:"refuse,pass"`
	// Responses has the responses held against the document, too.
	Responses bool `json:"responses"`
	// Request says what the bodies of requests must be, without an OpenAPI document or beside one.
	Request *Message `json:"request"`
	// Response says what the bodies of responses must be.
	Response *Message `json:"response"`
	// Formats has the keyword format assert something in JSON Schemas and OpenAPI 3.1; by itself it is a comment.
	Formats bool `json:"formats"`
	// MaxBody is how long a body may be that is validated. It is held in memory.
	MaxBody filter.Size `json:"maxBody" default:"1MiB"`
	// MaxErrors is how many errors a reply lists.
	MaxErrors int `json:"maxErrors" default:"10" validate:"min=0,max=100"`
	// Status is that of the reply to a request that is not valid.
	Status int `json:"status" default:"400" validate:"min=400,max=499"`
	// Shadow refuses nothing, and only counts, logs and notes in metadata what is not valid: a dry run.
	Shadow bool `json:"shadow"`
	reload.Files

	name     string
	ns       string
	metadata bool
	rules    atomic.Pointer[rules]
	counts   counts
}

// Message says what a body must be.
type Message struct {
	// Schema is a JSON Schema, of draft 4 or newer, 2020-12 if it does not say. A body that is validated is JSON.
	Schema any `json:"schema"`
	// SchemaFile is a file with the schema, in JSON or YAML. It is read again when it changes.
	SchemaFile string `json:"schemaFile"`
	// ContentTypes are the media types that a body may have, such as application/json, text/* or application/*+json.
	ContentTypes []string `json:"contentTypes"`
	// MaxSize is how many bytes a body may have. One that is not held against a schema is not held in memory.
	MaxSize filter.Size `json:"maxSize"`
	// Required refuses a message without a body.
	Required bool `json:"required"`
}

type counts struct {
	valid, invalid, shadowed *filter.Tagged[*filter.Counter]
}

// rules are what messages are held against, as files and configuration are now.
type rules struct {
	api      *api // nil: no OpenAPI document
	messages [2]*message
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("validate", filter.Traffic, (*Validate).newStream, filter.Docs(docs))
}

// Validate checks what tags cannot say, and compiles what needs no file.
func (p *Validate) Validate() error {
	errs := []error{p.Files.Validate()}
	if p.OpenAPI != "" && p.OpenAPIDocument != nil {
		errs = append(errs, errors.New("openapiDocument: openapi and openapiDocument are mutually exclusive"))
	}
	if p.OpenAPI == "" && p.OpenAPIDocument == nil {
		if p.Request == nil && p.Response == nil {
			errs = append(errs, errors.New("openapi: give openapi, openapiDocument, request or response"))
		}
		if p.Responses {
			errs = append(errs, errors.New("responses: needs openapi or openapiDocument"))
		}
	}
	if p.MaxBody < 1 || p.MaxBody > 1<<30 {
		errs = append(errs, errors.New("maxBody: must be between 1 and 1GiB"))
	}
	for d, m := range p.messages() {
		errs = append(errs, in(directions[d], m.check()))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := p.compile(nil)
	return err
}

// in puts a field before an error.
func in(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s.%w", field, err)
}

// directions are the fields of the messages, and how metrics call them.
var directions = [2]string{"request", "response"}

func (p *Validate) messages() [2]*Message { return [2]*Message{p.Request, p.Response} }

// SkipsPhase is that of filter.PhaseSkipper: responses pass by what has nothing to say about them.
func (p *Validate) SkipsPhase(method string) bool {
	return strings.HasPrefix(method, "OnResponse") && p.Response == nil && !p.Responses
}

// Provision reads the files and goes on to follow them.
func (p *Validate) Provision(env *filter.Env) error {
	p.name, p.ns, p.metadata = env.Plugin, "moe."+env.ID, env.Has(filter.CanSetMetadata)
	tag := env.Tag("direction")
	p.counts = counts{valid: tag.Counter("valid"), invalid: tag.Counter("invalid"), shadowed: tag.Counter("shadow_invalid")}
	var paths []string
	if p.OpenAPI != "" {
		paths = append(paths, p.OpenAPI)
	}
	for _, m := range p.messages() {
		if m != nil && m.SchemaFile != "" {
			paths = append(paths, m.SchemaFile)
		}
	}
	return p.Follow(env, nil, paths, func(files []reload.File) error {
		r, err := p.compile(files)
		if err == nil {
			p.rules.Store(r)
		}
		return err
	})
}

// compile makes rules of the configuration and its files. Without files, what they hold is left out.
func (p *Validate) compile(files []reload.File) (r *rules, err error) {
	r = &rules{}
	file := func(path string) []byte {
		for _, f := range files {
			if f.Path == path {
				return f.Data
			}
		}
		return nil
	}
	var errs []error
	switch text := file(p.OpenAPI); {
	case p.OpenAPIDocument != nil:
		r.api, err = newAPI(p.OpenAPIDocument, p)
		errs = append(errs, in2("openapiDocument", err))
	case p.OpenAPI != "" && text != nil:
		document, err := parse(text)
		if err == nil {
			r.api, err = newAPI(document, p)
		}
		errs = append(errs, in2("openapi", err))
	}
	for d, m := range p.messages() {
		if m == nil {
			continue
		}
		c := &message{Message: m}
		schema := m.Schema
		field := directions[d] + ".schema"
		if text := file(m.SchemaFile); m.SchemaFile != "" && text != nil {
			field = directions[d] + ".schemaFile"
			schema, err = parse(text)
			errs = append(errs, in2(field, err))
		}
		if schema != nil {
			c.schema, err = compileSchema(schema, p.Formats)
			errs = append(errs, in2(field, err))
		}
		r.messages[d] = c
	}
	return r, errors.Join(errs...)
}

// in2 puts a field and a colon before an error.
func in2(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}
