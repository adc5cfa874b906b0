package cache

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
)

// answer makes a reply of an entry, which shares its body. note is what cache-status says.
func (p *Cache) answer(e *entry, r *request, now time.Time, note string) filter.Action {
	status, body := e.Status, e.Body
	options := make([]filter.ReplyOption, 0, len(e.Header)+5)
	add := func(name, value string) { options = append(options, filter.WithHeader(name, value)) }
	var skip map[string]bool
	conditional := status == http.StatusOK || status == http.StatusNoContent
	switch first, last, part := 0, 0, none; {
	case conditional && e.notModified(r.fields):
		status, body, skip = http.StatusNotModified, nil, notOf304
	case status == http.StatusOK && r.method == http.MethodGet && r.fields.has("range") && e.inRange(r.fields):
		if first, last, part = byteRange(r.fields.values("range"), len(body)); part == none {
			break
		}
		skip = ofWhole
		if part == unsatisfiable {
			status, body = http.StatusRequestedRangeNotSatisfiable, nil
			add("content-range", fmt.Sprintf("bytes */%d", len(e.Body)))
			break
		}
		status, body = http.StatusPartialContent, body[first:last+1:last+1]
		add("content-range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(e.Body)))
	}
	if skip == nil && e.reply != nil {
		options = append(options, e.reply...)
	} else {
		for _, f := range e.Header {
			if !skip[f.Name] && f.Name != "content-length" {
				add(f.Name, f.Value)
			}
		}
	}
	age := e.age(now)
	add("age", strconv.FormatInt(int64(age/time.Second), 10))
	if p.CacheStatus != "none" {
		add("cache-status", p.CacheStatus+"; "+note+"; ttl="+strconv.FormatInt(int64((e.Lifetime-age)/time.Second), 10))
	}
	options = append(options, fromStore)
	return filter.Reply(status, body, options...)
}

var fromStore = filter.WithDetails("moe.cache.stored")

// notOf304 are fields that describe a body, which a 304 response does not have (RFC 9110, section 15.4.5).
var notOf304 = map[string]bool{
	"content-type": true, "content-encoding": true, "content-language": true, "content-length": true, "content-range": true,
}

// ofWhole are fields that describe the whole.
var ofWhole = map[string]bool{"content-length": true, "content-range": true}

// inRange reports whether if-range allows a part of the entry (RFC 9110, section 13.1.5).
func (e *entry) inRange(r fields) bool {
	if !r.has("if-range") {
		return true
	}
	v := r.get("if-range")
	if strings.HasPrefix(v, `"`) { // a weak tag never matches
		return v == e.Header.get("etag")
	}
	modified := e.Header.get("last-modified")
	return modified != "" && v == modified
}

// What a range asks for.
type rangeKind int

const (
	none rangeKind = iota // nothing that is understood: the whole is the answer
	satisfiable
	unsatisfiable
)

// byteRange reads a range of bytes (RFC 9110, section 14.1.2) of a body with n bytes. Several ranges are not understood.
func byteRange(values []string, n int) (first, last int, kind rangeKind) {
	if len(values) != 1 {
		return 0, 0, none
	}
	unit, spec, ok := strings.Cut(values[0], "=")
	if !ok || !strings.EqualFold(trim(unit), "bytes") || strings.Contains(spec, ",") {
		return 0, 0, none
	}
	from, to, ok := strings.Cut(trim(spec), "-")
	if !ok {
		return 0, 0, none
	}
	if from == "" { // the last bytes
		length, ok := position(to)
		if !ok {
			return 0, 0, none
		}
		if length == 0 || n == 0 {
			return 0, 0, unsatisfiable
		}
		return max(0, n-length), n - 1, satisfiable
	}
	first, ok = position(from)
	last = n - 1
	if ok && to != "" {
		last, ok = position(to)
	}
	switch {
	case !ok || to != "" && last < first:
		return 0, 0, none
	case first >= n:
		return 0, 0, unsatisfiable
	}
	return first, min(last, n-1), satisfiable
}

// position reads a number of bytes; what is too large counts as the largest.
func position(v string) (n int, ok bool) {
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return 0, false
		}
		if n < 1<<53 {
			n = n*10 + int(v[i]-'0')
		}
	}
	return n, v != ""
}
