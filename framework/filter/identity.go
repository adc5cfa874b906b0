package filter

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Optional interfaces of a plugin's configuration that say which parts of a request are about the caller's identity. They
// are asked of the decoded and validated configuration, before Provision and also where an entry is disabled.
type (
	// HeaderOwner has request headers by which it tells the upstream who the caller is, such as a header with a claim of a
	// token. The chain removes them from what clients send, whether the plugin is asked or not.
	HeaderOwner interface{ OwnsRequestHeaders() []string }
	// CredentialReader looks for credentials in places of a request. Plugins that log requests hide what is there.
	CredentialReader interface{ ReadsCredentials() CredentialPlaces }
)

// CredentialPlaces are places of a request that may hold a credential.
type CredentialPlaces struct {
	// Headers are names of request headers, in any case.
	Headers []string
	// Queries are names of query parameters.
	Queries []string
	// Cookies are names of cookies. A star at the end stands for any rest of the name.
	Cookies []string
}

var known struct {
	mu     sync.Mutex
	places atomic.Pointer[CredentialPlaces]
}

func init() { known.places.Store(&CredentialPlaces{}) }

// KnownCredentialPlaces returns the places in which the plugins of any chain of this process look for credentials, also of
// chains that are gone: a client may send its credential where no plugin asks for it. Names of headers are in lower case. The
// result must not be changed; it is the same pointer as long as no place is added.
func KnownCredentialPlaces() *CredentialPlaces { return known.places.Load() }

// NoteCredentials adds places to [KnownCredentialPlaces].
func (internals) NoteCredentials(p CredentialPlaces) {
	known.mu.Lock()
	defer known.mu.Unlock()
	old := known.places.Load()
	headers := make([]string, len(p.Headers))
	for i, name := range p.Headers {
		headers[i] = strings.ToLower(name)
	}
	all := &CredentialPlaces{
		Headers: union(old.Headers, headers), Queries: union(old.Queries, p.Queries), Cookies: union(old.Cookies, p.Cookies),
	}
	if len(all.Headers)+len(all.Queries)+len(all.Cookies) > len(old.Headers)+len(old.Queries)+len(old.Cookies) {
		known.places.Store(all)
	}
}

// union returns the names of both lists, each once.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, name := range b {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
