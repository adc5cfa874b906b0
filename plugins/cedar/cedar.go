// Package cedar lets requests pass that Cedar policies permit.
package cedar

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/reload"
)

// Cedar denies the requests that no policy permits, and those that a policy forbids.
type Cedar struct {
	// Policies are the policies, in Cedar's language.
	Policies string `json:"policies"`
	// PolicyFiles are files with more of them, or directories of files that are named *.cedar.
	PolicyFiles []string `json:"policyFiles"`
	// Entities are what policies know of users, groups, resources and so on, as Cedar's JSON has them.
	Entities []any `json:"entities"`
	// EntityFiles are files of JSON with more of them, or directories of files that are named *.json.
	EntityFiles []string `json:"entityFiles"`
	// Schema is what policies and entities must keep to, in Cedar's language or as JSON.
	Schema string `json:"schema"`
	// SchemaFile is a file with it instead: JSON if it is named *.json.
	SchemaFile string `json:"schemaFile"`
	// Subject says who a request is from: the id of the principal.
	Subject authz.Subject `json:"subject"`
	// PrincipalType is the type of principals.
	PrincipalType string `json:"principalType" default:"User"`
	// GroupType is the type of the groups that the consumer is in.
	GroupType string `json:"groupType" default:"Group"`
	// ActionType is the type of actions; the id is the request's method.
	ActionType string `json:"actionType" default:"Action"`
	// ResourceType is the type of resources; the id is the request's path.
	ResourceType string `json:"resourceType" default:"Path"`
	// Path says how policies see the path.
	Path authz.Path `json:"path"`
	// Metadata lists the values of dynamic metadata that policies may use.
	Metadata []authz.Metadata `json:"metadata"`
	authz.Common
	reload.Files

	rules atomic.Pointer[rules]
}

// rules are the policies and entities as they are now.
type rules struct {
	policies *cedar.PolicySet
	n        int
	entities cedar.EntityMap
	uses     uses
	checks   *validate.Validator // nil without a schema
}

// uses tells which parts of a request the policies mention, so that others need not be made.
type uses struct{ headers, query, metadata, attributes, source bool }

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[Cedar]("cedar", filter.Authz, filter.Docs(docs)) }

