// Package jsonrewrite renames members of JSON objects in requests, and back in responses.
//
// It shows WaitBody: a message whose body is wanted is held until it is complete, and OnRequest or OnResponse gets all
// of it at once. Other messages stream past. Body.Set replaces the body, and content-length follows.
//
// A held body is bounded by Envoy's buffer limit: a larger request is answered with 413, a larger response becomes a
// 500. Only members of the outermost object are renamed, and their order is not kept.
package jsonrewrite

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"

	"mosn.io/moe/framework/filter"
)

// JSONRewrite renames.
type JSONRewrite struct {
	// Rename maps the client's names to the upstream's.
	Rename map[string]string `json:"rename" validate:"required"`

	back map[string]string
}

func init() { filter.Register[JSONRewrite]("jsonrewrite", filter.Transform) }

// Validate refuses names that would be ambiguous on the way back.
func (j *JSONRewrite) Validate() error {
	seen := map[string]string{}
	for from, to := range j.Rename {
		if other, ok := seen[to]; ok {
			return fmt.Errorf("rename: %s and %s both become %s", min(from, other), max(from, other), to)
		}
		seen[to] = from
	}
	return nil
}

// Provision inverts the map.
func (j *JSONRewrite) Provision(*filter.Env) error {
	j.back = map[string]string{}
	for from, to := range j.Rename {
		j.back[to] = from
	}
	return nil
}

// OnRequestHeaders holds JSON requests only.
func (j *JSONRewrite) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	return wait(h.Headers, endStream)
}

// OnRequest renames, or tells the client what is wrong with its JSON.
func (j *JSONRewrite) OnRequest(_ filter.Stream, _ filter.RequestHeaders, b filter.Body) filter.Action {
	if err := rename(b, j.Rename); err != nil {
		return filter.ReplyJSON(400, map[string]string{"error": err.Error()})
	}
	return filter.Continue
}

// OnResponseHeaders holds JSON responses only.
func (j *JSONRewrite) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, endStream bool) filter.Action {
	return wait(h.Headers, endStream)
}

// OnResponse renames back. A response that is not what it says goes on as it is.
func (j *JSONRewrite) OnResponse(s filter.Stream, _ filter.ResponseHeaders, b filter.Body) filter.Action {
	if err := rename(b, j.back); err != nil {
		s.Log().Warn("the response cannot be rewritten", "error", err)
	}
	return filter.Continue
}

func wait(h filter.Headers, endStream bool) filter.Action {
	kind, _, _ := mime.ParseMediaType(h.Get("content-type"))
	if endStream || kind != "application/json" || h.Has("content-encoding") {
		return filter.Continue
	}
	return filter.WaitBody
}

func rename(b filter.Body, names map[string]string) error {
	if b.Len() == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b.Bytes(), &members); err != nil {
		if _, other := errors.AsType[*json.UnmarshalTypeError](err); other {
			return nil // JSON, but not an object
		}
		return err
	}
	if members == nil { // null
		return nil
	}
	renamed := make(map[string]json.RawMessage, len(members))
	for name, value := range members {
		if to, ok := names[name]; ok {
			name = to
		}
		if _, twice := renamed[name]; twice {
			return fmt.Errorf("there would be two members %q", name)
		}
		renamed[name] = value
	}
	p, err := json.Marshal(renamed)
	if err == nil {
		b.Set(p)
	}
	return err
}
