package probes

import (
	"encoding/json"
	"errors"
	"time"

	"mosn.io/moe/framework/filter"
)

// Config shows its configuration in the response header x-config, and counts its requests in x-count: the count tells
// whether an instance has survived.
type Config struct {
	// Rate is a number.
	Rate int `json:"rate" default:"7" validate:"min=0"`
	// Wait is a duration.
	Wait time.Duration `json:"wait"`
	// Tags replace each other when merged.
	Tags []string `json:"tags"`
	// Nested merges.
	Nested Nested `json:"nested"`
	// Token never prints.
	Token filter.Secret `json:"token"`
	// Fail is where to fail: validate, provision or panic.
	Fail string `json:"fail"`
	// Pad makes a configuration large.
	Pad string `json:"pad"`

	count *count
}

// Nested is an object in a Config.
type Nested struct {
	// A is a text.
	A string `json:"a"`
	// B is a text.
	B string `json:"b"`
}

// Validate fails if Fail says so.
func (c *Config) Validate() error {
	if c.Fail == "validate" {
		return errors.New("told to fail in Validate")
	}
	return nil
}

// Provision fails if Fail says so.
func (c *Config) Provision(*filter.Env) error {
	switch c.Fail {
	case "provision":
		return errors.New("told to fail in Provision")
	case "panic":
		panic("told to panic in Provision")
	}
	Live.Provisioned.Add(1)
	c.count = &count{}
	return nil
}

// Close counts.
func (c *Config) Close() error {
	Live.Closed.Add(1)
	return nil
}

// OnResponseHeaders shows the configuration.
func (c *Config) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	p, _ := json.Marshal(map[string]any{
		"rate": c.Rate, "wait": c.Wait.String(), "tags": c.Tags,
		"a": c.Nested.A, "b": c.Nested.B, "token": len(c.Token.Reveal()), "pad": len(c.Pad),
	})
	h.Set("x-config", string(p))
	h.Set("x-count", c.count.next())
	return filter.Continue
}
