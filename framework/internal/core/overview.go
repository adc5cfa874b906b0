package core

// Overview is what is at work in the process, for people: names and numbers, and nothing of a configuration.
type Overview struct {
	// Filters are the configurations of HTTP filters that are in use: those of now, and older ones while streams run on them.
	Filters []FilterOverview `json:"filters"`
	// Instances are the provisioned plugins and extensions of other kinds.
	Instances []InstanceOverview `json:"instances"`
	// ConsumerSets are the sources of consumers.
	ConsumerSets []ConsumerSetOverview `json:"consumerSets"`
	// ConsumerChains is how many chains of consumers are kept.
	ConsumerChains int `json:"consumerChains"`
	// LeftOut is how many filters, chains, plugins of chains and sets are there beyond what is shown.
	LeftOut int `json:"leftOut"`
}

// FilterOverview is the configuration of an HTTP filter.
type FilterOverview struct {
	Host   string          `json:"host"`
	Name   string          `json:"name"`
	Chains []ChainOverview `json:"chains"` // that the filter and its routes make
}

// ChainOverview is a chain.
type ChainOverview struct {
	Plugins []PluginOverview `json:"plugins"` // in the order of requests
}

// PluginOverview is a plugin of a chain.
type PluginOverview struct {
	ID    string `json:"id"`
	Name  string `json:"name"` // that it is registered under
	Stage string `json:"stage"`
}

// InstanceOverview is how often a plugin is provisioned.
type InstanceOverview struct {
	Kind  string `json:"kind"` // "http", or the kind's package
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// ConsumerSetOverview is a source of consumers.
type ConsumerSetOverview struct {
	Source    string `json:"source,omitempty"` // a path; "" for those that a document lists
	Consumers int    `json:"consumers"`
}
