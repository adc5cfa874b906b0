package opa

import (
	"encoding/json"
	"errors"
	"fmt"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/fieldname"
)

// What a policy can get wrong. Errors leave values out, because they may be the request's.
var (
	errType  = errors.New("the decision is neither a boolean nor an object")
	errAllow = errors.New("the decision's allow is not a boolean")
)

// verdict reads a decision: a boolean, or an object with allow and, optionally, more. Anything else is an error, and
// so is an object in which one of the fields is wrong.
func (p *OPA) verdict(decision any, s filter.Stream, h filter.RequestHeaders) authz.Verdict {
	switch d := decision.(type) {
	case bool:
		return authz.Verdict{Allowed: d}
	case undefined:
		return authz.Verdict{Reason: "the decision is undefined"}
	case map[string]any:
		read := object
		if p.Input == "envoy" {
			read = func(d map[string]any, h filter.RequestHeaders) (authz.Verdict, error) { return p.envoyObject(d, s, h) }
		}
		v, err := read(d, h)
		if err != nil {
			return authz.Fail(err)
		}
		return v
	}
	return authz.Fail(errType)
}

func object(d map[string]any, h filter.RequestHeaders) (v authz.Verdict, err error) {
	allow, ok := d["allow"]
	if !ok {
		return authz.Verdict{Reason: "the decision is undefined"}, nil
	}
	if v.Allowed, ok = allow.(bool); !ok {
		return v, errAllow
	}
	if v.Reason, err = text(d, "reason"); err != nil {
		return v, err
	}
	if v.Allowed {
		set, err := headers(d, "request_headers")
		v.Apply = func() { replace(h, set) }
		return v, err
	}
	_, hasStatus := d["status"]
	_, hasHeaders := d["headers"]
	_, hasBody := d["body"]
	if !hasStatus && !hasHeaders && !hasBody {
		return v, nil
	}
	return v, reply(&v, d, "status")
}

// reply takes over the reply to who is denied.
func reply(v *authz.Verdict, d map[string]any, statusKey string) error {
	status, err := number(d, statusKey, 403)
	if err != nil {
		return err
	}
	body, err := text(d, "body")
	if err != nil {
		return err
	}
	fields, err := headers(d, "headers")
	if err != nil {
		return err
	}
	opts := []filter.ReplyOption{filter.WithDetails("moe.opa.denied")}
	for _, f := range fields {
		opts = append(opts, filter.WithHeader(f.name, f.value))
	}
	action := filter.Reply(status, body, opts...)
	v.Reply = &action
	return nil
}

// replace sets headers, in place of those of their names.
func replace(h filter.RequestHeaders, set []field) {
	for _, f := range set {
		h.Del(f.name)
	}
	for _, f := range set {
		h.Add(f.name, f.value)
	}
}

// envoyObject reads a decision as opa-envoy-plugin does.
func (p *OPA) envoyObject(d map[string]any, s filter.Stream, h filter.RequestHeaders) (v authz.Verdict, err error) {
	allowed, ok := d["allowed"]
	if !ok {
		return authz.Verdict{Reason: "the decision is undefined"}, nil
	}
	if v.Allowed, ok = allowed.(bool); !ok {
		return v, errors.New("the decision's allowed is not a boolean")
	}
	metadata, ok := d["dynamic_metadata"].(map[string]any)
	if _, has := d["dynamic_metadata"]; has && !ok {
		return v, errors.New("the decision's dynamic_metadata must be an object")
	}
	for key, value := range metadata {
		_ = s.SetMetadata(p.namespace, key, plainNumbers(value)) // a host that cannot does not make the request fail
	}
	if !v.Allowed {
		return v, reply(&v, d, "http_status")
	}
	set, err := headers(d, "headers")
	if err != nil {
		return v, err
	}
	remove, err := names(d, "request_headers_to_remove")
	v.Apply = func() {
		for _, name := range remove {
			h.Del(name)
		}
		replace(h, set)
	}
	return v, err
}

// plainNumbers returns a value with numbers as metadata has them.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		n, _ := v.Float64()
		return n
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainNumbers(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key := range v {
			m[key] = plainNumbers(v[key])
		}
		return m
	}
	return v
}

// names reads a list of names of headers.
func names(d map[string]any, key string) (list []string, err error) {
	v, ok := d[key]
	if !ok || v == nil {
		return nil, nil
	}
	values, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("the decision's %s is not a list", key)
	}
	for _, v := range values {
		name, ok := v.(string)
		if !ok || fieldname.Check(name) != nil {
			return nil, fmt.Errorf("the decision's %s have an invalid header name", key)
		}
		list = append(list, name)
	}
	return list, nil
}

func text(d map[string]any, key string) (string, error) {
	v, ok := d[key]
	if !ok || v == nil {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("the decision's %s is not a string", key)
	}
	return s, nil
}

func number(d map[string]any, key string, def int) (int, error) {
	v, ok := d[key]
	if !ok || v == nil {
		return def, nil
	}
	n := 0
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil && i > 0 && i < 1000 {
			n = int(i)
		}
	case float64:
		if v == float64(int(v)) {
			n = int(v)
		}
	}
	if n < 300 || n > 599 {
		return 0, fmt.Errorf("the decision's %s is not a status from 300 to 599", key)
	}
	return n, nil
}

type field struct{ name, value string }

// headers reads an object of strings or lists of strings.
func headers(d map[string]any, key string) (fields []field, err error) {
	v, ok := d[key]
	if !ok || v == nil {
		return nil, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the decision's %s must be an object", key)
	}
	for name, v := range m {
		values, ok := v.([]any)
		if !ok {
			values = []any{v}
		}
		if fieldname.Check(name) != nil {
			return nil, fmt.Errorf("the decision's %s have an invalid header name", key)
		}
		for _, v := range values {
			s, ok := v.(string)
			if !ok || !fieldname.ValidValue(s) {
				return nil, fmt.Errorf("the decision's %s have an invalid header value", key)
			}
			fields = append(fields, field{name, s})
		}
	}
	return fields, nil
}
