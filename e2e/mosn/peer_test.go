package mosn

import (
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
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for _, addr := range addrs {
		if err := accepts(addr); err != nil {
			stop()
			said, _ := os.ReadFile(out.Name())
			return nil, fmt.Errorf("MOSN does not come up: %w\n%s", err, said)
		}
	}
	return stop, nil
}

// accepts waits until somebody listens on addr.
func accepts(addr string) (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var c net.Conn
		if c, err = net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
	}
	return err
}
