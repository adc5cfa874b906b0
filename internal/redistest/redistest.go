// Package redistest runs real Redis servers for tests, and has them die, stand still and be out of reach.
package redistest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mosn.io/moe/internal/testcert"
)

// Server is a redis-server on a port of this machine. It ends with the test.
type Server struct {
	// Addr is host:port.
	Addr string
	// TLSAddr is host:port for encrypted connections, with StartTLS.
	TLSAddr string

	t     testing.TB
	first []string // what comes before the options
	args  []string
	cmd   *exec.Cmd
}

// Start starts a server that keeps nothing on disk. args are more of its options, such as "--cluster-enabled", "yes".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{Addr: freeAddr(t), t: t, args: args}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// StartTLS starts a server that also takes encrypted connections, as 127.0.0.1 and redis.example, of clients whose
// certificates the authority has signed.
func StartTLS(t testing.TB, a *testcert.Authority) *Server {
	t.Helper()
	cert, key := a.Issue(t, "redis", "127.0.0.1", "redis.example")
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	s := Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", a.File,
		"--tls-auth-clients", "yes")
	s.TLSAddr = addr
	return s
}

// StartCluster starts the nodes of a cluster, and returns when all of them agree about it.
func StartCluster(t testing.TB, nodes int) []*Server {
	t.Helper()
	servers := make([]*Server, nodes)
	join := []string{"--cluster", "create"}
	for i := range servers {
		servers[i] = Start(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-require-full-coverage", "no") // keys of other nodes than one that fails stay
		join = append(join, servers[i].Addr)
	}
	join = append(join, "--cluster-yes", "--cluster-replicas", "0")
	if out, err := exec.Command("redis-cli", join...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli %v: %v\n%s", join, err, out)
	}
	for _, s := range servers {
		_, port, _ := net.SplitHostPort(s.Addr)
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			out, err := exec.Command("redis-cli", "-p", port, "cluster", "info").CombinedOutput()
			if strings.Contains(string(out), "cluster_state:ok") {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the node at %s does not find the cluster: %v\n%s", s.Addr, err, out)
			}
		}
	}
	return servers
}

// StartSentinel starts a Sentinel that knows the primary at host:port by a name.
func StartSentinel(t testing.TB, name, host, port string) *Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(file, []byte("sentinel monitor "+name+" "+host+" "+port+" 1\n"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	s := &Server{Addr: freeAddr(t), t: t, first: []string{file, "--sentinel"}}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Restart starts the server again, at the same address and empty, after Kill.
func (s *Server) Restart() {
	s.t.Helper()
	path := os.Getenv("REDIS_SERVER")
	if path == "" {
		path = "redis-server"
	}
	if _, err := exec.LookPath(path); err != nil {
		s.t.Fatalf("%v: run scripts/install-redis, or set REDIS_SERVER to the path of one", err)
	}
	_, port, _ := net.SplitHostPort(s.Addr)
	args := append(s.first[:len(s.first):len(s.first)], "--bind", "127.0.0.1", "--port", port, "--dir", s.t.TempDir())
	if s.first == nil {
		args = append(args, "--save", "", "--appendonly", "no")
	}
	args = append(args, s.args...)
	s.cmd = exec.Command(path, args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start redis-server: %v", err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		answer, err := s.ping()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("redis-server at %s does not answer: %q, %v", s.Addr, answer, err)
		}
	}
}

func (s *Server) ping() (string, error) {
	c, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(c, "PING\r\n"); err != nil {
		return "", err
	}
	b := make([]byte, 7)
	if _, err := io.ReadFull(c, b); err != nil {
		return "", err
	}
	if a := string(b); !strings.HasPrefix(a, "+PONG") && a != "-NOAUTH" { // it may want a password
		return a, errors.New("neither +PONG nor -NOAUTH")
	}
	return string(b), nil
}

// Kill ends the server at once.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Command runs a command on a server, with redis-cli, and returns what that prints.
func Command(t testing.TB, s *Server, args ...string) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr)
	out, err := exec.Command("redis-cli", append([]string{"-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Pause has the server stand still: it takes connections and answers nothing.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume has it go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal redis-server: %v", err)
	}
}

// Link is a way to a server that can be cut for those who use it.
type Link struct {
	// Addr is host:port.
	Addr string

	cut  atomic.Bool
	mu   sync.Mutex
	open []net.Conn
}

// NewLink opens a way to addr.
func NewLink(t testing.TB, addr string) *Link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	link := &Link{Addr: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { link.serve(ctx, c, addr) })
		}
	})
	t.Cleanup(func() {
		cancel()
		l.Close()
		link.mu.Lock()
		for _, c := range link.open {
			c.Close()
		}
		link.mu.Unlock()
		wg.Wait()
	})
	return link
}

func (l *Link) serve(ctx context.Context, c net.Conn, addr string) {
	defer c.Close()
	up, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer up.Close()
	l.mu.Lock()
	l.open = append(l.open, c, up)
	ended := ctx.Err() != nil
	l.mu.Unlock()
	if ended {
		return
	}
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, up}, {up, c}} {
		wg.Go(func() {
			b := make([]byte, 32<<10)
			for {
				n, err := way[0].Read(b)
				if err != nil {
					way[1].Close()
					return
				}
				if l.cut.Load() {
					continue // what is sent is lost
				}
				if _, err := way[1].Write(b[:n]); err != nil {
					way[0].Close()
					return
				}
			}
		})
	}
	wg.Wait()
}

// Cut has everything that is sent from now on get lost, as in a partition of the network.
func (l *Link) Cut() { l.cut.Store(true) }

// Mend ends the partition. Connections that have lost something are closed.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
	l.cut.Store(false)
}
