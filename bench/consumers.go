package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxKeys is how many consumers' keys a client sends in turn: more than caches of a processor hold what belongs to.
const maxKeys = 4096

// consumerKey is the key of the i-th consumer. All are of one length; the first is what every request has.
func consumerKey(i int) string {
	if i == 0 {
		return value
	}
	return fmt.Sprintf("key-%0*d", len(value)-4, i)
}

// writeConsumers writes a file with n consumers into dir, and returns its path.
func writeConsumers(dir string, n int) (string, error) {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"name": "consumer-%d", "groups": ["group-%d"], "credentials": {"keyauth": {"key": %q}}}`+"\n",
			i, i%100, consumerKey(i))
	}
	path := filepath.Join(dir, fmt.Sprintf("consumers-%d.json", n))
	return path, os.WriteFile(path, b.Bytes(), 0o600)
}

// keyauthFilter is a chain that knows the consumers of a file.
func keyauthFilter(path string) filterConfig {
	return moduleFilter("moe", "moe", object(map[string]any{
		"plugins":        []any{map[string]any{"name": "keyauth", "config": map[string]any{"header": input}}},
		"consumerSource": map[string]any{"path": path},
	}))
}

// vary has the client send the keys of n consumers in turn, spread over all of them.
func (c *client) vary(n int) {
	step := max(1, n/maxKeys)
	for i := 0; i < n; i += step {
		c.requests = append(c.requests, []byte(strings.ReplaceAll(string(c.request), value, consumerKey(i))))
	}
}
