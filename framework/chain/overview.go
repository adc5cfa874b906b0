package chain

import "mosn.io/moe/framework/internal/core"

// Overview returns the chain's plugins for people, most of them at most, and how many there are beyond.
func (c *Chain) Overview(most int) (o core.ChainOverview, leftOut int) {
	shown := c.plugins[:min(most, len(c.plugins))]
	o.Plugins = make([]core.PluginOverview, len(shown))
	for i := range shown {
		p := &shown[i]
		o.Plugins[i] = core.PluginOverview{ID: p.Name, Name: p.Reg.Name, Stage: p.Reg.Stage.String()}
	}
	return o, len(c.plugins) - len(shown)
}
