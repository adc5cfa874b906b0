package validate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Parts of multipart bodies are decoded by their own types. Those that grow when they are decoded are left alone.
func init() {
	for _, t := range []string{"application/zip", "application/yaml", "application/x-yaml"} {
		openapi3filter.UnregisterBodyDecoder(t)
	}
	for _, t := range []string{
		"application/json", "application/json-patch+json", "application/merge-patch+json", "application/ld+json",
		"application/hal+json", "application/vnd.api+json", "application/problem+json",
	} {
		openapi3filter.RegisterBodyDecoder(t, decodePart)
	}
	openapi3filter.RegisterBodyDecoder("application/x-www-form-urlencoded", decodeForm)
	openapi3filter.RegisterBodyDecoder("multipart/form-data", decodeMultipart)
}

// decodePart decodes JSON whose numbers are within the bounds, and whose objects have no two properties of one name.
func decodePart(body io.Reader, header http.Header, schema *openapi3.SchemaRef, encode openapi3filter.EncodingFn) (any, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	v, err := openapi3filter.JSONBodyDecoder(bytes.NewReader(text), header, schema, encode)
	switch {
	case err != nil:
	case !bounded(v):
		err = &openapi3filter.ParseError{Kind: openapi3filter.KindInvalidFormat, Reason: tooBig}
	case !unique(text, v):
		err = &openapi3filter.ParseError{Kind: openapi3filter.KindInvalidFormat, Reason: twice}
	}
	return v, err
}

// api is an OpenAPI document.
type api struct {
	router  routers.Router
	options *openapi3filter.Options
	// schemas are those of JSON bodies in OpenAPI 3.1, compiled; in 3.0 the document's own are used.
	schemas map[*openapi3.MediaType]*jsonschema.Schema
	latest  bool // 3.1
}

func newAPI(document any, p *Validate) (*api, error) {
	document, err := normal(document)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	loader.ReadFromURIFunc = func(*openapi3.Loader, *url.URL) ([]byte, error) { return nil, errRemote }
	doc, err := loader.LoadFromData(text)
	if err == nil {
		err = doc.Validate(context.Background(), openapi3.DisableExamplesValidation())
	}
	if err != nil {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.0.") && !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		return nil, errors.New("expected OpenAPI 3.0 or 3.1")
	}
	doc.Servers = openapi3.Servers{{URL: "/" + strings.Trim(p.BasePath, "/")}}
	for _, item := range doc.Paths.Map() {
		item.Servers = nil
		for _, op := range item.Operations() {
			op.Servers = nil
		}
	}
	a := &api{latest: doc.IsOpenAPI31OrLater(), options: &openapi3filter.Options{
		MultiError: true, ExcludeRequestBody: true, SkipSettingDefaults: true,
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, // that is for plugins of the stage authn
	}}
	if a.router, err = gorillamux.NewRouter(doc); err != nil || !a.latest {
		return a, err
	}
	return a, a.compile(doc, document, p.Formats)
}

// compile compiles the schemas of bodies where they are in the document.
func (a *api) compile(doc *openapi3.T, document any, formats bool) error {
	c, err := newCompiler(document, formats)
	if err != nil {
		return schemaError(err)
	}
	c.DefaultDraft(jsonschema.Draft2020)
	a.schemas = map[*openapi3.MediaType]*jsonschema.Schema{}
	var errs []error
	content := func(at []string, types openapi3.Content) {
		for key, m := range types {
			if m == nil || m.Schema == nil || a.schemas[m] != nil {
				continue
			}
			place := resolve(document, append(at[:len(at):len(at)], "content", key))
			fragment := url.URL{Fragment: pointer(append(place, "schema"))[1:]}
			s, err := c.Compile(here + fragment.String())
			errs = append(errs, schemaError(err))
			a.schemas[m] = s
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			at := []string{"paths", path, strings.ToLower(method)}
			if op.RequestBody != nil && op.RequestBody.Value != nil {
				content(append(at[:3:3], "requestBody"), op.RequestBody.Value.Content)
			}
			for status, r := range op.Responses.Map() {
				if r.Value != nil {
					content(append(at[:3:3], "responses", status), r.Value.Content)
				}
			}
		}
	}
	return errors.Join(errs...)
}

// resolve returns the place of what is at keys, following references on the way. The document is valid.
func resolve(document any, keys []string) []string {
	place, v := []string{}, document
	for hops := 0; ; hops++ {
		m, _ := v.(map[string]any)
		if ref, ok := m["$ref"].(string); ok && strings.HasPrefix(ref, "#/") && hops < 100 {
			place = place[:0]
			for key := range strings.SplitSeq(ref[2:], "/") {
				if plain, err := url.PathUnescape(key); err == nil {
					key = plain
				}
				place = append(place, strings.NewReplacer("~1", "/", "~0", "~").Replace(key))
			}
			keys, v, place = append(place, keys...), document, nil
			continue
		}
		if len(keys) == 0 {
			return place
		}
		place, v, keys = append(place, keys[0]), m[keys[0]], keys[1:]
	}
}

