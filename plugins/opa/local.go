package opa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
	"go.yaml.in/yaml/v3"

	"mosn.io/moe/plugins/internal/reload"
)

// suffixes are those of the files in a directory.
var suffixes = []string{".rego", ".json", ".yaml", ".yml"}

// local is a policy that is evaluated here.
type local struct {
	strict   bool
	prepared atomic.Pointer[policy]
	once     sync.Once
	loaded   chan struct{} // closed when there is a policy
	values   cache.InterQueryValueCache
	answers  cache.InterQueryCache
}

// policy is one that is loaded.
type policy struct {
	query   *rego.PreparedEvalQuery
	address bool // it may look at the client's address
}

func newLocal(strict bool) *local {
	// Caches are for patterns, and for http.send if the policy asks for it.
	config, err := cache.ParseCachingConfig(nil)
	if err != nil {
		panic(err) // it has no configuration to be wrong
	}
	most := int64(32 << 20)
	config.InterQueryBuiltinCache.MaxSizeBytes = &most
	return &local{
		strict: strict, loaded: make(chan struct{}), answers: cache.NewInterQueryCache(config),
		values: cache.NewInterQueryValueCache(context.Background(), config),
	}
}

// use takes a policy into use.
func (l *local) use(q *rego.PreparedEvalQuery) {
	l.prepared.Store(&policy{query: q, address: usesAddress(q.Modules())})
	l.once.Do(func() { close(l.loaded) })
}

// usesAddress reports whether the policy that is loaded may look at the client's address.
func (l *local) usesAddress() bool {
	p := l.prepared.Load()
	return p != nil && p.address
}

// usesAddress reports whether modules may look at input.source, or at input.attributes with its source: they name it, or take what they look at from a variable
// or from all of input.
func usesAddress(modules map[string]*ast.Module) (uses bool) {
	for _, m := range modules {
		ast.WalkRefs(m, func(r ast.Ref) bool {
			if len(r) == 0 || !r[0].Equal(ast.InputRootDocument) {
				return false
			}
			if len(r) == 1 {
				uses = true
				return false
			}
			name, constant := r[1].Value.(ast.String)
			uses = uses || !constant || name == "source" || name == "attributes"
			return false
		})
	}
	return uses
}

var (
	errNotLoaded = errors.New("no policy is loaded yet")
	errMany      = errors.New("the policy has more than one decision")
)

// decide evaluates the policy. It waits for the first one.
func (l *local) decide(ctx context.Context, input map[string]any) (any, error) {
	select {
	case <-l.loaded:
	default:
		select {
		case <-l.loaded:
		case <-ctx.Done():
			return nil, errNotLoaded
		}
	}
	value, err := ast.InterfaceToValue(input)
	if err != nil {
		return nil, err
	}
	result, err := l.prepared.Load().query.Eval(ctx, rego.EvalParsedInput(value), rego.EvalInterQueryBuiltinCache(l.answers),
		rego.EvalInterQueryBuiltinValueCache(l.values))
	switch {
	case err != nil:
		return nil, plain(err)
	case len(result) == 0:
		return undefined{}, nil
	case len(result) > 1 || len(result[0].Expressions) != 1:
		return nil, errMany
	}
	return result[0].Expressions[0].Value, nil
}

// plain is err without the text that Rego's functions add, which may have values of the request in it: what kind of
// error it is, and where.
func plain(err error) error {
	e, ok := errorAs(err)
	switch {
	case !ok:
		return errors.New("the evaluation fails")
	case e.Location != nil:
		return fmt.Errorf("%s at %s:%d", e.Code, e.Location.File, e.Location.Row)
	}
	return errors.New(e.Code)
}

// compile prepares the query on the inline modules and data, and those of files.
func (p *OPA) compile(query string, files []reload.File) (*rego.PreparedEvalQuery, error) {
	modules, err := parseModules(p.Modules)
	if err != nil {
		return nil, err
	}
	data := map[string]any{}
	if err := merge(data, p.Data, nil); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Path, ".rego") {
			if modules[f.Path], err = ast.ParseModule(f.Path, string(f.Data)); err != nil {
				return nil, err
			}
			continue
		}
		var doc any
		if err := decode(f, &doc); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if err := merge(data, doc, p.prefix(f.Path)); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	options := []func(*rego.Rego){rego.Data(data), rego.StoreReadAST(true)}
	for _, m := range modules {
		options = append(options, rego.ParsedModule(m))
	}
	return prepare(query, p.StrictErrors, options...)
}

func prepare(query string, strict bool, options ...func(*rego.Rego)) (*rego.PreparedEvalQuery, error) {
	options = append(options, rego.Query(query), rego.StrictBuiltinErrors(strict))
	q, err := rego.New(options...).PrepareForEval(context.Background())
	if err != nil {
		return nil, err
	}
	return &q, nil
}

func parseModules(texts map[string]string) (map[string]*ast.Module, error) {
	modules := map[string]*ast.Module{}
	var errs []error
	for name, text := range texts {
		m, err := ast.ParseModule(name, text)
		if err == nil && m == nil {
			err = fmt.Errorf("modules[%q]: is empty", name)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		modules[name] = m
	}
	return modules, errors.Join(errs...)
}

// prefix returns where in the data a file belongs: the directories between the configured one and the file.
func (p *OPA) prefix(file string) []string {
	for _, dir := range p.Paths {
		rel, err := filepath.Rel(dir, filepath.Dir(file))
		if err == nil && rel != "." && !strings.HasPrefix(rel, "..") {
			return strings.Split(filepath.ToSlash(rel), "/")
		}
	}
	return nil
}

func decode(f reload.File, doc *any) error {
	if strings.HasSuffix(f.Path, ".json") {
		d := json.NewDecoder(strings.NewReader(string(f.Data)))
		d.UseNumber()
		if err := d.Decode(doc); err != nil {
			return err
		}
		if d.More() {
			return errors.New("unexpected text after the JSON value")
		}
		return nil
	}
	return yaml.Unmarshal(f.Data, doc)
}

// merge puts doc into data at path. Objects merge; any other value that exists already is an error.
func merge(data map[string]any, doc any, path []string) error {
	for i := len(path) - 1; i >= 0; i-- {
		doc = map[string]any{path[i]: doc}
	}
	m, ok := doc.(map[string]any)
	if !ok {
		if doc == nil {
			return nil
		}
		return errors.New("the data is not an object")
	}
	for k, v := range m {
		old, there := data[k]
		if !there {
			if sub, ok := v.(map[string]any); ok { // a copy: what is merged into it is not the configuration's
				c := map[string]any{}
				if err := merge(c, sub, nil); err != nil {
					return err
				}
				v = c
			}
			data[k] = v
			continue
		}
		target, ok1 := old.(map[string]any)
		sub, ok2 := v.(map[string]any)
		if !ok1 || !ok2 {
			return fmt.Errorf("%s: duplicate key", k)
		}
		if err := merge(target, sub, nil); err != nil {
			return fmt.Errorf("%s.%w", k, err)
		}
	}
	return nil
}
