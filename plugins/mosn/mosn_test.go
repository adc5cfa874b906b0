package mosn

import (
	"slices"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/mosn"
)

func TestRegistered(t *testing.T) {
	want := []string{
		"header_to_metadata", "ip_access", "payload_limit", "gzip", "fault", "fault_tolerance", "flowControlFilter", "dsl",
		"jwt_authn", "rbac", "proxywasm",
	}
	var lacks []string
	for _, typ := range want {
		if !slices.Contains(mosn.Types(), typ) {
			lacks = append(lacks, typ)
		}
	}
	if len(lacks) > 0 {
		t.Errorf("not registered: %q; registered are %q", lacks, mosn.Types())
	}
}

// TestSpeltWrong has the name of payload_limit's field without the blank at its end, which MOSN takes for no limit.
func TestSpeltWrong(t *testing.T) {
	err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "mosn", JSON: `{"stream_filters": [
		{"type": "payload_limit", "config": {"max_entity_size": 10, "http_status": 413}}]}`})
	if err == nil || !strings.Contains(err.Error(), `did you mean "max_entity_size "?`) {
		t.Errorf("the error is %v, want one that names the field with the blank", err)
	}
}
