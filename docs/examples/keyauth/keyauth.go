// Package keyauth finds the consumer by an API key.
//
// It shows consumers: the operator lists who may call, each with credentials for the plugins that authenticate;
// IndexConsumers decodes those of this plugin, and SetConsumer tells the rest of the chain, and the access log, who it
// is. Unauthenticated lets another plugin look for another credential, if there is one. The plugin in the box does more,
// see plugins/keyauth.
package keyauth

import (
	"strings"

	"mosn.io/moe/framework/filter"
)

// KeyAuth authenticates by a key in a header or in a query parameter.
type KeyAuth struct {
	// Header holds the key.
	Header string `json:"header" default:"x-api-key"`
	// Query is the parameter that may hold the key instead.
	Query string `json:"query"`

	consumers *filter.Index[Credential]
}

// Credential is a consumer's `credentials.keyauth`.
type Credential struct {
	Key filter.Secret `json:"key" validate:"required"`
}

func init() { filter.Register[KeyAuth]("keyauth", filter.Authn, filter.WithCredential[Credential]()) }

// Provision indexes the consumers.
func (k *KeyAuth) Provision(env *filter.Env) (err error) {
	k.consumers, err = filter.IndexConsumers(env, func(c *Credential) []string { return []string{c.Key.Reveal()} })
	return err
}

var (
	denied = filter.Reply(401, "invalid key\n", filter.WithHeader("www-authenticate", "ApiKey"))
	noKey  = filter.Unauthenticated(denied)
)

// OnRequestHeaders authenticates. The upstream does not see the key.
func (k *KeyAuth) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	key := h.Get(k.Header)
	if key == "" && k.Query != "" {
		key = k.takeQuery(h)
	}
	if key == "" {
		return noKey
	}
	c, _ := k.consumers.Find(key)
	if c == nil {
		return denied
	}
	s.SetConsumer(c)
	h.Del(k.Header)
	return filter.Continue
}

// takeQuery removes the parameter from the path and returns its value. The other parameters stay as they were sent.
func (k *KeyAuth) takeQuery(h filter.RequestHeaders) string {
	path, query, _ := strings.Cut(h.Path(), "?")
	var rest []string
	for part := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(part, "="); name != k.Query {
			rest = append(rest, part)
		}
	}
	key := h.URL().Query().Get(k.Query)
	if len(rest) > 0 {
		path += "?" + strings.Join(rest, "&")
	}
	h.SetPath(path)
	return key
}
