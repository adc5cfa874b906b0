package opa

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/url"
	"strings"

	"mosn.io/moe/framework/filter"
)

// RequestBody has the policy see bodies.
type RequestBody struct {
	// MaxBytes is how much of a body is held for the policy. Of one that is larger, it sees only that it is.
	MaxBytes filter.Size `json:"maxBytes" default:"64KiB" validate:"min=1,max=67108864"`
}

// parsed is a body as the policy sees it.
type parsed struct {
	raw       []byte
	value     any // null where the body has another type than JSON or a form
	truncated bool
}

var errBody = errors.New("the body is not what its content-type says")

// parse reads a body by its content-type. A body that is cut off is not read.
func (b *RequestBody) parse(h filter.RequestHeaders, body filter.Body) (*parsed, error) {
	raw := body.Bytes()
	if !body.Complete() || len(raw) > int(b.MaxBytes) {
		return &parsed{truncated: true}, nil
	}
	p := &parsed{raw: raw}
	if len(raw) == 0 {
		return p, nil
	}
	contentType := h.Get("content-type")
	if contentType == "" {
		return p, nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil { // an upstream may take it for JSON nevertheless
		return nil, errBody
	}
	switch {
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&p.value); err != nil {
			return nil, errBody
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, errBody
		}
	case kind == "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(raw))
		if err != nil {
			return nil, errBody
		}
		form := map[string]any{}
		for name, v := range values {
			form[name] = texts(v)
		}
		p.value = form
	}
	return p, nil
}
