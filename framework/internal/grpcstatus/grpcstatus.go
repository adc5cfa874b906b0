// Package grpcstatus knows what hosts must know of gRPC to reply to its requests.
package grpcstatus

import "strings"

// OfHTTP maps a status as gRPC over HTTP does for responses that lack grpc-status, and so Envoy for local replies:
// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
func OfHTTP(status int) int {
	switch status {
	case 200:
		return 0
	case 400:
		return 13 // INTERNAL
	case 401:
		return 16 // UNAUTHENTICATED
	case 403:
		return 7 // PERMISSION_DENIED
	case 404:
		return 12 // UNIMPLEMENTED
	case 429, 502, 503, 504:
		return 14 // UNAVAILABLE
	}
	return 2 // UNKNOWN
}

// IsRequest reports whether a request of that content-type is one of gRPC.
func IsRequest(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+")
}
