package filter

import (
	"errors"
	"reflect"
	"slices"
	"sync/atomic"

	"mosn.io/moe/framework/internal/core"
)

// Consumer is who sent a request, as an authentication plugin found out. It is shared by streams and goroutines: read
// it only. A plugin may make one for a caller that nobody has listed, as a token describes him.
type Consumer struct {
	// Name tells consumers apart.
	Name string
	// Labels and Groups are what the operator wrote about the consumer, for authorization.
	Labels map[string]string
	Groups []string
	// Attributes are whatever else he wrote.
	Attributes map[string]any
	// Credentials are by the plugin's registered name; [IndexConsumers] reads them.
	Credentials map[string]map[string]any `json:"-"`

	boxed   atomic.Pointer[boxed]
	overlay any
}

// SetOverlay is for the framework's own packages: what the plugins of a consumer from a file are merged from.
func SetOverlay(_ core.Internal, c *Consumer, overlay any) { c.overlay = overlay }

// Overlay returns what SetOverlay has set.
func Overlay(_ core.Internal, c *Consumer) any { return c.overlay }

// boxed is what Envoy's metadata say of a consumer, made once so that requests need not.
type boxed struct{ name, groups any }

// ConsumerMetadata is for the framework's own packages: the consumer's name, and the list of his groups or nil.
func ConsumerMetadata(_ core.Internal, c *Consumer) (name, groups any) {
	b := c.boxed.Load()
	if b == nil {
		b = &boxed{name: c.Name}
		if len(c.Groups) > 0 {
			list := make([]any, len(c.Groups))
			for i, g := range c.Groups {
				list[i] = g
			}
			b.groups = list
		}
		c.boxed.Store(b)
	}
	return b.name, b.groups
}

// InGroup reports whether the consumer is in a group; nil is in none.
func (c *Consumer) InGroup(group string) bool { return c != nil && slices.Contains(c.Groups, group) }

// WithCredential declares that the plugin authenticates requests, and that a consumer's `credentials.NAME` are a C: a
// struct with the tags of a configuration. The plugin is of stage [Authn]. See [Unauthenticated] for how several such
// plugins work together.
func WithCredential[C any]() Option {
	return func(r *Registration) { r.Credential, r.Scheme = reflect.TypeFor[C](), true }
}

// Authenticates is [WithCredential] for a plugin whose consumers are not listed, or have no credentials for it.
func Authenticates() Option { return func(r *Registration) { r.Scheme = true } }

// AuthenticatesLast declares that the plugin takes the requests in which the plugins that authenticate found no
// credential at all. It runs after them, wherever it is listed, and for no other request.
func AuthenticatesLast() Option { return func(r *Registration) { r.LastScheme = true } }

// Unauthenticated says that the request carries no credential of the kind that the plugin checks. (Answer a wrong one
// with a [Reply].) What happens then is the operator's choice:
//
//   - With `authentication: all`, which is the default, or when no other plugin finds a credential, the request is
//     refused with reply, once all plugins that authenticate have been asked.
//   - With `authentication: any`, it goes on if one of the others lets it pass. Those after that are not asked.
//   - A plugin with [AuthenticatesLast] takes the request if all of them found nothing.
//
// When several plugins found nothing, replies with the status 401 become one that has all their www-authenticate fields
// and is the first one's otherwise; but a reply of another status, as a redirect to a login page, goes before them.
//
// A plugin that was not registered with [WithCredential] or [Authenticates] just replies.
func Unauthenticated(reply Action) Action {
	if reply.a.Kind != core.Reply {
		return Fail(errors.New("Unauthenticated is given an action other than a Reply"))
	}
	return Action{core.Action{Kind: core.Unauthenticated, P: reply.a.P}}
}
