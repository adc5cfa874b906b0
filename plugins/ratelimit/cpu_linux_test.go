package ratelimit

import (
	"syscall"
	"time"
	"unsafe"
)

// threadCPU is the CPU time of this thread, which does not depend on what else the machine does. Getrusage would give it in
// ticks of the kernel's clock.
func threadCPU() time.Duration {
	var ts syscall.Timespec
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic(errno)
	}
	return time.Duration(ts.Nano())
}
