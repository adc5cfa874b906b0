package validate

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"mosn.io/moe/plugins/internal/place"
)

// kin-openapi holds one of several values of a name against the document, and none of what it cannot decode. An upstream may take
// another, or decode it all the same, so that both are refused.
const (
	repeated   = "it is there more than once"
	unreadable = "it cannot be read"
	undeclared = "the form may not have this field"
)

// joined has one field for each header, as RFC 9110, section 5.3, allows: kin-openapi reads the first.
func joined(h http.Header) http.Header {
	for name, values := range h {
		if len(values) < 2 {
			continue
		}
		separator := ","
		if strings.EqualFold(name, "cookie") {
			separator = "; "
		}
		h[name] = []string{strings.Join(values, separator)}
	}
	return h
}

// repeats returns the parameters of an operation that a request has more than once, or not so that they can be read.
func repeats(r *http.Request, route *routers.Route) (list []violation) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	for _, p := range parameters(route) {
		switch p.In {
		case openapi3.ParameterInQuery:
			if err != nil { // what is left out may be this one
				return append(list, violation{Parameter: "query", Detail: unreadable})
			}
			for _, name := range single(p) {
				if len(query[name]) > 1 {
					list = append(list, violation{Parameter: "query " + name, Detail: repeated})
				}
			}
		case openapi3.ParameterInCookie:
			n := 0
			place.EachCookie(r.Header.Get("cookie"), func(name, _ string) {
				if name == p.Name {
					n++
				}
			})
			if _, err := r.Cookie(p.Name); n > 1 {
				list = append(list, violation{Parameter: "cookie " + p.Name, Detail: repeated})
			} else if n == 1 && err != nil {
				list = append(list, violation{Parameter: "cookie " + p.Name, Detail: unreadable})
			}
		}
	}
	return list
}

// parameters returns those of an operation. Its own come before those of its path.
func parameters(route *routers.Route) (list []*openapi3.Parameter) {
	own := route.Operation.Parameters
	for _, ref := range own {
		list = append(list, ref.Value)
	}
	for _, ref := range route.PathItem.Parameters {
		if own.GetByInAndName(ref.Value.In, ref.Value.Name) == nil {
			list = append(list, ref.Value)
		}
	}
	return list
}

// single returns the names in the query that have one value for a parameter.
func single(p *openapi3.Parameter) (names []string) {
	sm, err := p.SerializationMethod()
	switch {
	case err != nil, p.Schema == nil: // kin-openapi refuses it, and takes several values of a parameter with content for a list
		return nil
	case sm.Style == openapi3.SerializationDeepObject: // of several values it makes one
		return nil
	case !sm.Explode:
		return []string{p.Name}
	case has(p.Schema, isList):
		return nil
	}
	names = []string{p.Name}
	has(p.Schema, func(s *openapi3.Schema) bool {
		for name := range s.Properties { // each is a parameter in the query
			names = append(names, name)
		}
		return false
	})
	return names
}

// has reports whether is says so of a schema, or of one that it is put together from.
func has(schema *openapi3.SchemaRef, is func(*openapi3.Schema) bool) bool {
	return within(schema, is, new([]*openapi3.Schema))
}

// within is has for schemas that are not among seen: they may refer to themselves.
func within(ref *openapi3.SchemaRef, is func(*openapi3.Schema) bool, seen *[]*openapi3.Schema) bool {
	if ref == nil || ref.Value == nil || slices.Contains(*seen, ref.Value) {
		return false
	}
	s := ref.Value
	*seen = append(*seen, s)
	for _, list := range []openapi3.SchemaRefs{s.AllOf, s.AnyOf, s.OneOf} {
		for _, part := range list {
			if within(part, is, seen) {
				return true
			}
		}
	}
	return is(s)
}

// decodeForm decodes a form whose fields are there once, unless they are lists.
func decodeForm(body io.Reader, header http.Header, schema *openapi3.SchemaRef, encode openapi3filter.EncodingFn) (any, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	fields, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, &openapi3filter.ParseError{Kind: openapi3filter.KindInvalidFormat, Reason: unreadable}
	}
	counts := make(map[string]int, len(fields))
	for name, values := range fields {
		counts[name] = len(values)
	}
	if err := fieldsOnce(counts, schema, encode); err != nil {
		return nil, err
	}
	return openapi3filter.UrlencodedBodyDecoder(bytes.NewReader(text), header, schema, encode)
}

// decodeMultipart does the same for one of several parts.
func decodeMultipart(body io.Reader, header http.Header, schema *openapi3.SchemaRef, encode openapi3filter.EncodingFn) (any, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	_, params, err := mime.ParseMediaType(header.Get("content-type"))
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for parts := multipart.NewReader(bytes.NewReader(text), params["boundary"]); ; {
		part, err := parts.NextPart()
		if err == io.EOF { //nolint:errorlint // the error of a body that is cut wraps it, and is none of an end
			break
		}
		if err != nil {
			return nil, err
		}
		counts[part.FormName()]++
	}
	if err := fieldsOnce(counts, schema, nil); err != nil {
		return nil, err
	}
	return openapi3filter.MultipartBodyDecoder(bytes.NewReader(text), header, schema, encode)
}

// fieldsOnce refuses forms with a field that the schema does not allow, or that is there more than once and not a list.
func fieldsOnce(counts map[string]int, schema *openapi3.SchemaRef, encode openapi3filter.EncodingFn) error {
	for name, n := range counts {
		declared, list := false, false
		has(schema, func(s *openapi3.Schema) bool {
			property := s.Properties[name]
			declared = declared || property != nil
			list = list || has(property, isList)
			return false
		})
		if encode != nil && list {
			list = encode(name).SerializationMethod().Explode
		}
		reason := ""
		switch {
		case declared && n > 1 && !list:
			reason = repeated
		case !declared && closed(schema):
			reason = undeclared
		default:
			continue
		}
		return &openapi3filter.ParseError{Kind: openapi3filter.KindInvalidFormat, Reason: reason}
	}
	return nil
}

func isList(s *openapi3.Schema) bool { return s.Type.Includes("array") }

// closed reports whether a schema allows its own properties only.
func closed(schema *openapi3.SchemaRef) bool {
	if schema == nil || schema.Value == nil {
		return false
	}
	more := schema.Value.AdditionalProperties.Has
	return more != nil && !*more && len(schema.Value.PatternProperties) == 0
}
