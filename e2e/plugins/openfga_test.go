package plugins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"mosn.io/moe/e2e/envoytest"
)

// openfgaServer builds OpenFGA's server, whose module is beside this one, once for all hosts.
var openfgaServer = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "moe-openfga-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "openfga")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, ".")
	build.Dir = "../openfga"
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building OpenFGA: %w\n%s", err, out)
	}
	return binary, nil
})

// fga is a running server of OpenFGA.
type fga struct {
	b   *bed
	url string
	cmd *exec.Cmd
}

func startFGA(b *bed) *fga {
	b.Helper()
	binary, err := openfgaServer()
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatalf("net.Listen: %v", err)
	}
	address := ln.Addr().String()
	ln.Close()
	f := &fga{b: b, url: "http://" + address, cmd: exec.Command(binary, address)}
	if err := f.cmd.Start(); err != nil {
		b.Fatalf("starting OpenFGA: %v", err)
	}
	b.Cleanup(f.kill)
	err = envoytest.Poll(20*time.Second, func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		b.Fatalf("OpenFGA does not answer: %v", err)
	}
	return f
}

func (f *fga) kill() {
	f.cmd.Process.Kill()
	f.cmd.Wait()
}

// post sends JSON to the API and returns a member of the answer.
func (f *fga) post(path string, body any, member string) string {
	f.b.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		f.b.Fatalf("json.Marshal: %v", err)
	}
	r, err := http.Post(f.url+path, "application/json", bytes.NewReader(text))
	if err != nil {
		f.b.Fatalf("asking OpenFGA: %v", err)
	}
	defer r.Body.Close()
	answer := m{}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || r.StatusCode/100 != 2 {
		f.b.Fatalf("OpenFGA answers %s to %s: %v, %v", r.Status, path, answer, err)
	}
	value, _ := answer[member].(string)
	return value
}

func init() {
	add("openfga: relations in a store", func(b *bed) {
		f := startFGA(b)
		store := f.post("/stores", m{"name": "test"}, "id")
		direct := m{"this": m{}}
		types := m{"directly_related_user_types": []m{{"type": "user"}, {"type": "user", "wildcard": m{}}}}
		f.post("/stores/"+store+"/authorization-models", m{
			"schema_version": "1.1",
			"type_definitions": []m{{"type": "user"}, {
				"type": "document",
				"relations": m{
					"writer": direct,
					"reader": m{"union": m{"child": []m{direct, {"computedUserset": m{"relation": "writer"}}}}},
				},
				"metadata": m{"relations": m{"writer": types, "reader": types}},
			}},
		}, "")
		tuple := func(user, relation, object string) m { return m{"user": user, "relation": relation, "object": object} }
		f.post("/stores/"+store+"/write", m{"writes": m{"tuple_keys": []m{
			tuple("user:alice", "writer", "document:echo"), tuple("user:bob", "reader", "document:echo"),
		}}}, "")
		config := func(more string) string {
			return fmt.Sprintf(`{url: %q, store: %q, cacheTTL: 200ms, errorStatus: 503, object: '"document:" + request.segments[0]',
				relation: 'request.method == "GET" ? "reader" : "writer"'%s}`, f.url, store, more)
		}
		ln := b.listen(`{plugins: [{name: keyauth}, {name: openfga, config: `+config("")+`}], `+twoUsers+`}`,
			route{"/body/", `plugins: [{name: openfga, config: {relation: '"owner"'}}]`},
			route{"/chunks/", `plugins: [{name: openfga, disabled: true}]`})
		alice, bob := []string{"x-api-key", "key-of-alice"}, []string{"x-api-key", "key-of-bob"}
		for range 2 { // the second time from the cache
			ln.want("a writer reads", 200, ln.get("/echo", alice...))
			ln.want("a writer writes", 200, ln.post("/echo", "x", alice...))
			ln.want("a reader reads", 200, ln.get("/echo", bob...))
			ln.want("a reader writes", 403, ln.post("/echo", "x", bob...))
			ln.want("nobody's document", 403, ln.get("/other", alice...))
		}
		ln.want("a relation that the model does not have", 503, ln.get("/body/x", alice...))
		ln.want("a route without it", 200, ln.get("/chunks/1", alice...))
		ln.want("without a segment, which an expression wants", 403, ln.get("/", alice...))
		f.post("/stores/"+store+"/write", m{"deletes": m{"tuple_keys": []m{tuple("user:bob", "reader", "document:echo")}}}, "")
		b.Poll(func() error {
			if r := ln.get("/echo", bob...); r.Status != 403 {
				return fmt.Errorf("a relation that was taken away: got %d, want 403", r.Status)
			}
			return nil
		})
		f.kill()
		b.Poll(func() error { // once what is remembered has ended
			if r := ln.get("/echo", alice...); r.Status != 503 {
				return fmt.Errorf("OpenFGA is down: got %d, want 503", r.Status)
			}
			return nil
		})
	})
}
