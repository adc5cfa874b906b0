package probes

import "mosn.io/moe/framework/filter"

// Key is a plugin of the authn stage that knows consumers by the header x-key.
type Key struct {
	// Optional lets requests without a key pass.
	Optional bool `json:"optional"`

	consumers *filter.Index[keyCredential]
}

type keyCredential struct {
	Key string `json:"key"`
}

// Provision indexes the consumers.
func (k *Key) Provision(env *filter.Env) (err error) {
	k.consumers, err = filter.IndexConsumers(env, func(c *keyCredential) []string { return []string{c.Key} })
	return err
}

// OnRequestHeaders sets the consumer whose key it is.
func (k *Key) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	c, _ := k.consumers.Find(h.Get("x-key"))
	switch {
	case c != nil:
		s.SetConsumer(c)
	case h.Has("x-key") || !k.Optional:
		return filter.Reply(401, "who are you?")
	}
	return filter.Continue
}
