package cache

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
)

// field is a header field; its name is in lower case.
type field struct{ Name, Value string }

// fields are those of a message.
type fields []field

func (f fields) get(name string) string {
	for i := range f {
		if f[i].Name == name {
			return f[i].Value
		}
	}
	return ""
}

func (f fields) values(name string) (v []string) {
	for i := range f {
		if f[i].Name == name {
			v = append(v, f[i].Value)
		}
	}
	return v
}

func (f fields) has(name string) bool {
	return slices.ContainsFunc(f, func(x field) bool { return x.Name == name })
}

// entry is a response that is stored. It is not changed any more.
type entry struct {
	Status int
	Header fields // that end to end are the response's
	Body   []byte

	Vary     fields        // what the request had in the fields that Vary names
	Received time.Time     // when the response came
	Initial  time.Duration // its age by then
	Lifetime time.Duration // until what age it is fresh
	While    time.Duration // for how long after that it may be used while it is revalidated,
	IfError  time.Duration // and when that fails
	Strict   bool          // it may not be used stale, whatever the client allows
	Tags     []string      // by which it can be purged

	reply []filter.ReplyOption // Header, but for content-length; see prepare
}

// prepare makes of the header what all replies with the whole of the entry share. It is called before others see the entry.
func (e *entry) prepare() {
	if e.reply != nil {
		return
	}
	e.reply = make([]filter.ReplyOption, 0, len(e.Header))
	for _, f := range e.Header {
		if f.Name != "content-length" {
			e.reply = append(e.reply, filter.WithHeader(f.Name, f.Value))
		}
	}
}

// overhead is about what an entry takes beside its texts and its body.
const overhead = 512

func (e *entry) size() int64 {
	n := overhead + len(e.Body)
	for _, l := range []fields{e.Header, e.Vary} {
		for i := range l {
			n += len(l[i].Name) + len(l[i].Value) + 32
		}
	}
	for _, t := range e.Tags {
		n += 2*len(t) + 64
	}
	return int64(n)
}

// age is how long ago the upstream has made or validated the response (RFC 9111, section 4.2.3).
func (e *entry) age(now time.Time) time.Duration { return e.Initial + max(0, now.Sub(e.Received)) }

// matches reports whether the entry is for requests like r (RFC 9111, section 4.1).
func (e *entry) matches(r fields) bool {
	for _, v := range e.Vary {
		if joined(r, v.Name) != v.Value {
			return false
		}
	}
	return true
}

// joined is the value of a field as one text, such that no two lists of values have the same.
func joined(r fields, name string) string {
	v := r.values(name)
	if len(v) == 0 {
		return "\x00" // no value has it
	}
	for i := range v {
		v[i] = trim(v[i])
	}
	return strings.Join(v, ",")
}

// pick returns the entry for a request, the one that came last if several are.
func pick(entries []*entry, r fields) (found *entry) {
	for _, e := range entries {
		if e.matches(r) && (found == nil || e.Received.After(found.Received)) {
			found = e
		}
	}
	return found
}

// refreshed is the entry with the fields of a 304 response (RFC 9111, sections 3.2 and 4.3.4).
func (e *entry) refreshed(update fields) fields {
	h := make(fields, 0, len(e.Header)+len(update))
	for _, f := range e.Header {
		if (!update.has(f.Name) || keepsOwn[f.Name]) && f.Name != "date" { // without one, the 304 is from now
			h = append(h, f)
		}
	}
	for _, f := range update {
		if !keepsOwn[f.Name] {
			h = append(h, f)
		}
	}
	return h
}

// keepsOwn are the fields that describe the stored body, which a 304 response does not change.
var keepsOwn = map[string]bool{
	"content-length": true, "content-encoding": true, "content-type": true, "content-range": true,
}

// notModified reports whether the client has what the entry is, by the conditions of its request (RFC 9110, section 13.2.2).
func (e *entry) notModified(r fields) bool {
	if r.has("if-none-match") {
		etag := weak(e.Header.get("etag"))
		for _, v := range r.values("if-none-match") {
			for v != "" {
				var one string
				if one, v = cutList(v); one == "*" || etag != "" && weak(one) == etag {
					return true
				}
			}
		}
		return false
	}
	if !r.has("if-modified-since") {
		return false
	}
	since, err := http.ParseTime(r.get("if-modified-since"))
	if err != nil {
		return false
	}
	modified := e.Header.get("last-modified")
	if modified == "" {
		modified = e.Header.get("date")
	}
	at, err := http.ParseTime(modified)
	return err == nil && !at.After(since)
}

// weak is an entity tag for the weak comparison.
func weak(etag string) string { return strings.TrimPrefix(etag, "W/") }