// Validate parses what is inline.
func (p *Cedar) Validate() error {
	errs := []error{p.Files.Validate(), p.Subject.Validate()}
	if p.Policies == "" && len(p.PolicyFiles) == 0 {
		errs = append(errs, errors.New("policies: is required, or policyFiles"))
	}
	if p.Schema != "" && p.SchemaFile != "" {
		errs = append(errs, errors.New("schema: schema and schemaFile are mutually exclusive"))
	}
	for _, t := range []struct {
		field, value string
	}{
		{"principalType", p.PrincipalType},
		{"groupType", p.GroupType},
		{"actionType", p.ActionType},
		{"resourceType", p.ResourceType},
	} {
		if !isType(t.value) {
			errs = append(errs, fmt.Errorf("%s: expected the name of a type, as User or App::User", t.field))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if p.SchemaFile != "" {
		return nil // what is inline is checked with the file
	}
	_, err := p.parse(nil)
	return err
}

// isType reports whether name is a path of identifiers.
func isType(name string) bool {
	for part := range strings.SplitSeq(name, "::") {
		for i, c := range part {
			if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
				return false
			}
		}
		if part == "" {
			return false
		}
	}
	return true
}

// Provision reads the files and goes on to follow them.
func (p *Cedar) Provision(env *filter.Env) error {
	p.Start(env)
	paths := append(append([]string{}, p.PolicyFiles...), p.EntityFiles...)
	if p.SchemaFile != "" {
		paths = append(paths, p.SchemaFile)
	}
	return p.Follow(env, []string{".cedar", ".json"}, paths, func(files []reload.File) error {
		r, err := p.parse(files)
		if err == nil {
			p.rules.Store(r)
		}
		return err
	})
}

// parse makes rules of what is inline and of files.
func (p *Cedar) parse(files []reload.File) (*rules, error) {
	r := &rules{policies: cedar.NewPolicySet(), entities: cedar.EntityMap{}}
	var err error
	if r.checks, err = p.checks(files); err != nil {
		return nil, err
	}
	if err := r.addPolicies("policies", []byte(p.Policies)); err != nil {
		return nil, err
	}
	if len(p.Entities) > 0 {
		data, err := json.Marshal(p.Entities)
		if err != nil {
			return nil, fmt.Errorf("entities: %w", err)
		}
		if err := r.addEntities("entities", data); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		switch {
		case f.Path == p.SchemaFile:
		case p.is(p.EntityFiles, f.Path) && !strings.HasSuffix(f.Path, ".cedar"):
			err = r.addEntities(f.Path, f.Data)
		case p.is(p.PolicyFiles, f.Path) && !strings.HasSuffix(f.Path, ".json"):
			err = r.addPolicies(f.Path, f.Data)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

// is reports whether a file is one of paths, or below one.
func (p *Cedar) is(paths []string, file string) bool {
	for _, path := range paths {
		if file == path || strings.HasPrefix(file, strings.TrimSuffix(path, "/")+"/") {
			return true
		}
	}
	return false
}

func (r *rules) addPolicies(name string, data []byte) error {
	list, err := cedar.NewPolicyListFromBytes(name, data)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, policy := range list {
		id := cedar.PolicyID(policy.Annotations()["id"])
		if id == "" {
			id = cedar.PolicyID(fmt.Sprintf("%s:%d", name, policy.Position().Line))
			for i := 2; r.policies.Get(id) != nil; i++ {
				id = cedar.PolicyID(fmt.Sprintf("%s:%d#%d", name, policy.Position().Line, i))
			}
		}
		if !r.policies.Add(id, policy) {
			return fmt.Errorf("%s:%d: two policies have the id %s", name, policy.Position().Line, id)
		}
		r.n++
	}
	text := string(data)
	r.uses.headers = r.uses.headers || strings.Contains(text, "headers")
	r.uses.query = r.uses.query || strings.Contains(text, "query")
	r.uses.metadata = r.uses.metadata || strings.Contains(text, "metadata")
	r.uses.source = r.uses.source || strings.Contains(text, ".source") || strings.Contains(text, `"source"`)
	r.uses.attributes = r.uses.attributes || strings.Contains(text, "attributes")
	return nil
}

func (r *rules) addEntities(name string, data []byte) error {
	var m cedar.EntityMap
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for uid, e := range m {
		if _, ok := r.entities[uid]; ok {
			return fmt.Errorf("%s: duplicate entity %s", name, uid)
		}
		r.entities[uid] = e
	}
	return nil
}

// many is how many policies are too many to look at on Envoy's thread: one costs about half a microsecond.
const many = 100

// OnRequestHeaders asks the policies.
func (p *Cedar) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, err := p.Path.Request(s, h)
	rules := p.rules.Load()
	if rules.n > many {
		return p.AskLater(&r, err, func(context.Context) authz.Verdict { return p.ask(rules, &r) })
	}
	return p.Ask(&r, err, func() authz.Verdict { return p.ask(rules, &r) })
}

func (p *Cedar) ask(rules *rules, r *authz.Request) authz.Verdict {
	subject, err := p.Subject.Name(&p.Mode, r)
	if err != nil {
		return authz.Fail(err)
	}
	if subject == "" {
		return authz.NoSubject
	}
	world, err := p.world(rules, r, subject)
	if err != nil {
		return authz.Fail(err)
	}
	if world == nil {
		return authz.Verdict{Reason: "the path has too many segments"}
	}
	decision, diagnostic := cedar.Authorize(rules.policies, world, world.request)
	if decision != cedar.Allow {
		return authz.Verdict{Reason: reasons(diagnostic)}
	}
	for _, e := range diagnostic.Errors {
		if policy := rules.policies.Get(e.PolicyID); policy == nil || policy.Effect() == cedar.Forbid {
			return authz.Fail(fmt.Errorf("the policy %s, which may forbid this, fails", e.PolicyID))
		}
	}
	return authz.Allow
}

// reasons names the policies that forbid, or those that could not be asked. What they say of values is left out.
func reasons(d cedar.Diagnostic) string {
	var ids []string
	what := "forbidden by "
	for _, r := range d.Reasons {
		ids = append(ids, string(r.PolicyID))
	}
	if ids == nil {
		what = "not permitted; these policies fail: "
		for _, e := range d.Errors {
			ids = append(ids, string(e.PolicyID))
		}
	}
	if ids == nil {
		return "not permitted"
	}
	if len(ids) > 5 {
		ids = append(ids[:5], "…")
	}
	return what + strings.Join(ids, ", ")
}
