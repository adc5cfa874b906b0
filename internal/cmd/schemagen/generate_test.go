package main

import "testing"

// What is written must be what the source says now.
func TestSchemasAreFresh(t *testing.T) {
	stale, err := generate(registrations(), false)
	if err != nil {
		t.Fatalf("generate: %v", err)
	}
	more, err := generateDocuments(false)
	if err != nil {
		t.Fatalf("generateDocuments: %v", err)
	}
	for _, path := range append(stale, more...) {
		t.Errorf("%s is stale; run `go run ./internal/cmd/schemagen`", path)
	}
}
