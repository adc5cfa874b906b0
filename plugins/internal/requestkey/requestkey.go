// Package requestkey says by what plugins count requests: a key made of parts of a request.
package requestkey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/expression"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/ipset"
	"mosn.io/moe/plugins/internal/place"
)

// Key is the parts of a key. Requests that are alike in all of them have the same key; without parts all have.
type Key []Part

// Check says what is wrong with the parts of the key in a field, and compiles their expressions. metadata lists what these
// may use.
func (k Key) Check(field string, metadata []authz.Metadata) (errs []error) {
	for i := range k {
		if err := k[i].check(metadata); err != nil {
			errs = append(errs, fmt.Errorf("%s[%d].%w", field, i, err))
		}
	}
	return errs
}

// Start prepares the parts, once they are checked. Call it in Provision.
func (k Key) Start() {
	for i := range k {
		k[i].start()
	}
}

// ReadsPath reports whether a part reads the path or the query of the Request, rather than its headers and its stream.
func (k Key) ReadsPath() bool {
	return slices.ContainsFunc(k, func(p Part) bool { return p.From == "path" || p.From == "expression" })
}

// Append adds the key of a request to b: no two requests that differ in a part get the same bytes. mode warns about
// addresses that clients choose. The error says which part could not be found out, and quotes no value.
func (k Key) Append(b []byte, mode *authz.Mode, r *authz.Request) ([]byte, error) {
	for i := range k {
		var err error
		if b, err = k[i].append(b, mode, r); err != nil {
			return b, err
		}
	}
	return b, nil
}

// Several reports whether a header, a query parameter or a cookie of the key is in a request more than once: all such requests have
// one key, whatever the values are.
func (k Key) Several(h filter.RequestHeaders) bool {
	for i := range k {
		switch k[i].From {
		case "header", "query", "cookie":
			if _, n := k[i].find(h); n > 1 {
				return true
			}
		}
	}
	return false
}

// Part is a part of a key.
type Part struct {
	// From is where the part is found: address (the client's), header, query, cookie, path, method, host, consumer (its
	// name), metadata (such as a claim that jwtauth puts there), expression, or route and cluster (the names that Envoy has
	// chosen for the request).
	From string `json:"from" validate:"required" enum:"address,header,query,cookie,path,method,host,consumer,metadata,expression,route,cluster"`
	// Name is that of the header, the query parameter or the cookie.
	Name string `json:"name"`
	// Namespace and Key are those of a value of dynamic metadata, with from: metadata.
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
	// Expression is one of CEL, of type string, with from: expression.
	Expression string `json:"expression"`
	// PrefixV4 and PrefixV6 are how many bits of an address count: clients in one network of this size share a count.
	PrefixV4 int `json:"prefixV4" default:"32" validate:"min=1,max=32"`
	PrefixV6 int `json:"prefixV6" default:"64" validate:"min=1,max=128"`
	// Segments is how many segments of the path count, 0 for all.
	Segments int `json:"segments" validate:"min=0,max=100"`

	places  place.Places
	program expression.Program
}

