package chain_test

import "syscall"

// threadCPU is the CPU time of this thread in nanoseconds.
func threadCPU() int64 {
	var u syscall.Rusage
	const thread = 1 // RUSAGE_THREAD
	if syscall.Getrusage(thread, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
