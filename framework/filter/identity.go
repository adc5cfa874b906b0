package filter

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