func (p *Part) check(metadata []authz.Metadata) error {
	var errs []error
	need := func(field, value string, froms ...string) {
		wanted := false
		for _, f := range froms {
			wanted = wanted || f == p.From
		}
		if wanted && value == "" {
			errs = append(errs, fmt.Errorf("%s: is required with from: %s", field, p.From))
		} else if !wanted && value != "" {
			errs = append(errs, fmt.Errorf("%s: is for from: %s only", field, strings.Join(froms, ", ")))
		}
	}
	need("name", p.Name, "header", "query", "cookie")
	need("namespace", p.Namespace, "metadata")
	need("key", p.Key, "metadata")
	need("expression", p.Expression, "expression")
	if p.Segments > 0 && p.From != "path" {
		errs = append(errs, errors.New("segments: is for from: path only"))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	switch p.From {
	case "header", "cookie":
		if err := fieldname.Check(p.Name); err != nil { // a cookie's name is a token, too
			return fmt.Errorf("name: %w", err)
		}
	case "expression":
		var err error
		if p.program, err = expression.Compile(p.Expression, expression.Text, expression.Options{Metadata: metadata}); err != nil {
			return fmt.Errorf("expression: %w", err)
		}
	}
	return nil
}

// start prepares the part, once it is valid.
func (p *Part) start() {
	switch p.From {
	case "header":
		p.places.Headers = []place.Header{{Name: p.Name}}
	case "query":
		p.places.Queries = []string{p.Name}
	case "cookie":
		p.places.Cookies = []string{p.Name}
	}
	p.places.Lower()
}

// Kinds of values. A part that is missing, or there more than once, has a key of its own, whatever a client writes.
const (
	missing byte = iota
	several
	present
)

// append adds the part to a key, so that no two lists of parts make the same key.
func (p *Part) append(key []byte, mode *authz.Mode, r *authz.Request) ([]byte, error) {
	switch p.From {
	case "address":
		if net := ipset.Network(mode.Source(r).Addr(), p.PrefixV4, p.PrefixV6); net.IsValid() {
			b := net.Addr().As16()
			return append(append(key, present), b[:]...), nil
		}
		return append(key, missing), nil // a Unix socket
	case "path":
		return text(key, cut(r.Path, p.Segments)), nil
	case "method":
		return text(key, r.Method()), nil
	case "host":
		return text(key, r.Host()), nil
	case "consumer":
		if c := r.Stream.Consumer(); c != nil {
			return text(key, c.Name), nil
		}
		return append(key, missing), nil
	case "metadata":
		return p.metadata(key, r)
	case "route":
		return attribute(key, r, filter.AttrRouteName)
	case "cluster":
		return attribute(key, r, filter.AttrClusterName)
	case "expression":
		copied := *r // see Rule.units
		v, err := p.program.Evaluate(&copied)
		return text(key, v.Text), err
	}
	switch value, n := p.find(r.Headers); n {
	case 0:
		return append(key, missing), nil
	case 1:
		return text(key, value), nil
	}
	return append(key, several), nil
}

// find returns the part's value in a header, a parameter or a cookie, and how many it has there.
func (p *Part) find(h filter.RequestHeaders) (value string, n int) {
	if p.From == "header" && !h.Has(p.places.Headers[0].Name) {
		return "", 0
	}
	return p.places.Find(h)
}

// attribute adds an attribute, where the stream has it. One that the host cannot tell is an error.
func attribute(key []byte, r *authz.Request, name filter.Attr) ([]byte, error) {
	v, err := r.Stream.Attr(name)
	switch {
	case errors.Is(err, filter.ErrNotFound):
		return append(key, missing), nil
	case err != nil:
		return key, fmt.Errorf("attribute %s: %w", name, err)
	}
	return text(key, v), nil
}

func (p *Part) metadata(key []byte, r *authz.Request) ([]byte, error) {
	v, err := r.Stream.Metadata(p.Namespace, p.Key)
	switch v := v.(type) {
	case string:
		return text(key, v), err
	case bool:
		return text(key, strconv.FormatBool(v)), err
	case float64:
		return binary.BigEndian.AppendUint64(append(key, present), math.Float64bits(v)), err
	}
	switch {
	case errors.Is(err, filter.ErrNotFound):
		return append(key, missing), nil
	case err != nil:
		return key, fmt.Errorf("metadata %s of %s: %w", p.Key, p.Namespace, err)
	}
	return key, fmt.Errorf("metadata %s of %s is not a string, a number or a bool", p.Key, p.Namespace)
}

// text adds a text with its length before it.
func text(key []byte, s string) []byte {
	key = binary.AppendUvarint(append(key, present), uint64(len(s)))
	return append(key, s...)
}

// cut returns the first n segments of a path, all if n is 0.
func cut(path string, n int) string {
	if n == 0 || path == "" {
		return path
	}
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if n--; n == 0 {
			return path[:i]
		}
	}
	return path
}
