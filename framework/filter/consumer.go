package filter

import "fmt"

// Consumer is who sent a request, as an authentication plugin found out. It is shared by streams: read it only.
type Consumer struct {
	Name string
	// Attributes are what the operator wrote about the consumer, for authorization.
	Attributes map[string]any
	// Credentials are by the plugin's registered name; [IndexConsumers] reads them.
	Credentials map[string]map[string]any `json:"-"`
}

// IndexConsumers decodes each consumer's credentials for this plugin (by its registered name, whatever its id in the
// chain) as a C, and returns the consumers by key. Two with one key, an empty key, or a credential that does not decode
// is an error; it does not quote the credential. It is to be called in Provision.
func IndexConsumers[C any](env *Env, key func(*C) string) (map[string]*Consumer, error) {
	m := map[string]*Consumer{}
	for _, c := range env.consumers {
		raw, ok := c.Credentials[env.Plugin]
		if !ok {
			continue
		}
		cred := new(C)
		if err := env.decode(raw, cred); err != nil {
			return nil, fmt.Errorf("consumer %s: %w", c.Name, err)
		}
		switch k := key(cred); {
		case k == "":
			return nil, fmt.Errorf("consumer %s: the credential is empty", c.Name)
		case m[k] != nil:
			return nil, fmt.Errorf("consumers %s and %s have the same credential", m[k].Name, c.Name)
		default:
			m[k] = c
		}
	}
	return m, nil
}
