package jws

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestFreshness(t *testing.T) {
	for control, want := range map[string]time.Duration{
		"": time.Hour, "max-age=600": 10 * time.Minute, "public, Max-Age=600": 10 * time.Minute,
		"max-age=0": 10 * time.Second, "max-age=-1": time.Hour, "max-age=99999999999999999999": time.Hour,
		"max-age=7200": time.Hour, "s-maxage=600": time.Hour, "max-age": time.Hour,
	} {
		t.Run(fmt.Sprintf("%q", control), func(t *testing.T) {
			if got := freshness(http.Header{"Cache-Control": {control}}, time.Hour); got != want {
				t.Errorf("%q: %v, want %v", control, got, want)
			}
		})
	}
}
