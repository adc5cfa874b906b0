// Package importcheck holds the map of this repository: which folder may import which. Its tests compare the map with
// the code.
package importcheck

import "strings"

// area is a folder and everything below it, except folders that are areas themselves.
type area struct {
	folder string
	// uses lists the areas that the area's packages may import besides their own. Tests may import more.
	uses string
	// light limits what may be linked in from elsewhere, directly or not, to the standard library and lightModules, and
	// forbids cgo: a plugin's tests compile in a second, on any system.
	light bool
}

// lightModules are the modules that a light area may link in: the API of traces, and a hash that it needs.
var lightModules = []string{"go.opentelemetry.io/otel", "github.com/cespare/xxhash"}

// toDocuments is what it takes to run chains of plugins by documents.
const toDocuments = "framework/internal framework/extension framework/filter framework/chain framework/telemetry " +
	"framework/debugview framework/config framework/document framework/assembly"

// areas is the map, from the bottom to the top: an area uses only areas that are listed before it. Plugins know
// filter alone; chain runs plugins; assembly makes chains from documents; hosts feed them; programs put it together.
var areas = []area{
	// What the author of a plugin imports, and what lies beneath it.
	{folder: "framework/internal"},
	{folder: "framework/extension", uses: "framework/internal", light: true},
	{folder: "framework/filter", uses: "framework/internal framework/extension", light: true},
	{folder: "framework/accesslog", uses: "framework/internal framework/extension", light: true},
	{folder: "framework/certvalidator", uses: "framework/internal framework/extension", light: true},
	{folder: "framework/network", uses: "framework/internal framework/extension", light: true},
	{folder: "framework/listener", uses: "framework/internal framework/extension", light: true},
	{folder: "framework/udp", uses: "framework/internal framework/extension", light: true},
	{folder: "framework/bootstrap", uses: "framework/internal framework/extension", light: true},
	{folder: "framework/nethttp", uses: "framework/internal framework/extension framework/filter", light: true},

	// One stream through a list of plugins. It knows neither documents nor hosts.
	{folder: "framework/chain", uses: "framework/internal framework/extension framework/filter"},
	{folder: "framework/debugview", uses: "framework/internal framework/extension framework/filter framework/chain"},

	// What is counted, for whoever shows it.
	{folder: "framework/metrics", uses: "framework/internal"},

	// What is to be seen of streams: traces. The SDK is for those who want it.
	{folder: "framework/telemetry", uses: "framework/internal framework/extension framework/filter framework/chain"},
	{folder: "framework/telemetry/otlp", uses: "framework/telemetry framework/metrics"},

	// Configuration. The decoder knows neither documents nor filters; the document knows what a chain consists of.
	{folder: "framework/config", uses: "framework/extension"},
	{folder: "framework/document", uses: "framework/extension framework/filter framework/config"},
	{folder: "framework/assembly", uses: "framework/internal framework/extension framework/filter framework/chain framework/telemetry " +
		"framework/debugview framework/config framework/document"},

	// Hosts. What a host can do is data in framework/host, for programs that run no host.
	{folder: "framework/host", uses: "framework/internal framework/extension framework/filter"},
	{folder: "framework/host/internal", uses: "framework/host " + toDocuments},
	{folder: "framework/host/dynmod", uses: "framework/host framework/host/internal framework/accesslog framework/network " +
		"framework/listener framework/udp framework/certvalidator framework/bootstrap " + toDocuments},
	{folder: "framework/host/golang", uses: "framework/host framework/host/internal " + toDocuments},
	{folder: "framework/host/extproc", uses: "framework/metrics framework/host framework/host/internal " + toDocuments},
	{folder: "framework/filtertest", uses: "framework/internal framework/extension framework/filter framework/chain " +
		"framework/config"},
	{folder: "framework/internal/testhost", uses: "framework/internal framework/extension framework/config"},
	{folder: "framework/accesslog/accesslogtest", uses: "framework/accesslog framework/internal framework/extension " +
		"framework/internal/testhost"},
	{folder: "framework/certvalidator/certvalidatortest", uses: "framework/certvalidator framework/internal " +
		"framework/extension framework/internal/testhost"},
	{folder: "framework/network/networktest", uses: "framework/network framework/internal framework/extension " +
		"framework/internal/testhost"},
	{folder: "framework/listener/listenertest", uses: "framework/listener framework/internal framework/extension " +
		"framework/internal/testhost"},
	{folder: "framework/udp/udptest", uses: "framework/udp framework/internal framework/extension " +
		"framework/internal/testhost"},
	{folder: "framework/bootstrap/bootstraptest", uses: "framework/bootstrap framework/internal framework/extension " +
		"framework/internal/testhost"},
	{folder: "framework/vet"},

	// MOSN's filters as a plugin.
	{folder: "framework/mosn", uses: "framework/internal framework/extension framework/filter framework/listener framework/network framework/config"},
	{folder: "framework"}, // the glossary

	// The plugins in the box. The package plugins itself is the list of them all: only programs and tests import it.
	{folder: "internal/filewatch"},
	{folder: "internal/testcert"},
	{folder: "internal/redistest", uses: "internal/testcert"},
	{folder: "internal/ldaptest"},
	{folder: "internal/geotest"},
	{folder: "plugins/internal", uses: "framework/extension framework/filter framework/filtertest internal/filewatch"},
	{folder: "plugins", uses: "framework/extension framework/accesslog framework/bootstrap framework/certvalidator framework/listener framework/network " +
		"framework/udp framework/filter framework/nethttp plugins/internal"},

	// Consumers from files.
	{folder: "pkg/consumer", uses: "framework/config framework/document framework/assembly internal/filewatch"},

	// The rooms of the command: other people's code cannot import them.
	{folder: "internal/importcheck"},
	{folder: "internal/doccheck"},
	{folder: "internal/testcheck"},
	{folder: "internal/prosecheck"},
	{folder: "internal/tempdir"},
	{folder: "internal/doccomments"},
	{folder: "internal/build", uses: "internal/doccomments internal/tempdir"},
	{folder: "internal/echo"},
	{folder: "internal/timeline", uses: "framework/debugview"},
	{folder: "internal/ui", uses: "framework/extension framework/filter framework/debugview framework/config framework/document " +
		"internal/timeline"},
	{folder: "internal/envoy", uses: "internal/build internal/tempdir"},
	{folder: "internal/mosnconf", uses: "framework/extension framework/config"},
	{folder: "internal/protocheck", uses: "framework/config"},
	{folder: "internal/bootstrap", uses: "framework/config framework/document framework/extension framework/host internal/protocheck"},
	{folder: "internal/moefile", uses: "framework/host framework/accesslog framework/bootstrap framework/certvalidator framework/listener framework/network " +
		"framework/udp internal/bootstrap " +
		"pkg/consumer " + toDocuments},
	{folder: "internal/extprocd", uses: "framework/host/extproc framework/telemetry/otlp internal/filewatch internal/moefile " + toDocuments},

	// Istio's resources. It knows what hosts can do and runs none.
	{folder: "pkg/istio", uses: "framework/host internal/bootstrap internal/build internal/envoy internal/protocheck " + toDocuments},

	// Programs.
	{folder: "internal/cmd", uses: "framework/extension framework/bootstrap framework/filter framework/network framework/listener framework/udp framework/certvalidator framework/config framework/document framework/metrics framework/assembly pkg/istio " +
		"internal/doccomments internal/moefile plugins"},
	{folder: "cmd/libmoe", uses: "framework/host/dynmod framework/host/golang framework/telemetry/otlp pkg/consumer plugins"},
	{folder: "cmd/moe/cli", uses: "framework/accesslog framework/bootstrap framework/certvalidator framework/extension framework/listener framework/network framework/udp framework/filter framework/config framework/document " +
		"framework/host framework/host/extproc framework/debugview framework/vet pkg/istio internal/bootstrap internal/build internal/doccomments " +
		"internal/echo internal/envoy internal/extprocd internal/filewatch internal/moefile internal/mosnconf internal/tempdir internal/timeline internal/ui"},
	{folder: "cmd/moe", uses: "cmd/moe/cli plugins"},
	{folder: "docs/examples", uses: "framework/extension framework/filter framework/nethttp"},
	{folder: "bench", uses: "framework/filter framework/host/dynmod framework/host/extproc framework/host/golang " +
		"internal/envoy internal/extprocd pkg/consumer plugins"},
}

// areaOf returns the area of a package, by its path within the module, or nil.
func areaOf(path string) *area {
	var found *area
	for i := range areas {
		a := &areas[i]
		if (path == a.folder || strings.HasPrefix(path, a.folder+"/")) && (found == nil || len(a.folder) > len(found.folder)) {
			found = a
		}
	}
	return found
}

// allowed reports whether packages of area a may import packages of area b.
func (a *area) allowed(b *area) bool {
	if a == b {
		return true
	}
	for _, u := range strings.Fields(a.uses) {
		if u == b.folder {
			return true
		}
	}
	return false
}
