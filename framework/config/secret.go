package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	"mosn.io/moe/framework/extension"
)

// maxSecret bounds what is read of a secret's file.
const maxSecret = 1 << 20

const secretWhat = `a secret: {env: NAME}, {file: PATH} or a string`

var secretSchema = map[string]any{"writeOnly": true, "anyOf": []any{
	map[string]any{"type": "string"},
	map[string]any{
		"type": "object", "required": []any{"env"}, "additionalProperties": false,
		"properties": map[string]any{"env": map[string]any{
			"type":        "string",
			"description": "The environment variable of Envoy's process that holds the secret.",
		}},
	},
	map[string]any{
		"type": "object", "required": []any{"file"}, "additionalProperties": false,
		"properties": map[string]any{"file": map[string]any{
			"type":        "string",
			"description": "The file that holds the secret; a line break at its end does not count.",
		}},
	},
}}

func secret(r *run, n node) (any, error) {
	v, err := r.Reader.read(n.v)
	if err != nil {
		return nil, err
	}
	r.secrets = append(r.secrets, v)
	return extension.NewSecret(v), nil
}

// SecretRef is a secret as it is written in a document that is passed on: {env: NAME}, {file: PATH} or a string. It never
// prints. To read the secret, decode Data into an extension.Secret.
type SecretRef struct{ data any }

// NewSecretRef returns a reference that is written as data.
func NewSecretRef(data any) SecretRef { return SecretRef{data} }

// Data returns generic data, or nil for the zero SecretRef.
func (s SecretRef) Data() any { return Clone(s.data) }

// Equal reports whether both are written alike.
func (s SecretRef) Equal(other SecretRef) bool { return reflect.DeepEqual(s.data, other.data) }

// Format prints [secret], whatever the verb.
func (s SecretRef) Format(f fmt.State, verb rune) { extension.Secret{}.Format(f, verb) }

func secretRef(_ *run, n node) (any, error) { return SecretRef{Clone(n.v)}, nil }

// SecretReader reads secrets, each once: what a variable or file held at first is what it holds for all who share the
// reader, so that a digest of secrets and the structs that they are decoded into agree. The zero value is ready; nil
// reads every time. It keeps what it has read. Any goroutine may use it.
type SecretReader struct {
	mu   sync.Mutex
	seen map[string]readResult // by "env" or "file", a space and the name
}

type readResult struct {
	value string
	err   error
}

func (s *SecretReader) read(v any) (string, error) {
	key := reference(v)
	if s == nil || key == "" {
		return readSecret(v)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.seen[key]
	if !ok {
		r.value, r.err = readSecret(v)
		if s.seen == nil {
			s.seen = map[string]readResult{}
		}
		s.seen[key] = r
	}
	return r.value, r.err
}

// reference returns a key for an {env: NAME} or {file: PATH} object, or "" if v is neither.
func reference(v any) string {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return ""
	}
	for _, k := range []string{"env", "file"} {
		if name, ok := m[k].(string); ok {
			return k + " " + name
		}
	}
	return ""
}

// readSecret returns a secret's value. Its errors name the variable or file, and nothing that may be the secret itself
// in the wrong place.
func readSecret(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return "", fmt.Errorf("expected %s, got %s", secretWhat, kind(v))
	}
	if len(m) != 1 {
		return "", fmt.Errorf("expected %s, got an object with %d fields", secretWhat, len(m))
	}
	if name, ok := m["env"]; ok {
		return secretEnv(name)
	}
	if path, ok := m["file"]; ok {
		return secretFile(path)
	}
	return "", fmt.Errorf("expected %s, got an object with another field", secretWhat)
}

func secretEnv(v any) (string, error) {
	name, ok := v.(string)
	if !ok || name == "" {
		return "", fmt.Errorf("expected the name of an environment variable in env, got %s", kind(v))
	}
	if !plainWord(name) || strings.Contains(name, "-") {
		return "", errors.New("expected the name of an environment variable in env, got another string")
	}
	shown := "environment variable " + name
	if strings.ToUpper(name) != name { // no usual name: it may be the secret itself, in the wrong place
		shown = "the environment variable in env"
	}
	s, ok := os.LookupEnv(name)
	if !ok {
		return "", fmt.Errorf("%s is not set; set it where Envoy is started", shown)
	}
	if s == "" {
		return "", fmt.Errorf("%s is empty", shown)
	}
	return s, nil
}

func secretFile(v any) (string, error) {
	path, ok := v.(string)
	if !ok || path == "" {
		return "", fmt.Errorf("expected the path of a file in file, got %s", kind(v))
	}
	b, err := readFile(path)
	if err != nil {
		if p := (*fs.PathError)(nil); errors.As(err, &p) {
			err = p.Err
		}
		const most = 200
		if !filepath.IsAbs(path) || len(path) > most || strings.ContainsAny(path, "\n\r") { // as above
			path = "(not shown, as its path is relative or long)"
		}
		return "", fmt.Errorf("secret file %s: %w", path, err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

func readFile(path string) ([]byte, error) {
	// Before it is opened, because to open a pipe waits for its other end.
	if st, err := os.Stat(path); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, errors.New("is not a file with content")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxSecret:
		return nil, fmt.Errorf("is larger than %d bytes", maxSecret)
	case len(b) == 0:
		return nil, errors.New("is empty")
	}
	return b, nil
}

// Digest returns a digest of what the {env: NAME} and {file: PATH} objects anywhere in raw hold; it changes when one of
// them does. It is for data whose types are not known; what looks like a secret is taken for one.
func (s *SecretReader) Digest(raw any) [sha256.Size]byte {
	h := sha256.New()
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if reference(v) != "" {
				s, err := s.read(v)
				sum := sha256.Sum256([]byte(s))
				fmt.Fprintf(h, "%x %t;", sum, err == nil)
				return
			}
			for _, k := range sortedKeys(v) {
				walk(v[k])
			}
		}
	}
	walk(raw)
	return [sha256.Size]byte(h.Sum(nil))
}
