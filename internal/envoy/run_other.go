//go:build unix && !linux

package envoy

import "syscall"

// processAttributes puts Envoy into a process group of its own, so that Ctrl-C in a terminal reaches only this program,
// which then stops Envoy.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// run starts the process and has a goroutine wait for its end.
func (p *Process) run() error {
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() { p.ended(p.cmd.Wait()) }()
	return nil
}
