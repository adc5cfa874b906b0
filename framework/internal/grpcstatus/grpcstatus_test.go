package grpcstatus

import (
	"fmt"
	"testing"
)

func TestOfHTTP(t *testing.T) {
	for http, want := range map[int]int{200: 0, 400: 13, 401: 16, 403: 7, 404: 12, 418: 2, 429: 14, 500: 2, 503: 14} {
		t.Run(fmt.Sprint(http), func(t *testing.T) {
			if got := OfHTTP(http); got != want {
				t.Errorf("%d: got %d, want %d", http, got, want)
			}
		})
	}
}

func TestIsRequest(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc; x=y": true,
		"": false, "application/grpc-web": false, "text/plain": false,
	} {
		t.Run(fmt.Sprintf("%q", kind), func(t *testing.T) {
			if IsRequest(kind) != want {
				t.Errorf("%q: got %t", kind, !want)
			}
		})
	}
}
