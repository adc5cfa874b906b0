package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

// ToHeader has the upstream see a claim.
type ToHeader struct {
	// Claim is its name, or the names of nested ones joined by dots.
	Claim string `json:"claim" validate:"required"`
	// Header is the name of the request header.
	Header string `json:"header" validate:"required"`
}

// Output says where the claims of a token go.
type Output struct {
	// ClaimsToHeaders are claims that become request headers. Such headers of a client are removed.
	ClaimsToHeaders []ToHeader `json:"claimsToHeaders"`
	// ClaimsToMetadata are claims that become dynamic metadata; * stands for all of them, under the key claims.
	ClaimsToMetadata []string `json:"claimsToMetadata"`
	// ConsumerClaim is the claim that the consumer is found by. If it is set, a token without a listed consumer is refused.
	ConsumerClaim string `json:"consumerClaim"`

	consumers *filter.Index[Credential]
	namespace string
	forwards  bool
}

// Credential is how a consumer's tokens are known.
type Credential struct {
	// Subject is what the claim says that the plugin's consumerClaim names.
	Subject string `json:"subject" validate:"required"`
	// Issuer is the claim iss. Without it the tokens of every provider will do.
	Issuer string `json:"issuer"`
}

// consumerKey is what a consumer is found by.
func consumerKey(issuer, subject string) string { return issuer + "\x00" + subject }

// Validate says what is wrong with the names.
func (o *Output) Validate() error {
	var errs []error
	for i, c := range o.ClaimsToHeaders {
		if err := fieldname.Check(c.Header); err != nil {
			errs = append(errs, fmt.Errorf("claimsToHeaders[%d].header: %w", i, err))
		}
	}
	if slices.Contains(o.ClaimsToMetadata, "") {
		errs = append(errs, errors.New("claimsToMetadata: a name is empty"))
	}
	return errors.Join(errs...)
}

// Start finds the consumers. forwards is whether the upstream sees the token, and so all that is in it. Call Start in Provision,
// before the other methods.
func (o *Output) Start(env *filter.Env, forwards bool) (err error) {
	for i := range o.ClaimsToHeaders {
		o.ClaimsToHeaders[i].Header = strings.ToLower(o.ClaimsToHeaders[i].Header)
	}
	if len(o.ClaimsToMetadata) > 0 && !env.Has(filter.CanSetMetadata) {
		return errors.New("claimsToMetadata: this host has no dynamic metadata")
	}
	o.namespace, o.forwards = "moe."+env.ID, forwards
	o.consumers, err = filter.IndexConsumers(env, func(c *Credential) []string {
		return []string{consumerKey(c.Issuer, c.Subject)}
	})
	return err
}

// Strip removes a client's headers with the names of ClaimsToHeaders.
func (o *Output) Strip(h filter.RequestHeaders) {
	for i := range o.ClaimsToHeaders {
		if name := o.ClaimsToHeaders[i].Header; h.Has(name) {
			h.Del(name)
		}
	}
}

// OwnsRequestHeaders is that of filter.HeaderOwner.
func (o *Output) OwnsRequestHeaders() []string {
	names := make([]string, len(o.ClaimsToHeaders))
	for i, to := range o.ClaimsToHeaders {
		names[i] = to.Header
	}
	return names
}

// Described is what follows from a token's claims. It does not change.
type Described struct {
	caller   string    // what AddCaller is given
	consumer [2]string // keys that a consumer may have; "" for none
	headers  []field
	metadata []datum
}

type field struct{ name, value string }

type datum struct {
	key   string
	value any
}

// Describe prepares headers, metadata and consumer for the claims of an issuer. It fails for a claim that cannot be a header.
func (o *Output) Describe(issuer string, ms []Member) (d Described, err error) {
	if o.ConsumerClaim != "" {
		if subject, ok := Scalar(Find(ms, o.ConsumerClaim)); ok && subject != "" {
			d.consumer = [2]string{consumerKey(issuer, subject), consumerKey("", subject)}
		}
	}
	for i := range o.ClaimsToHeaders {
		to := &o.ClaimsToHeaders[i]
		value := Find(ms, to.Claim)
		if value == nil {
			continue
		}
		text, err := headerValue(value)
		if err != nil {
			return d, err
		}
		if text != "" {
			d.headers = append(d.headers, field{to.Header, text})
		}
	}
	for _, name := range o.ClaimsToMetadata {
		if err := d.addMetadata(name, ms); err != nil {
			return d, err
		}
	}
	d.caller = o.callerOf(issuer, ms, d.headers)
	return d, nil
}

// callerOf is what tells a caller apart from others: the plugin that vouches for it, the issuer, the subject, and what
// claimsToHeaders has the upstream see. Without a subject, or if the upstream sees the token, it is all claims.
func (o *Output) callerOf(issuer string, ms []Member, headers []field) string {
	parts := []string{o.namespace, issuer}
	if subject, ok := Scalar(Find(ms, "sub")); ok && subject != "" && !o.forwards {
		parts = append(parts, "sub", subject)
	} else {
		for _, m := range ms {
			parts = append(parts, m.Name, string(m.Value))
		}
	}
	for _, f := range headers {
		parts = append(parts, f.name, f.value)
	}
	return digestOf(parts...)
}

func (d *Described) addMetadata(name string, ms []Member) error {
	if name != "*" {
		return decode(Find(ms, name), func(v any) { d.metadata = append(d.metadata, datum{name, v}) })
	}
	all := make(map[string]any, len(ms))
	for _, m := range ms {
		if err := decode(m.Value, func(v any) { all[m.Name] = v }); err != nil {
			return err
		}
	}
	d.metadata = append(d.metadata, datum{"claims", all})
	return nil
}

// decode calls use with a value in the form of metadata, unless the claim is missing or null.
func decode(value []byte, use func(any)) error {
	if value == nil {
		return nil
	}
	var v any
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	if v, ok := withoutNull(v); ok {
		use(v)
	}
	return nil
}

// withoutNull takes off null, which metadata cannot hold.
func withoutNull(v any) (any, bool) {
	switch v := v.(type) {
	case nil:
		return nil, false
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			if e, ok := withoutNull(e); ok {
				out = append(out, e)
			}
		}
		return out, true
	case map[string]any:
		for k, e := range v {
			if e, ok := withoutNull(e); ok {
				v[k] = e
			} else {
				delete(v, k)
			}
		}
	}
	return v, true
}

// Tell sets consumer, headers and metadata. It reports false, and has set nothing, if the token has no listed consumer.
func (o *Output) Tell(s filter.Stream, h filter.RequestHeaders, d *Described) bool {
	if o.ConsumerClaim != "" {
		c, _ := o.consumers.Find(d.consumer[0])
		if c == nil {
			c, _ = o.consumers.Find(d.consumer[1])
		}
		if c == nil {
			return false
		}
		s.SetConsumer(c)
	}
	AddCaller(s, d.caller)
	for _, f := range d.headers {
		h.Set(f.name, f.value)
	}
	for _, m := range d.metadata {
		if err := s.SetMetadata(o.namespace, m.key, m.value); err != nil {
			s.Log().Error("cannot set metadata", "key", m.key, "error", err)
		}
	}
	return true
}
