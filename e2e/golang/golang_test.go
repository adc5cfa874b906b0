package golang

import (
	"testing"

	"mosn.io/moe/e2e/conformance"
)

// TestConformance runs every scenario on every Envoy.
func TestConformance(t *testing.T) { conformance.Run(t, &Host{}) }

// TestControl proves that the scenarios fail where the filter is missing.
func TestControl(t *testing.T) { conformance.Control(t, &Host{}) }
