//go:build !linux

package chain_test

func threadCPU() int64 { return 0 }
