package cedar

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"

	"mosn.io/moe/plugins/internal/authz"
)

// Bounds on what a client can make Cedar look at.
const (
	maxSegments   = 64
	maxParameters = 256
)

// world is what policies see of one request: the request itself, and the entities that there are. Those of the
// configuration go before those that are made of the request.
type world struct {
	request   cedar.Request
	entities  cedar.EntityMap
	principal cedar.Entity
}

// world is nil, without an error, for a request that exceeds the bounds.
func (p *Cedar) world(rules *rules, r *authz.Request, subject string) (*world, error) {
	if strings.Count(r.Path, "/") > maxSegments || rules.uses.query && strings.Count(r.Query, "&") >= maxParameters {
		return nil, nil
	}
	w := &world{entities: rules.entities}
	w.request = cedar.Request{
		Principal: cedar.NewEntityUID(cedar.EntityType(p.PrincipalType), cedar.String(subject)),
		Action:    cedar.NewEntityUID(cedar.EntityType(p.ActionType), cedar.String(r.Method())),
		Resource:  cedar.NewEntityUID(cedar.EntityType(p.ResourceType), cedar.String(r.Path)),
	}
	c := r.Consumer()
	w.principal.UID = w.request.Principal
	if c.Name == subject && c.Name != "" {
		groups := make([]cedar.EntityUID, len(c.Groups))
		for i, g := range c.Groups {
			groups[i] = cedar.NewEntityUID(cedar.EntityType(p.GroupType), cedar.String(g))
		}
		w.principal.Parents = cedar.NewEntityUIDSet(groups...)
		attrs := cedar.RecordMap{"name": cedar.String(c.Name), "labels": texts(c.Labels)}
		if rules.uses.attributes {
			v, err := value(map[string]any(c.Attributes))
			if err != nil {
				return nil, fmt.Errorf("attributes of the consumer: %w", err)
			}
			attrs["attributes"] = v
		}
		w.principal.Attributes = cedar.NewRecord(attrs)
	}
	context := cedar.RecordMap{
		"method": cedar.String(r.Method()), "path": cedar.String(r.Path), "host": cedar.String(r.Host()),
		"scheme": cedar.String(r.Headers.Scheme()), "time": cedar.NewDatetime(time.Now()),
		"certificate": cedar.String(r.Principal()),
	}
	source := r.Source()
	if rules.uses.source {
		source = p.Source(r)
	}
	if a := source.Addr().WithZone(""); a.IsValid() {
		context["source"] = cedar.IPAddr(netip.PrefixFrom(a, a.BitLen()))
	}
	if rules.uses.headers {
		context["headers"] = texts(r.HeaderMap())
	}
	if rules.uses.query {
		m := cedar.RecordMap{}
		for name, values := range r.Parameters() {
			set := make([]cedar.Value, len(values))
			for i, v := range values {
				set[i] = cedar.String(v)
			}
			m[cedar.String(name)] = cedar.NewSet(set...)
		}
		context["query"] = cedar.NewRecord(m)
	}
	if rules.uses.metadata {
		names, err := r.Metadata(p.Metadata)
		if err != nil {
			return nil, err
		}
		m := cedar.RecordMap{}
		for ns, values := range names {
			v, err := value(values)
			if err != nil {
				return nil, fmt.Errorf("metadata of %s: %w", ns, err)
			}
			m[cedar.String(ns)] = v
		}
		context["metadata"] = cedar.NewRecord(m)
	}
	w.request.Context = cedar.NewRecord(context)
	return w, nil
}

// Get finds an entity. A path is in the path above it: /a/b in /a, and that in /.
func (w *world) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	if e, ok := w.entities[uid]; ok {
		return e, true
	}
	if uid == w.principal.UID {
		return w.principal, true
	}
	if uid.Type != w.request.Resource.Type || !strings.HasPrefix(string(uid.ID), "/") {
		return cedar.Entity{}, false
	}
	e := cedar.Entity{UID: uid}
	if path := string(uid.ID); path != "/" {
		above := path[:strings.LastIndexByte(path, '/')]
		if above == "" {
			above = "/"
		}
		e.Parents = cedar.NewEntityUIDSet(cedar.NewEntityUID(uid.Type, cedar.String(above)))
	}
	return e, true
}

func texts(m map[string]string) cedar.Record {
	r := make(cedar.RecordMap, len(m))
	for k, v := range m {
		r[cedar.String(k)] = cedar.String(v)
	}
	return cedar.NewRecord(r)
}

// value makes a Cedar value of JSON's. Cedar has whole numbers and decimals of four digits.
func value(v any) (cedar.Value, error) {
	switch v := v.(type) {
	case string:
		return cedar.String(v), nil
	case bool:
		return cedar.Boolean(v), nil
	case int:
		return cedar.Long(v), nil
	case int64:
		return cedar.Long(v), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return cedar.Long(v), nil
		}
		return cedar.NewDecimalFromFloat(v)
	case []any:
		set := make([]cedar.Value, 0, len(v))
		for _, e := range v {
			x, err := value(e)
			if err != nil {
				return nil, err
			}
			set = append(set, x)
		}
		return cedar.NewSet(set...), nil
	case map[string]any:
		r := make(cedar.RecordMap, len(v))
		for k, e := range v {
			if e == nil {
				continue // Cedar has no null: what is null is not there
			}
			x, err := value(e)
			if err != nil {
				return nil, err
			}
			r[cedar.String(k)] = x
		}
		return cedar.NewRecord(r), nil
	}
	return nil, fmt.Errorf("a %T is not a Cedar value", v)
}
