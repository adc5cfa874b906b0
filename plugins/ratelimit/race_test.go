//go:build race

package ratelimit

func init() { instrumented = true }
