package opa

import (
	"net/netip"
	"net/url"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
)

// input makes what the policy calls input.
func (p *OPA) input(r *authz.Request, body *parsed) (map[string]any, error) {
	address := r.Source()
	if p.source.usesAddress() {
		address = p.Source(r)
	}
	if p.Input == "envoy" {
		return p.envoyInput(r, address, body)
	}
	tree, err := r.Tree(address, p.Metadata)
	if err == nil && body != nil {
		request := tree["request"].(map[string]any)
		request["body"], request["truncated_body"] = body.value, body.truncated
	}
	return tree, err
}

// envoyInput makes the input of the plugin that OPA's project has for Envoy, which is a CheckRequest of
// envoy.service.auth.v3 as JSON, with what that plugin adds.
func (p *OPA) envoyInput(r *authz.Request, source netip.AddrPort, body *parsed) (map[string]any, error) {
	metadata, err := r.Metadata(p.Metadata)
	if err != nil {
		return nil, err
	}
	filterMetadata := make(map[string]any, len(metadata))
	for namespace, values := range metadata {
		filterMetadata[namespace] = values
	}
	headers := map[string]any{
		":method": r.Method(), ":path": r.RawPath(), ":authority": r.Headers.Host(), ":scheme": r.Headers.Scheme(),
	}
	for name, value := range r.HeaderMap() {
		if name != "host" {
			headers[name] = value
		}
	}
	http := map[string]any{
		"id": attr(r, filter.AttrRequestID), "method": r.Method(), "path": r.RawPath(), "host": r.Headers.Host(),
		"scheme": r.Headers.Scheme(), "protocol": attr(r, filter.AttrProtocol), "headers": headers,
	}
	path, _, _ := strings.Cut(r.RawPath(), "?")
	input := map[string]any{
		"attributes": map[string]any{
			"request": map[string]any{"time": time.Now().UTC().Format(time.RFC3339Nano), "http": http},
			"source":  peer(source, r.Principal()), "destination": peer(destination(r), ""),
			"metadataContext": map[string]any{"filterMetadata": filterMetadata},
		},
		"parsed_path": segments(path), "parsed_query": query(r), "parsed_body": nil, "truncated_body": false,
		"version": map[string]any{"ext_authz": "v3", "encoding": "protojson"},
		// What this plugin knows besides.
		"consumer": map[string]any{"name": r.Consumer().Name, "groups": texts(r.Consumer().Groups)},
	}
	if body != nil {
		input["parsed_body"], input["truncated_body"] = body.value, body.truncated
		http["body"] = strings.ToValidUTF8(string(body.raw), "\uFFFD")
	}
	return input, nil
}

func attr(r *authz.Request, name filter.Attr) string {
	v, _ := r.Stream.Attr(name) // it is empty where the host cannot tell
	return v
}

func destination(r *authz.Request) netip.AddrPort {
	a, _ := netip.ParseAddrPort(attr(r, filter.AttrDestinationAddress))
	return a
}

func peer(a netip.AddrPort, principal string) map[string]any {
	m := map[string]any{}
	if a.IsValid() {
		m["address"] = map[string]any{"socketAddress": map[string]any{"address": a.Addr().String(), "portValue": int(a.Port())}}
	}
	if principal != "" {
		m["principal"] = principal
	}
	return m
}

// segments returns what is between the slashes of a path, each decoded where it is well encoded.
func segments(path string) []any {
	list := []any{}
	for s := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if plain, err := url.PathUnescape(s); err == nil {
			s = strings.ToValidUTF8(plain, "\uFFFD")
		}
		list = append(list, s)
	}
	return list
}

func query(r *authz.Request) map[string]any {
	m := map[string]any{}
	for name, values := range r.Parameters() {
		m[name] = texts(values)
	}
	return m
}

func texts(values []string) []any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}
