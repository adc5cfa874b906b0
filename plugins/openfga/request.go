package openfga

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/expression"
	"mosn.io/moe/plugins/internal/lookup"
	"mosn.io/moe/plugins/internal/outbound"
)

// question is what OpenFGA is asked: whether user has relation to object.
type question struct {
	User     string `json:"user"`
	Relation string `json:"relation"`
	Object   string `json:"object"`
}

// OnRequestHeaders finds out whether the caller has the relation: at once where the answer is remembered.
func (p *OpenFGA) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, err := p.Path.Request(s, h)
	if err != nil {
		return p.Ask(&r, err, nil)
	}
	q, err := p.question(&r)
	if err != nil {
		// It is the client's doing, so that failOpen must not let it pass.
		s.Log().Warn("an expression fails", "error", err)
		return p.Conclude(&r, authz.Verdict{Reason: "an expression fails"})
	}
	if reason := q.unfit(); reason != "" {
		return p.Conclude(&r, authz.Verdict{Reason: reason})
	}
	key := p.answers.Key(q.User, q.Relation, q.Object)
	if allowed, ok := p.answers.Known(key, time.Now()); ok {
		return p.Conclude(&r, verdict(allowed))
	}
	return p.AskLater(&r, nil, func(ctx context.Context) authz.Verdict {
		allowed, err := p.answers.Ask(ctx, key, func(ctx context.Context) (lookup.Answer[bool], error) {
			allowed, err := p.ask(ctx, q)
			return lookup.Answer[bool]{Value: allowed, Refused: !allowed}, err
		})
		switch {
		case errors.Is(err, lookup.ErrBusy): // clients can bring that about, too
			return authz.Verdict{Reason: "too many questions are under way", Reply: &busy}
		case err != nil:
			return authz.Fail(err)
		}
		return verdict(allowed)
	})
}

var busy = filter.Reply(http.StatusServiceUnavailable, "too many questions are under way", filter.WithDetails("moe.openfga.busy"))

func verdict(allowed bool) authz.Verdict {
	if allowed {
		return authz.Allow
	}
	return authz.Verdict{Reason: "the caller does not have the relation"}
}

// question evaluates the expressions.
func (p *OpenFGA) question(r *authz.Request) (q question, err error) {
	for _, e := range []struct {
		field   string
		program expression.Program
		to      *string
	}{{"user", p.user, &q.User}, {"relation", p.relation, &q.Relation}, {"object", p.object, &q.Object}} {
		v, err := e.program.Evaluate(r)
		if err != nil {
			return q, fmt.Errorf("%s: %w", e.field, err)
		}
		*e.to = v.Text
	}
	return q, nil
}

// limits of OpenFGA, in bytes.
const (
	maxUser     = 512
	maxObject   = 256
	maxRelation = 50
)

// unfit says why q cannot be asked; "" if it can. A user is one of a type: "user:*" stands for everybody, and
// "group:a#member" for all members of a group, so that a caller with such a name would be somebody else.
func (q *question) unfit() string {
	switch {
	case q.User == "":
		return authz.NoSubject.Reason
	case !isEntity(q.User, maxUser):
		return "the user is not one that OpenFGA knows"
	case !isEntity(q.Object, maxObject):
		return "the object is not one that OpenFGA knows"
	case q.Relation == "" || len(q.Relation) > maxRelation || strings.ContainsAny(q.Relation, ":#@*") || hasSpace(q.Relation):
		return "the relation is not one that OpenFGA knows"
	}
	return ""
}

// isEntity reports whether text is type:id.
func isEntity(text string, most int) bool {
	kind, id, ok := strings.Cut(text, ":")
	return ok && kind != "" && id != "" && len(text) <= most && !strings.ContainsAny(text, "#*") && !hasSpace(text)
}

func hasSpace(text string) bool {
	return strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\u0085' || c == '\u00a0' || c == '\ufffd' })
}

// ask asks OpenFGA (https://openfga.dev/api/service, Check).
func (p *OpenFGA) ask(ctx context.Context, q question) (bool, error) {
	consistency := "MINIMIZE_LATENCY"
	if p.Consistency == "higherConsistency" {
		consistency = "HIGHER_CONSISTENCY"
	}
	body, err := json.Marshal(struct {
		Tuple       question `json:"tuple_key"`
		Model       string   `json:"authorization_model_id,omitempty"`
		Consistency string   `json:"consistency"`
	}{q, p.Model, consistency})
	if err != nil {
		return false, err
	}
	to, err := http.NewRequestWithContext(ctx, http.MethodPost, p.check.String(), bytes.NewReader(body))
	if err != nil {
		return false, outbound.Plain(err)
	}
	to.Header.Set("content-type", "application/json")
	if t := p.Token.Reveal(); t != "" {
		to.Header.Set("authorization", "Bearer "+t)
	}
	w, err := p.client.Do(to)
	if err != nil {
		return false, outbound.Plain(err)
	}
	defer w.Body.Close()
	text, err := outbound.ReadAll(w.Body, 64<<10)
	switch {
	case err != nil:
		return false, outbound.Plain(err)
	case w.StatusCode != http.StatusOK:
		return false, fmt.Errorf("OpenFGA answers %d%s", w.StatusCode, code(text))
	}
	return read(text)
}

var errAnswer = errors.New("OpenFGA's answer is not understood")

// read reads an answer. An error is that it does not say whether the caller has the relation.
func read(text []byte) (bool, error) {
	said, err := claims.Object(nil, text)
	if err != nil {
		return false, errAnswer
	}
	for _, m := range said {
		if m.Name == "allowed" {
			switch string(m.Value) {
			case "true":
				return true, nil
			case "false":
				return false, nil
			}
		}
	}
	return false, errAnswer
}

// code is the code of an error, such as " (validation_error)": its message would quote the request.
func code(text []byte) string {
	said, err := claims.Object(nil, text)
	if err != nil {
		return ""
	}
	for _, m := range said {
		if c, ok := claims.Str(m.Value); ok && m.Name == "code" && len(c) <= 64 && !hasSpace(c) {
			return " (" + c + ")"
		}
	}
	return ""
}
