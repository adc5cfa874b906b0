package filter

import (
	"slices"
	"testing"

	"mosn.io/moe/framework/internal/core"
)

func TestKnownCredentialPlaces(t *testing.T) {
	door := Internals(core.Internal{})
	door.NoteCredentials(CredentialPlaces{Headers: []string{"X-Test-Key", ""}, Queries: []string{"Test"}, Cookies: []string{"test*"}})
	first := KnownCredentialPlaces()
	if !slices.Contains(first.Headers, "x-test-key") || !slices.Contains(first.Queries, "Test") ||
		!slices.Contains(first.Cookies, "test*") || slices.Contains(first.Headers, "") {
		t.Errorf("got %+v, want the header in lower case, the query and the cookie", first)
	}
	door.NoteCredentials(CredentialPlaces{Headers: []string{"x-test-key"}})
	if got := KnownCredentialPlaces(); got != first {
		t.Errorf("got another pointer, %+v, though nothing was added to %+v", got, first)
	}
	door.NoteCredentials(CredentialPlaces{Headers: []string{"x-test-more"}})
	if got := KnownCredentialPlaces(); got == first || !slices.Contains(got.Headers, "x-test-key") || slices.Contains(first.Headers, "x-test-more") {
		t.Errorf("got %+v after %+v, want a new value with both headers", got, first)
	}
}
