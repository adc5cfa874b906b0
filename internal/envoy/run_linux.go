package envoy

import (
	"os/exec"
	"runtime"
	"syscall"
)

// processAttributes puts a child into a process group of its own, so that Ctrl-C in a terminal reaches only this program,
// which then stops it; and has the kernel stop it should this program be killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// Run starts cmd with those attributes and has a goroutine wait for its end, which calls ended with what Wait returned.
// The kernel sends Pdeathsig when the thread that forked ends, not the process: that thread stays locked to the waiting
// goroutine.
func Run(cmd *exec.Cmd, ended func(error)) error {
	cmd.SysProcAttr = processAttributes()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended(cmd.Wait())
		}
	}()
	return <-started
}
