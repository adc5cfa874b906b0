//go:build unix && !linux

package envoy

import (
	"os/exec"
	"syscall"
)

// processAttributes puts a child into a process group of its own, so that Ctrl-C in a terminal reaches only this program,
// which then stops it.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Run starts cmd with those attributes and has a goroutine wait for its end, which calls ended with what Wait returned.
func Run(cmd *exec.Cmd, ended func(error)) error {
	cmd.SysProcAttr = processAttributes()
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { ended(cmd.Wait()) }()
	return nil
}
