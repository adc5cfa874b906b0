package casbin

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/effector"
	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/persist"
	"github.com/casbin/casbin/v2/rbac"
	"github.com/casbin/govaluate"
)

// policy is a model with its rules. It is not changed once it is made.
type policy struct {
	text     string // of the model
	model    model.Model
	enforcer *casbin.Enforcer
	rules    int
}

// compile reads a model for requests of n values. What Casbin would find out with the first request, or never, is found
// out here: name tells whose fault it is.
func compile(name, text string, n int) (_ *policy, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: invalid model: %v", name, v)
		}
	}()
	m, err := model.NewModelFromString(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, section := range [][2]string{{"r", "request_definition"}, {"p", "policy_definition"}, {"e", "policy_effect"}, {"m", "matchers"}} {
		if m[section[0]][section[0]] == nil {
			return nil, fmt.Errorf("%s: [%s] does not say what %s is", name, section[1], section[0])
		}
	}
	r, p, e := m["r"]["r"], m["p"]["p"], m["e"]["e"]
	if len(r.Tokens) != n {
		return nil, fmt.Errorf("%s: a request of the model has %d values, and `request` lists %d", name, len(r.Tokens), n)
	}
	_, _, err = effector.NewDefaultEffector().MergeEffects(e.Value, []effector.Effect{effector.Indeterminate},
		[]float64{0}, 0, 1)
	if err != nil {
		return nil, fmt.Errorf("%s: [policy_effect]: %w", name, err)
	}
	if err := checkMatcher(m, append(append([]string{}, r.Tokens...), p.Tokens...)); err != nil {
		return nil, fmt.Errorf("%s: [matchers]: %w", name, err)
	}
	return &policy{text: text, model: m}, nil
}

// checkMatcher compiles the matcher as Casbin does.
func checkMatcher(m model.Model, known []string) error {
	functions := map[string]govaluate.ExpressionFunction{}
	declared := model.LoadFunctionMap()
	for name, f := range declared.GetFunctions() {
		functions[name] = f
	}
	never := func(...any) (any, error) { return false, nil }
	for name := range m["g"] {
		functions[name] = never
	}
	functions["eval"] = never
	x, err := govaluate.NewEvaluableExpressionWithFunctions(m["m"]["m"].Value, functions)
	if err != nil {
		return err
	}
next:
	for _, v := range x.Vars() {
		for _, k := range known {
			if v == k {
				continue next
			}
		}
		return fmt.Errorf("%s is neither a value of the request nor one of a rule", strings.Replace(v, "_", ".", 1))
	}
	return nil
}

// with returns the policy with the rules of text.
func (p *policy) with(name, text string) (_ *policy, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: invalid policy: %v", name, v)
		}
	}()
	m, err := model.NewModelFromString(p.text) // Casbin changes it
	if err != nil {
		return nil, err
	}
	e, err := casbin.NewEnforcer(m, &rules{name: name, text: text})
	if err != nil {
		return nil, err
	}
	n := 0
	loaded := e.GetModel()
	for _, a := range loaded["p"] {
		n += len(a.Policy)
	}
	for _, a := range loaded["g"] {
		if a.CondRM == nil && a.RM != nil {
			a.CondRM = unmemorized{rm: a.RM}
		}
	}
	return &policy{text: p.text, model: p.model, enforcer: e, rules: n}, nil
}

// unmemorized has Casbin ask the role manager each time. Otherwise it remembers the answer for every subject that has
// ever come, and clients could fill the memory with subjects. Only HasLink is called in a decision.
type unmemorized struct {
	rbac.ConditionalRoleManager
	rm rbac.RoleManager
}

// HasLink reports whether a subject has a role.
func (u unmemorized) HasLink(subject, role string, domain ...string) (bool, error) {
	return u.rm.HasLink(subject, role, domain...)
}

// rules is Casbin's adapter for the text of a policy; unlike Casbin's own, it overlooks no mistake.
type rules struct {
	persist.Adapter
	name, text string
}

// LoadPolicy adds the rules to m.
func (r *rules) LoadPolicy(m model.Model) error {
	in := csv.NewReader(strings.NewReader(r.text))
	in.Comment, in.TrimLeadingSpace, in.FieldsPerRecord = '#', true, -1
	for {
		record, err := in.Read()
		if record == nil {
			var wrong *csv.ParseError
			if errors.As(err, &wrong) {
				return fmt.Errorf("%s:%d: %w", r.name, wrong.Line, wrong.Err)
			}
			return nil // the end
		}
		line, _ := in.FieldPos(0)
		for i := range record {
			record[i] = strings.TrimSpace(record[i])
		}
		if err == nil {
			err = add(m, record)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", r.name, line, err)
		}
	}
}

func add(m model.Model, record []string) error {
	kind := record[0]
	if kind == "" || kind[0] != 'p' && kind[0] != 'g' || m[kind[:1]][kind] == nil {
		return errors.New("a rule begins with p, g, or another name that the model defines")
	}
	a := m[kind[:1]][kind]
	want := len(a.Tokens)
	if kind[0] == 'g' {
		want = strings.Count(a.Value, "_")
	}
	if len(record)-1 != want {
		return fmt.Errorf("a rule %s has %d values after its name, and this one %d", kind, want, len(record)-1)
	}
	return persist.LoadPolicyArray(record, m)
}
