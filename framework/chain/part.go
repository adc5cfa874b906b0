package chain

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// partKey is where in [core.PartNamespace] a part of a chain tells the next what it has found out.
const partKey = "before"

// Part says which part of the plugins a chain has, where several filters of a stream share them.
type Part struct {
	// Follows is that a filter before has run the plugins of the stages before. The chain goes on with the consumer, and the
	// values of shared keys, that it has found, and does not remove again what clients could forge. A request
	// that has not passed that filter is answered with 500 and details moe.part.
	Follows bool
	// Leads is that filters behind run the plugins of the stages after.
	Leads bool
}

// partState is what a stream knows of the parts before and after its own.
type partState struct {
	taken bool // what the part before has found is known
	given bool // the part after can know
}

// findings are what a part tells the next.
type findings struct {
	Consumer *foundConsumer    `json:"consumer,omitempty"`
	Values   map[string][]byte `json:"values,omitempty"` // of shared keys, which need not be UTF-8
}

// foundConsumer is what plugins may know of a consumer after authentication.
type foundConsumer struct {
	Name       string            `json:"name"`
	Labels     map[string]string `json:"labels,omitempty"`
	Groups     []string          `json:"groups,omitempty"`
	Attributes map[string]any    `json:"attributes,omitempty"`
}

// foundNothing is what a part tells that has found nothing.
const foundNothing = "{}"

// handOver tells the next part what this one has found. An error means that the next part does not know.
func (st *Stream) handOver() error {
	if !st.home.options.Part.Leads || st.part.given {
		return nil
	}
	st.part.given = true
	var f findings
	st.Mu.Lock()
	consumer, _ := st.Consumer.(*filter.Consumer)
	for _, v := range st.Vals {
		if key, ok := v.Key.(core.SharedKey); ok {
			if f.Values == nil {
				f.Values = map[string][]byte{}
			}
			f.Values[string(key)] = []byte(v.Value.(string))
		}
	}
	st.Mu.Unlock()
	if consumer != nil {
		f.Consumer = &foundConsumer{consumer.Name, consumer.Labels, consumer.Groups, consumer.Attributes}
	}
	text := foundNothing
	if f.Consumer != nil || f.Values != nil {
		b, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("the consumer's attributes: %w", err)
		}
		text = string(b)
	}
	return st.Host.SetMetadata(core.PartNamespace, partKey, text)
}

// takeOver learns what the part before has found.
func (st *Stream) takeOver() error {
	if !st.home.options.Part.Follows || st.part.taken {
		return nil
	}
	st.part.taken = true
	v, err := st.Host.Metadata(core.PartNamespace, partKey)
	if err != nil {
		return fmt.Errorf("what the filter before has found: %w", err)
	}
	text, _ := v.(string)
	if text == foundNothing {
		return nil
	}
	var f findings
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&f); err != nil {
		return fmt.Errorf("what the filter before has found: %w", err)
	}
	st.Mu.Lock()
	defer st.Mu.Unlock()
	if c := f.Consumer; c != nil {
		for k, v := range c.Attributes {
			c.Attributes[k] = numbered(v)
		}
		st.Consumer = &filter.Consumer{Name: c.Name, Labels: c.Labels, Groups: c.Groups, Attributes: c.Attributes}
		st.consumer.identified = true
	}
	for name, value := range f.Values {
		st.Vals = append(st.Vals, core.Val{Key: core.SharedKey(name), Value: string(value)})
	}
	return nil
}

// numbered gives the numbers in v the types that those of a document have.
func numbered(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = numbered(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbered(v[k])
		}
	}
	return v
}

// enter has a request into this part. It reports false when the request was answered.
func (st *Stream) enter(d *direction) bool { return st.joined(d, st.takeOver()) }

// leave has a request out of this part; as enter.
func (st *Stream) leave(d *direction) bool { return st.joined(d, st.handOver()) }

func (st *Stream) joined(d *direction, err error) bool {
	if err == nil {
		return true
	}
	if len(st.chain.loggers) > 0 {
		st.log(index(max(min(d.at, d.n-1), 0))).Error("a request is refused at the bounds of its filter's stages", "error", err)
	}
	st.reply(d, d.at, failed, "moe.part")
	return false
}
