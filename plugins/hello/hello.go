// Package hello adds a header to every response.
package hello

import (
	"embed"
	"fmt"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

// Hello sets one header of each response, those that other plugins made included if they come after this one.
type Hello struct {
	// Header is the name of the header.
	Header string `json:"header" default:"x-extproc-hello"`
	// Value is its value.
	Value string `json:"value" default:"Hello from ext_proc"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[Hello]("hello", filter.Transform, filter.Docs(docs)) }

// Validate refuses a header that no response can have.
func (p *Hello) Validate() error {
	if err := fieldname.Check(p.Header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	switch {
	case p.Value == "":
		return fmt.Errorf("value: must not be empty, not every host can send an empty header")
	case !fieldname.ValidValue(p.Value):
		return fmt.Errorf("value: a header cannot hold a line break or a zero byte")
	}
	return nil
}

// Provision has the name in lower case once, not for each response.
func (p *Hello) Provision(*filter.Env) error {
	p.Header = strings.ToLower(p.Header)
	return nil
}

// OnResponseHeaders sets the header.
func (p *Hello) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Set(p.Header, p.Value)
	return filter.Continue
}
