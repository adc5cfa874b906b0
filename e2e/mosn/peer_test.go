package mosn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"mosn.io/moe/e2e/envoytest"
)

type m = envoytest.M

// startMOSN starts MOSN with a file and waits until it listens on addrs.
func startMOSN(binary, file string, addrs ...string) (stop func(), err error) {
	cmd := exec.Command(binary, "start", "-c", file)
	out, err := os.Create(file + ".out")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(file), out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	stop = func() {
		_ = cmd.Process.Kill()
		<-exited
	}
	for _, addr := range addrs {
		if err := accepts(addr, exited); err != nil {
			stop()
			said, _ := os.ReadFile(out.Name())
			return nil, fmt.Errorf("MOSN does not come up: %w\n%s", err, said)
		}
	}
	return stop, nil
}

// errExited says that a program has ended that should listen.
var errExited = errors.New("the program has ended")

// accepts waits until somebody listens on addr: the program that has ended when exited is closed.
func accepts(addr string, exited <-chan struct{}) (err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		var c net.Conn
		if c, err = net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-exited:
			return errExited
		case <-time.After(20 * time.Millisecond):
		}
	}
	return err
}
