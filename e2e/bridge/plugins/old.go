//go:build sdk1362

package main

import "github.com/envoyproxy/envoy/contrib/golang/common/go/api"

// drain does nothing: this SDK cannot.
func drain(api.FilterCallbackHandler) {}
