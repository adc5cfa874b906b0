package waf

import (
	"errors"
	"fmt"
	"strings"

	"mosn.io/moe/framework/filter"
)

// RequestBody says which part of a request's body is inspected.
type RequestBody struct {
	// Skip leaves bodies alone: for gRPC and other requests that stream, as a body that is inspected is held back.
	Skip bool `json:"skip"`
	// Limit is how much of a body is inspected, and so held in memory.
	Limit filter.Size `json:"limit" default:"128KiB"`
	// OverLimit says what becomes of a longer body: it is refused with 413, or its beginning is inspected and the rest
	// passes unseen.
	OverLimit string `json:"overLimit" default:"reject" enum:"reject,partial"`
}

// Response says whether responses are inspected.
type Response struct {
	// Inspect says what of a response is inspected. The body is held back for that.
	Inspect string `json:"inspect" default:"none" enum:"none,headers,body"`
	// Types are the media types of bodies that are inspected.
	Types []string `json:"types" default:"text/plain,text/html,text/xml,application/json"`
	// Limit is how much of a body is inspected, and so held in memory.
	Limit filter.Size `json:"limit" default:"512KiB"`
	// OverLimit says what becomes of a longer body: its beginning is inspected and the rest passes unseen, or the response
	// is replaced by 500.
	OverLimit string `json:"overLimit" default:"partial" enum:"partial,reject"`
}

// maxLimit is the most that the engine takes.
const maxLimit = 1<<30 - 1

var errLimit = errors.New("limit: must be between 1 and 1GiB")

func (b *RequestBody) check() error {
	if b.Limit < 1 || b.Limit > maxLimit {
		return fmt.Errorf("requestBody.%w", errLimit)
	}
	return nil
}

func (r *Response) check() error {
	if r.Limit < 1 || r.Limit > maxLimit {
		return fmt.Errorf("response.%w", errLimit)
	}
	for i, t := range r.Types {
		if t == "" || strings.Trim(strings.ToLower(t), "abcdefghijklmnopqrstuvwxyz0123456789/+.-_") != "" {
			return fmt.Errorf("response.types[%d]: expected a media type such as text/html", i)
		}
	}
	return nil
}
