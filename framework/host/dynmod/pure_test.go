package dynmod

import (
	"strings"
	"testing"
)

func TestAttributesAreUnique(t *testing.T) {
	if len(attributeIDs) != len(attributes) || strings.Join(attributes[:2], " ") != "request.path request.url_path" {
		t.Errorf("%d names have %d numbers; the first are %v, want request.path and request.url_path", len(attributes),
			len(attributeIDs), attributes[:2])
	}
}
