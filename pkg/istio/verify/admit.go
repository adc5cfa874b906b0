package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// RefusedError says why Istio's admission webhook refused an object.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused by Istio: " + e.Reason }

// Admit has Istio's admission webhook validate an object of one of Istio's kinds, as a Kubernetes API server would. It
// returns Istio's warnings, and a *[RefusedError] if the object is refused.
func (p *Pilot) Admit(ctx context.Context, o Object) ([]string, error) {
	review, err := json.Marshal(Object{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": Object{
			"uid": "1", "operation": "CREATE", "namespace": o.Namespace(), "name": o.Name(), "object": o,
			"kind":     Object{"group": o.Group(), "version": "v1", "kind": o.Kind()},
			"resource": Object{"group": o.Group(), "version": "v1", "resource": o.resource().name},
		},
	})
	if err != nil {
		return nil, err
	}
	b, err := p.ask(ctx, http.MethodPost, "/validate", review)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Response *struct {
			Allowed  bool
			Warnings []string
			Status   struct{ Message string }
		}
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("decoding the discovery server's admission review: %w", err)
	}
	r := answer.Response
	switch {
	case r == nil:
		return nil, errors.New("the discovery server's admission review has no response")
	case !r.Allowed:
		return r.Warnings, &RefusedError{r.Status.Message}
	}
	return r.Warnings, nil
}
