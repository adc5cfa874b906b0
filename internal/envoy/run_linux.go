package envoy

import (
	"runtime"
	"syscall"
)

// processAttributes puts Envoy into a process group of its own, so that Ctrl-C in a terminal reaches only this program,
// which then stops Envoy; and has the kernel stop it should this program be killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// run starts the process and has a goroutine wait for its end. The kernel sends Pdeathsig when the thread that forked
// ends, not the process: that thread stays locked to the waiting goroutine.
func (p *Process) run() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.ended(p.cmd.Wait())
		}
	}()
	return <-started
}
