//go:build unix

package accesslog

import (
	"os"
	"syscall"
)

// duplicate makes f ours under a number of its own: when a pipe at number 1 or 2 breaks, package os ends the process,
// which is Envoy's.
func duplicate(f *os.File) (destination, error) {
	n, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(n)
	return standard{os.NewFile(uintptr(n), f.Name())}, nil
}
