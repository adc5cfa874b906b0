package opa

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/outbound"
)

// maxAnswer is how long the answer of a server may be.
const maxAnswer = 1 << 20

// remote is a server that is asked by OPA's data API.
type remote struct {
	r      *Remote
	client *http.Client
	close  func()
}

func newRemote(env *filter.Env, r *Remote) (*remote, error) {
	client, done, err := r.Client(env)
	if err != nil {
		return nil, fmt.Errorf("remote.%w", err)
	}
	return &remote{r, client, done}, nil
}

// usesAddress is true, because nothing here knows the server's policy.
func (*remote) usesAddress() bool { return true }

var errAnswer = errors.New("the server's answer is not a JSON object with a result")

// decide asks the server.
func (x *remote) decide(ctx context.Context, input map[string]any) (any, error) {
	body, err := json.Marshal(map[string]any{"input": input})
	if err != nil {
		return nil, errors.New("the request cannot be written as JSON")
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, x.r.URL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, outbound.Plain(err)
	}
	q.Header.Set("Content-Type", "application/json")
	if t := x.r.Token.Reveal(); t != "" {
		q.Header.Set("Authorization", "Bearer "+t)
	}
	resp, err := x.client.Do(q)
	if err != nil {
		return nil, outbound.Plain(err)
	}
	defer resp.Body.Close()
	answer, err := outbound.ReadAll(resp.Body, maxAnswer)
	if err != nil {
		return nil, outbound.Plain(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %d", resp.StatusCode)
	}
	var doc map[string]any
	if err := json.Unmarshal(answer, &doc); err != nil || doc == nil {
		return nil, errAnswer // it may quote the request
	}
	result, ok := doc["result"]
	if !ok || result == nil { // OPA's way to say undefined
		return undefined{}, nil
	}
	return result, nil
}
