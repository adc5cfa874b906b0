package golang

import (
	"encoding/json"
	"fmt"
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
)

// A document has no list of secrets on this host, whose filter has one of its own: the message says so.
func TestSecretsBesideTheDocument(t *testing.T) {
	onEnvoys(t, nil, func(b *bed) {
		doc := conformance.Chain(conformance.Probe("p", "response_headers", "set x-got ${secret.a}"))
		f, err := conformance.NewSecretFile(b.Dir, "a", "value")
		if err != nil {
			t.Fatalf("conformance.NewSecretFile: %v", err)
		}
		doc["generic_secrets"] = a{f.Config()}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatalf("json.Marshal: %v", err)
		}
		mark := b.Log.Mark()
		if err := b.SetListeners([]m{conformance.OwnListener("inside", nil, b.golang("moe", text))}); err == nil {
			b.t.Error("a document with generic_secrets is taken")
		}
		const why = "generic_secrets: belongs to the Golang filter itself"
		if _, err := b.Log.Wait(mark, why, patience); err != nil {
			b.t.Error(err)
		}
		b.serve(conformance.OwnListener("beside", nil, b.golang("moe", doc)))
		if err := envoytest.Poll(patience, func() error {
			if got := b.get("beside", client.Request{}).Header.Get("x-got"); got != "value" {
				return fmt.Errorf("got %q", got)
			}
			return nil
		}); err != nil {
			b.t.Error(err)
		}
	})
}
