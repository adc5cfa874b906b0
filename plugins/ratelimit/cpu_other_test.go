//go:build !linux

package ratelimit

import "time"

var started = time.Now()

func threadCPU() time.Duration { return time.Since(started) }