// request finds the operation of a request and holds the parameters against it.
func (a *api) request(r *http.Request, most int) (*openapi3filter.RequestValidationInput, *problem) {
	r.Header = joined(r.Header)
	route, path, err := a.router.FindRoute(r)
	switch {
	case errors.Is(err, routers.ErrMethodNotAllowed):
		return nil, newProblem(http.StatusMethodNotAllowed, "unknown_method", "the path does not have this method")
	case err != nil:
		return nil, newProblem(http.StatusNotFound, "unknown_path", "there is no such path")
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: path, Route: route, Options: a.options}
	if list := repeats(r, route); len(list) > 0 {
		return in, newProblem(0, "invalid", "a parameter is not as the API says", list[:min(len(list), most)]...)
	}
	if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
		return in, newProblem(0, "invalid", "a parameter is not as the API says", kinViolations(err, most)...)
	}
	return in, nil
}

// body holds a body of a media type against the schema that the document has for it.
func (a *api) body(m *openapi3.MediaType, v any, request bool, most int) *problem {
	if a.latest {
		if s := a.schemas[m]; s != nil {
			if err := s.Validate(v); err != nil {
				return newProblem(0, "invalid", "the body is not as the API says", violations(err, most)...)
			}
		}
		return nil
	}
	as := openapi3.VisitAsResponse()
	if request {
		as = openapi3.VisitAsRequest()
	}
	if err := m.Schema.Value.VisitJSON(v, as, openapi3.MultiErrors()); err != nil {
		return newProblem(0, "invalid", "the body is not as the API says", kinViolations(err, most)...)
	}
	return nil
}

// form holds a body that is not JSON against the document, as far as it can be decoded.
func (a *api) form(ctx context.Context, in *openapi3filter.RequestValidationInput, data []byte, most int) *problem {
	r := in.Request.Clone(ctx)
	r.Body, r.ContentLength = http.NoBody, int64(len(data))
	if len(data) > 0 {
		r.Body = readCloser{bytes.NewReader(data)}
	}
	with := *in
	with.Request = r
	if err := openapi3filter.ValidateRequestBody(ctx, &with, in.Route.Operation.RequestBody.Value); err != nil {
		return newProblem(0, "invalid", "the body is not as the API says", kinViolations(err, most)...)
	}
	return nil
}

type readCloser struct{ *bytes.Reader }

// Close does nothing.
func (readCloser) Close() error { return nil }

// decodes reports whether form can look into a body of a type.
func decodes(t string) bool {
	return t == "application/x-www-form-urlencoded" || t == "multipart/form-data" || t == "text/plain"
}

// ours are what the decoders of this package find.
var ours = []string{tooBig, twice, repeated, unreadable, undeclared}

// kinViolations returns at most n of those that an error of kin-openapi stands for.
func kinViolations(err error, n int) []violation {
	var list []violation
	var walk func(err error, parameter string)
	walk = func(err error, parameter string) {
		if len(list) >= n {
			return
		}
		var request *openapi3filter.RequestError
		var schema *openapi3.SchemaError
		switch e := err.(type) { //nolint:errorlint // the errors are walked from the outermost
		case openapi3.MultiError:
			for _, err := range e {
				walk(err, parameter)
			}
			return
		case *openapi3filter.RequestError:
			request = e
		case *openapi3.SchemaError:
			schema = e
		}
		switch {
		case request != nil:
			if request.Parameter != nil {
				parameter = request.Parameter.In + " " + request.Parameter.Name
			}
			if request.Err != nil {
				walk(request.Err, parameter)
				return
			}
			list = append(list, violation{Parameter: parameter, Detail: request.Reason})
		case schema != nil:
			v := violation{Parameter: parameter, Detail: schema.Reason}
			if parameter == "" {
				v.Pointer = pointer(schema.JSONPointer())
			}
			list = append(list, v)
		default:
			detail := "the value cannot be read"
			var unread *openapi3filter.ParseError
			if errors.As(err, &unread) && slices.Contains(ours, unread.Reason) {
				detail = unread.Reason
			} else if errors.Is(err, openapi3filter.ErrInvalidRequired) || errors.Is(err, openapi3filter.ErrInvalidEmptyValue) {
				detail = err.Error()
			}
			list = append(list, violation{Parameter: parameter, Detail: detail})
		}
	}
	walk(err, "")
	return list
}

// responseType is the part of the document for a response; ok is false where the document does not have the media type.
func responseType(op *openapi3.Operation, status int, contentType string) (m *openapi3.MediaType, ok bool) {
	r := op.Responses.Status(status)
	if r == nil {
		r = op.Responses.Value(fmt.Sprintf("%dXX", status/100))
	}
	if r == nil {
		r = op.Responses.Default()
	}
	if r == nil || r.Value == nil || len(r.Value.Content) == 0 {
		return nil, true
	}
	m = r.Value.Content.Get(contentType)
	return m, m != nil
}
