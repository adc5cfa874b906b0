package accesslog

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/host/internal/abitest"
)

// Every hook and callback that we declare has Envoy's signature.
func TestSignatures(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	abitest.Signatures(t, theirs, ours, "GET(headers_size)(void *, ", "GET(headers_size)(int, ")
}

// Every constant and every member of a struct is where Envoy has it, and events are numbered as there.
func TestTypes(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	abitest.Types(t, theirs, ours)
	var want, got []string
	for _, m := range regexp.MustCompile(`envoy_dynamic_module_type_access_log_type_(\w+) = \d+`).
		FindAllStringSubmatch(abitest.Read(t, theirs), -1) {
		want = append(want, m[1])
	}
	for e := accesslog.Event(0); e.String() != ""; e++ {
		got = append(got, e.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-Envoy +ours):\n%s", diff)
	}
}

// C finds fields by tables in the order of Go's constants.
func TestFieldOrder(t *testing.T) {
	header, code := abitest.Read(t, "abi.h"), abitest.Read(t, "hooks.c")
	table := func(name string) (all []string) {
		_, rest, _ := strings.Cut(header, "#define "+name+"(X)")
		rest, _, _ = strings.Cut(rest, "#define DECLARE")
		for _, m := range regexp.MustCompile(`X\((\w+)\)`).FindAllStringSubmatch(rest, -1) {
			all = append(all, m[1])
		}
		return all
	}
	function := func(name string) (all []string) {
		_, rest, _ := strings.Cut(code, " "+name+"(")
		rest, _, _ = strings.Cut(rest, "\n}\n")
		for _, m := range regexp.MustCompile(`(?:GET\(|access_logger_is_)(\w+)\)`).FindAllStringSubmatch(rest, -1) {
			all = append(all, m[1])
		}
		return all
	}
	for name, c := range map[string]struct{ got, want []string }{
		"texts":     {fields[accesslog.TextField](), table("TEXTS")},
		"addresses": {fields[accesslog.AddrField](), table("ADDRESSES")},
		"lists":     {fields[accesslog.ListField](), table("LISTS")},
		"numbers":   {fields[accesslog.NumberField](), function("moe_entry_number")},
		"truths":    {fields[accesslog.TruthField](), function("moe_entry_truth")},
		"times":     {fields[accesslog.TimeField](), function("moe_entry_time")},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.got); diff != "" || len(c.want) < 4 {
				t.Errorf("the fields of C and Go (-C +Go):\n%s", diff)
			}
		})
	}
}

// fields lists the fields of a kind.
func fields[F interface {
	~uint8
	String() string
}]() (all []string) {
	for f := F(0); f.String() != ""; f++ {
		all = append(all, f.String())
	}
	return all
}
