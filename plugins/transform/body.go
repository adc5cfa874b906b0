package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/itchyny/gojq"
)

// Step changes a body. It has one of the fields.
type Step struct {
	// Jq is a program of jq, whose first result replaces the JSON.
	Jq string `json:"jq"`
	// Patch is a JSON Patch (RFC 6902).
	Patch []any `json:"patch"`
	// MergePatch is a JSON Merge Patch (RFC 7396).
	MergePatch any `json:"mergePatch"`
	// Template makes the body of anything.
	Template string `json:"template"`
	// Form changes the fields of a form.
	Form *Fields `json:"form"`
	// XMLToJSON makes JSON of XML.
	XMLToJSON bool `json:"xmlToJSON"`
	// JSONToXML makes XML of JSON; it is the name of the root element.
	JSONToXML string `json:"jsonToXML"`
	// ContentType replaces the content-type. Steps that make JSON or XML of something else have one by themselves.
	ContentType string `json:"contentType"`

	run         func(w *work) error
	contentType string
}

var errNotJSON = errors.New("the body is not JSON")

// decodeJSON decodes one value. Numbers keep their digits.
func decodeJSON(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil, errNotJSON
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNotJSON
	}
	return v, nil
}

func compileSteps(steps []Step) error {
	var errs []error
	for i := range steps {
		if err := steps[i].compile(); err != nil {
			errs = append(errs, within(fmt.Sprintf("body[%d]", i), err))
		}
	}
	return errors.Join(errs...)
}

// compile finds the field that the step has.
func (s *Step) compile() error {
	type kind struct {
		name string
		has  bool
		make func() error
	}
	found := ""
	for _, k := range []kind{
		{"jq", s.Jq != "", s.compileJq},
		{"patch", s.Patch != nil, s.compilePatch},
		{"mergePatch", s.MergePatch != nil, s.compileMergePatch},
		{"template", s.Template != "", s.compileTemplate},
		{"form", s.Form != nil, s.compileForm},
		{"xmlToJSON", s.XMLToJSON, func() error {
			s.run, s.contentType = xmlToJSON, "application/json"
			return nil
		}},
		{"jsonToXML", s.JSONToXML != "", s.compileXML},
	} {
		if !k.has {
			continue
		}
		if found != "" {
			return fmt.Errorf("%s: %s and %s are mutually exclusive; write two steps", k.name, found, k.name)
		}
		found = k.name
		if err := k.make(); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	if found == "" {
		return errors.New("jq: the step is empty; give jq, patch, mergePatch, template, form, xmlToJSON or jsonToXML")
	}
	if s.ContentType != "" {
		if !fieldValue(s.ContentType) {
			return errors.New("contentType: must not have control characters")
		}
		s.contentType = s.ContentType
	}
	return nil
}

func (s *Step) compileJq() error {
	q, err := gojq.Parse(s.Jq)
	if err != nil {
		return err
	}
	// Neither files nor the environment can be read: there is no module loader, no input and no $ENV.
	code, err := gojq.Compile(q, gojq.WithEnvironLoader(func() []string { return nil }))
	if err != nil {
		return err
	}
	s.run = func(w *work) error {
		in, err := w.json()
		if err != nil {
			return err
		}
		out, ok := code.RunWithContext(w.ctx, in).Next()
		if err, isError := out.(error); isError {
			if w.ctx.Err() != nil {
				return errBudget
			}
			return jqError(err)
		}
		if !ok {
			return errors.New("the program of jq has no result")
		}
		text, err := gojq.Marshal(out)
		if err != nil {
			return err
		}
		return w.set(text)
	}
	return nil
}

// jqError is an error without what it quotes of the message.
func jqError(err error) error {
	var v gojq.ValueError
	if errors.As(err, &v) {
		return errors.New("the program of jq ends with an error of its own")
	}
	return errors.New("the program of jq fails: a value is not what it expects")
}

func (s *Step) compilePatch() error {
	text, err := json.Marshal(s.Patch)
	if err != nil {
		return err
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return err
	}
	for i, op := range patch {
		if _, err := op.Path(); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
		switch op.Kind() {
		case "add", "replace", "test":
			if _, err := op.ValueInterface(); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		case "move", "copy":
			if _, err := op.From(); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		case "remove":
		default:
			return fmt.Errorf("[%d]: expected the op add, remove, replace, move, copy or test", i)
		}
	}
	s.run = func(w *work) error {
		if !json.Valid(w.text) {
			return errNotJSON
		}
		options := jsonpatch.NewApplyOptions()
		options.AccumulatedCopySizeLimit = int64(w.most)
		options.EscapeHTML, options.SupportNegativeIndices = false, false
		out, err := patch.ApplyWithOptions(w.text, options)
		if err != nil {
			return errors.New("the patch does not fit the body")
		}
		return w.set(out)
	}
	return nil
}

func (s *Step) compileMergePatch() error {
	patch, err := json.Marshal(s.MergePatch)
	if err != nil {
		return err
	}
	s.run = func(w *work) error {
		if !json.Valid(w.text) {
			return errNotJSON
		}
		out, err := jsonpatch.MergePatch(w.text, patch)
		if err != nil {
			return errors.New("the patch does not fit the body")
		}
		return w.set(out)
	}
	return nil
}

func (s *Step) compileTemplate() error {
	t, err := newTemplate(s.Template)
	if err != nil {
		return err
	}
	s.run = func(w *work) error {
		text, err := t.run(w)
		if err != nil {
			return fmt.Errorf("the template: %w", err)
		}
		return w.set([]byte(text))
	}
	return nil
}

func (s *Step) compileForm() error {
	s.run = func(w *work) error {
		form := parsePairs(string(w.text), "&", false)
		if err := s.Form.apply(form, w); err != nil {
			return err
		}
		return w.set([]byte(form.text("&")))
	}
	return s.Form.compile(false)
}

func (s *Step) compileXML() error {
	if !elementName.MatchString(s.JSONToXML) {
		return errors.New("expected the name of an element")
	}
	s.contentType = "application/xml"
	s.run = func(w *work) error { return jsonToXML(w, s.JSONToXML) }
	return nil
}

// apply runs the steps and returns the content-type that the body has then, "" for the one that it had.
func apply(steps []Step, w *work) (contentType string, err error) {
	for i := range steps {
		if w.ctx.Err() != nil {
			return "", errBudget
		}
		if err := steps[i].run(w); err != nil {
			return "", fmt.Errorf("step %d: %w", i+1, err)
		}
		if steps[i].contentType != "" {
			contentType = steps[i].contentType
		}
	}
	return contentType, nil
}
