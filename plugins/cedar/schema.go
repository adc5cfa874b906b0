package cedar

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/reload"
)

// checks reads the schema, nil if there is none.
func (p *Cedar) checks(files []reload.File) (*validate.Validator, error) {
	name, text, found := "schema", []byte(p.Schema), p.Schema != ""
	for _, f := range files {
		if p.SchemaFile != "" && f.Path == p.SchemaFile {
			name, text, found = f.Path, f.Data, true
		}
	}
	if !found {
		if p.SchemaFile != "" {
			return nil, fmt.Errorf("schemaFile: %s is not a file", p.SchemaFile)
		}
		return nil, nil
	}
	var v *validate.Validator
	err := guard.Do(func() error {
		var s schema.Schema
		read := s.UnmarshalCedar
		if strings.HasSuffix(name, ".json") || strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
			read = s.UnmarshalJSON
		}
		if err := read(text); err != nil {
			return err
		}
		resolved, err := s.Resolve()
		if err == nil {
			v = validate.New(resolved)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// check holds policies and entities against the schema.
func (r *rules) check() error {
	if r.checks == nil {
		return nil
	}
	var errs []error
	for id, policy := range r.policies.All() {
		if err := guard.Do(func() error { return r.checks.Policy(string(id), (*ast.Policy)(policy.AST())) }); err != nil {
			errs = append(errs, fmt.Errorf("policy %s does not keep to the schema: %w", id, err))
		}
	}
	if err := guard.Do(func() error { return r.checks.Entities(r.entities) }); err != nil {
		errs = append(errs, fmt.Errorf("entities: %w", err))
	}
	return errors.Join(errs...)
}
