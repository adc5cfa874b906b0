package chain

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// What the chain writes to Envoy's dynamic metadata: %DYNAMIC_METADATA(moe:consumer)% in its access log.
const (
	MetadataNamespace = "moe"
	MetadataConsumer  = "consumer"
	MetadataGroups    = "consumer_groups" // a list; it is not there for a consumer in no group

	MetadataReplyDetails = "reply_details" // response code details of a reply with a reader
)

// ConsumerHeader is removed from every request of a chain whose plugins authenticate, so that no upstream takes a
// client's word for who it is.
const ConsumerHeader = "x-moe-consumer"

// Identity makes the consumer known outside the chain once the request has passed authentication: in Envoy's dynamic
// metadata and metrics, and a header if there is to be one.
type Identity struct {
	// Header is set to the consumer's name in requests that go on, in lower case; "": none is set. Clients cannot
	// forge it: what they send as Header or [ConsumerHeader], also with _ for -, is removed before any plugin runs.
	Header string
	// Owned are further request headers, in lower case, that only plugins may set: what clients send in them is removed,
	// as in Header. One in which a plugin of the chain looks for credentials is removed only when the request has passed
	// authentication, and stays if it was that plugin that let the request pass. See [filter.HeaderOwner].
	Owned []string
	// ReadLater are request headers, in lower case, in which plugins of a part look for credentials that is not the first:
	// of those in Owned, the part with these plugins removes what clients send.
	ReadLater []string
}

// strip removes from the request what a client could forge, before any plugin sees it.
func (st *Stream) strip(id *Identity) {
	st.removeRequestHeaders(func(name string) bool { return forged(name, ConsumerHeader) || forged(name, id.Header) })
}

// forged reports whether name is header to an upstream that does not tell _ from -, as CGI does not.
func forged(name, header string) bool {
	if len(name) != len(header) || header == "" {
		return false
	}
	for i := range len(name) {
		c, want := name[i], header[i]
		if c == '_' {
			c = '-'
		}
		if want == '_' {
			want = '-'
		}
		if c != want {
			return false
		}
	}
	return true
}

// identify makes the consumer known.
func (st *Stream) identify(id *Identity, c *filter.Consumer) {
	st.home.options.Meter.consumer(c.Name).Add(1)
	name, groups := shared.ConsumerMetadata(c)
	// A host without metadata, or one that does not want any of ours, is no reason to refuse a request.
	_ = st.Host.SetMetadata(MetadataNamespace, MetadataConsumer, name)
	if groups != nil {
		_ = st.Host.SetMetadata(MetadataNamespace, MetadataGroups, groups)
	}
	if id.Header != "" {
		st.setIdentityHeader(id.Header, c.Name)
	}
}

func (st *Stream) setIdentityHeader(name, value string) {
	if !internals.ValidReplyField(core.Field{Name: name, Value: value}) {
		return
	}
	st.Mu.Lock()
	defer st.Mu.Unlock()
	b := &st.H[core.RequestHeaders]
	i := b.Index(name)
	b.MarkChanged(name, i)
	if i >= 0 { // a plugin has set one
		b.SetValue(i, value)
		return
	}
	b.Fields = append(b.Fields, core.Field{Name: name, Value: value})
}
