// Package envoy finds, starts, queries and stops a real Envoy. All that it knows about the configuration is that there is
// an admin listener.
package envoy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mosn.io/moe/internal/tempdir"
)

// Options say how to start an Envoy. Only Config is required.
type Options struct {
	Path         string        // of the binary; "" means what Find("") returns
	Dir          string        // its working directory; "" is this process's
	Config       []byte        // bootstrap configuration as YAML or JSON, with an admin address
	Module       string        // path of a shared library that is to be a dynamic module, whatever its file name
	ModuleName   string        // how the configuration calls that module; "" means moe
	Concurrency  int           // worker threads; 0 means Envoy's own default, one per core
	LogLevel     string        // of Envoy, as its --log-level; "" means info
	Args         []string      // further arguments
	Env          []string      // further environment, NAME=VALUE
	Stdout       io.Writer     // what Envoy and plugins print, such as access logs; nil drops it
	Log          io.Writer     // Envoy's log, a whole line per Write; nil drops it
	StartTimeout time.Duration // for Start; 0 means 30 s
	StopTimeout  time.Duration // between SIGTERM and SIGKILL; 0 means 10 s
}

// Process is an Envoy that was started. Its methods may be called from any goroutine.
type Process struct {
	options Options
	cmd     *exec.Cmd
	temp    *tempdir.Dir
	dir     string // holds the configuration and the admin address
	admin   string
	tail    tail
	noAdmin chan struct{} // closed when Envoy's output shows that there will be no admin address
	lost    sync.Once
	done    chan struct{}
	err     error // why the process ended; valid once done is closed

	stop    sync.Once
	stopped bool // Stop was called; guarded by done
}

// Start runs Envoy and returns when it serves: its listeners accept connections. If it exits before, does not get
// there within the timeout, or ctx ends, Start stops it; the error has the end of Envoy's log.
func Start(ctx context.Context, o Options) (*Process, error) {
	p, err := prepare(o)
	if err != nil {
		return nil, err
	}
	return p.start(ctx)
}

func (p *Process) start(ctx context.Context) (*Process, error) {
	args := append([]string{
		"-c", p.configFile(), "--admin-address-path", p.adminFile(),
		// No shared memory and no parent: any number of them run on one machine.
		"--disable-hot-restart",
		"--log-format", "[%Y-%m-%d %T.%e][%t][%l][%n] %v",
	}, p.arguments()...)
	if p.options.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(p.options.Concurrency))
	}
	p.command(context.Background(), args)
	if err := Run(p.cmd, p.ended); err != nil {
		p.temp.Remove()
		return nil, fmt.Errorf("%s: %w", p.options.Path, err)
	}
	if err := p.waitReady(ctx); err != nil {
		p.Stop()
		return nil, p.failed(fmt.Errorf("starting Envoy: %w", err))
	}
	return p, nil
}

// Validate has Envoy check a configuration without serving it. A module is loaded and its plugins are configured.
// The error has the end of Envoy's log.
func Validate(ctx context.Context, o Options) error {
	p, err := prepare(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.StartTimeout)
	defer cancel()
	p.command(ctx, append([]string{"-c", p.configFile(), "--mode", "validate"}, p.arguments()...))
	if err := Run(p.cmd, p.ended); err != nil {
		p.temp.Remove()
		return fmt.Errorf("%s: %w", p.options.Path, err)
	}
	<-p.done
	if !p.cmd.ProcessState.Success() {
		return p.failed(fmt.Errorf("the configuration is refused by Envoy: %w",
			cmp.Or(ctx.Err(), error(errors.New(p.cmd.ProcessState.String())))))
	}
	return nil
}

func prepare(o Options) (*Process, error) {
	if o.Path == "" {
		path, err := Find("")
		if err != nil {
			return nil, err
		}
		o.Path = path
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 30 * time.Second
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 10 * time.Second
	}
	temp, err := tempdir.New("moe-envoy-")
	if err != nil {
		return nil, err
	}
	p := &Process{options: o, temp: temp, dir: temp.Path, done: make(chan struct{}), noAdmin: make(chan struct{})}
	if err := p.write(); err != nil {
		temp.Remove()
		return nil, err
	}
	return p, nil
}

