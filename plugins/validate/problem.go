package validate

import (
	"encoding/json"
	"net/http"
	"strings"

	"mosn.io/moe/framework/filter"
)

// problem is why a message is refused, and the body of the reply: RFC 9457.
type problem struct {
	Type   string      `json:"type"`
	Title  string      `json:"title"`
	Status int         `json:"status"`
	Detail string      `json:"detail"`
	Errors []violation `json:"errors,omitempty"`

	reason string // for metadata and details: one word
}

func newProblem(status int, reason, detail string, errs ...violation) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Errors: errs, reason: reason}
}

// reply is the reply with the problem.
func (q *problem) reply(plugin string) filter.Action {
	text, err := json.Marshal(q)
	if err != nil {
		return filter.Fail(err)
	}
	return filter.Reply(q.Status, text, filter.WithHeader("content-type", "application/problem+json"),
		filter.WithDetails("moe."+plugin+"."+q.reason))
}

// summary is for the log.
func (q *problem) summary() string {
	parts := []string{q.Detail}
	for _, e := range q.Errors {
		at := e.Pointer
		if at == "" {
			at = e.Parameter
		}
		parts = append(parts, at+": "+e.Detail)
	}
	return strings.Join(parts, "; ")
}
