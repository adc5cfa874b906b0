package filter

import (
	"errors"
	"reflect"

	"mosn.io/moe/framework/internal/core"
)

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
// When several plugins found nothing, one reply is sent: the first whose status is not 401, such as a redirect to a login
// page. If all are 401, it is the first of them, with the www-authenticate fields of all.
//
// A plugin that was not registered with [WithCredential] or [Authenticates] just replies.
func Unauthenticated(reply Action) Action {
	if reply.a.Kind != core.Reply {
		return Fail(errors.New("Unauthenticated is given an action other than a Reply"))
	}
	return Action{core.Action{Kind: core.Unauthenticated, P: reply.a.P}}
}