// write puts the configuration and the module where Envoy finds them. The configuration may hold secrets: the folder
// is readable by this user alone.
func (p *Process) write() error {
	if err := os.WriteFile(p.configFile(), p.options.Config, 0o600); err != nil {
		return err
	}
	if p.options.Module == "" {
		return nil
	}
	module, err := filepath.Abs(p.options.Module)
	if err == nil {
		_, err = os.Stat(module)
	}
	if err != nil {
		return fmt.Errorf("dynamic module: %w", err)
	}
	return os.Symlink(module, filepath.Join(p.dir, "lib"+cmp.Or(p.options.ModuleName, "moe")+".so"))
}

// configFile has the extension that tells Envoy how to read it. Its YAML reader takes most numbers for strings.
func (p *Process) configFile() string {
	if bytes.HasPrefix(bytes.TrimSpace(p.options.Config), []byte("{")) {
		return filepath.Join(p.dir, "envoy.json")
	}
	return filepath.Join(p.dir, "envoy.yaml")
}

func (p *Process) adminFile() string { return filepath.Join(p.dir, "admin") }

func (p *Process) arguments() []string {
	level := p.options.LogLevel
	if level == "" {
		level = "info"
	}
	return append([]string{"--log-level", level}, p.options.Args...)
}

func (p *Process) command(ctx context.Context, args []string) {
	p.cmd = exec.CommandContext(ctx, p.options.Path, args...)
	p.cmd.Dir = p.options.Dir
	p.cmd.Env = append(os.Environ(), p.options.Env...)
	if p.options.Module != "" {
		p.cmd.Env = append(p.cmd.Env, "ENVOY_DYNAMIC_MODULES_SEARCH_PATH="+p.dir)
	}
	p.cmd.ExtraFiles = []*os.File{p.temp.Lock} // an Envoy that outlives this process keeps the folder
	p.cmd.Stdout = p.options.Stdout
	p.cmd.Stderr = newLines(p.log)
	p.cmd.WaitDelay = time.Second // a child of a plugin may hold the pipes for ever
}

// noAdminFile is what Envoy logs when it cannot say where its admin listener is. It serves all the same.
const noAdminFile = "cannot open admin address output file"

func (p *Process) log(line []byte) {
	p.tail.add(string(line))
	if bytes.Contains(line, []byte(noAdminFile)) {
		p.lost.Do(func() { close(p.noAdmin) })
	}
	if p.options.Log != nil {
		p.options.Log.Write(line)
	}
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and its output was read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the process to end. It returns nil if that was Stop's doing, else why it ended and the end of its log.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Signal sends a signal to Envoy.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop ends Envoy with SIGTERM, after the bound with SIGKILL, and waits for its end. It is safe to call it again, or
// after Envoy's end. The error says that Envoy had to be killed, or had ended by itself before.
func (p *Process) Stop() error {
	p.stop.Do(func() {
		p.tail.mu.Lock()
		p.stopped = true
		p.tail.mu.Unlock()
		p.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(p.options.StopTimeout):
			p.Signal(syscall.SIGKILL)
			<-p.done
		}
	})
	<-p.done
	return p.err
}

// ended records why the process ended; err is what Wait returned.
func (p *Process) ended(err error) {
	p.tail.mu.Lock()
	stopped := p.stopped
	p.tail.mu.Unlock()
	killed := false
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		killed = ok && status.Signaled() && status.Signal() == syscall.SIGKILL
	}
	switch {
	case stopped && killed:
		p.err = fmt.Errorf("the Envoy did not stop within %v and was killed", p.options.StopTimeout)
	case stopped && (err == nil || errors.Is(err, exec.ErrWaitDelay)): // the latter: its pipes are held
	case err == nil:
		p.err = errors.New("the Envoy ended by itself")
	default:
		p.err = p.failed(fmt.Errorf("the Envoy ended: %w", err))
	}
	p.temp.Remove()
	close(p.done)
}

// Error is a failure of Envoy's, with the end of its log.
type Error struct {
	Err error
	Log string // warnings and worse of the last lines; each begins with a line break and two blanks
}

// Error is the failure and the log.
func (e *Error) Error() string { return e.Err.Error() + e.Log }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func (p *Process) failed(err error) error { return &Error{err, p.tail.quote()} }

// tail keeps the last lines of the log.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, line); len(t.lines) > 30 {
		t.lines = t.lines[1:]
	}
}

// quote returns the lines indented for an error, beginning with a new line; those of level info and below are left out.
func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, line := range t.lines {
		if !strings.Contains(line, "][info]") && !strings.Contains(line, "][debug]") && !strings.Contains(line, "][trace]") {
			b.WriteString("\n  " + strings.TrimRight(line, "\n"))
		}
	}
	return b.String()
}
