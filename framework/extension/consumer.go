package extension

import (
	"slices"
	"sync/atomic"
)

// Consumer is who sent a request, as an authentication plugin found out. It is shared by streams and goroutines: read
// it only. A plugin may make one for a caller that nobody has listed, such as the subject of a token.
type Consumer struct {
	// Name tells consumers apart.
	Name string
	// Labels and Groups are what the operator wrote about the consumer, for authorization.
	Labels map[string]string
	Groups []string
	// Attributes are whatever else the operator wrote.
	Attributes map[string]any
	// Credentials are by the plugin's registered name; [IndexConsumers] reads them.
	Credentials map[string]map[string]any `json:"-"`

	boxed   atomic.Pointer[boxed]
	overlay any
}

// InGroup reports whether the consumer is in a group; nil is in none.
func (c *Consumer) InGroup(group string) bool { return c != nil && slices.Contains(c.Groups, group) }

// boxed is what Envoy's metadata say of a consumer, made once so that requests need not.
type boxed struct{ name, groups any }

func (c *Consumer) metadata() (name, groups any) {
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
