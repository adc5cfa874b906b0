package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"mosn.io/moe/internal/build"
	"mosn.io/moe/internal/envoy"
	"mosn.io/moe/internal/tempdir"
)

// envoyFlags are the flags of commands that start an Envoy and serve until they are stopped.
type envoyFlags struct {
	envoy, module, level string
	concurrency          int
}

func (f *envoyFlags) add(c *cobra.Command) {
	binaryFlags(c, &f.envoy, &f.module)
	fl := c.Flags()
	fl.IntVar(&f.concurrency, "concurrency", 0, "Envoy's worker threads (default: one per core)")
	fl.StringVar(&f.level, "log-level", "warning",
		"Envoy's log `LEVEL`: trace, debug, info, warning, error, critical or off")
	levelCompletion(c, "log-level")
}

// binaryFlags adds the flags that say which Envoy and which library to use.
func binaryFlags(c *cobra.Command, envoy, module *string) {
	c.Flags().StringVar(envoy, "envoy", "", "`PATH` of the Envoy to start (default: $ENVOY, the checkout's .envoy, PATH)")
	c.Flags().StringVar(module, "module", "", "`PATH` of libmoe.so (default: beside moe, or build/libmoe.so)")
}

func levelCompletion(c *cobra.Command, flag string) {
	c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions([]cobra.Completion{
		"trace", "debug", "info", "warning", "error", "critical", "off",
	}, cobra.ShellCompDirectiveNoFileComp))
}

// maxConcurrency bounds --concurrency. No machine has as many cores, and Envoy still starts with it; it aborts when it
// runs out of threads or descriptors.
const maxConcurrency = 1024

func (f *envoyFlags) check() error {
	if f.concurrency < 0 || f.concurrency > maxConcurrency {
		return fmt.Errorf("--concurrency %d: give 1 to %d worker threads, or 0 for one per core", f.concurrency, maxConcurrency)
	}
	return nil
}

// options finds what the flags name. Envoy's configuration is left to the caller.
func (f *envoyFlags) options(cmd *cobra.Command) (o envoy.Options, err error) {
	o = envoy.Options{
		Concurrency: f.concurrency, LogLevel: f.level,
		Stdout: cmd.OutOrStdout(), Log: envoy.Prefix(cmd.ErrOrStderr(), "envoy: "),
	}
	if o.Module, err = findModule(f.module); err != nil {
		return o, err
	}
	o.Path, err = envoy.Find(f.envoy)
	return o, err
}

// start starts Envoy. It returns nil if the command was stopped meanwhile.
func start(cmd *cobra.Command, o envoy.Options) (*envoy.Process, error) {
	ctx := cmd.Context()
	p, err := envoy.Start(ctx, o)
	switch {
	case ctx.Err() == nil:
		return p, err
	case err == nil:
		return nil, p.Stop()
	default:
		return nil, nil
	}
}

// wait waits until Envoy ends, or ends it when the command is stopped.
func wait(cmd *cobra.Command, p *envoy.Process) error {
	select {
	case <-cmd.Context().Done():
		cmd.PrintErrln("moe: stopping")
		return p.Stop()
	case <-p.Done():
		return p.Err()
	}
}

// startTurn has one moe run after the other look for free ports and listen there. Done at once, both would find a port
// free. Where there are no turns, what is left is that chance.
func startTurn(cmd *cobra.Command) (done func()) {
	done, err := tempdir.Turn(cmd.Context(), "start")
	if err != nil {
		return func() {}
	}
	return sync.OnceFunc(done)
}

// free fails if another process listens on an address. Without this check two Envoys would silently share the port, each
// with some of its connections, because every worker has a listening socket of its own (SO_REUSEPORT).
func free(addr string) error {
	if host, port, err := net.SplitHostPort(addr); err != nil || port == "0" {
		return nil // what is wrong with an address is said elsewhere
	} else if host == "localhost" { // Envoy's configuration has this one
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	ln, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use, maybe by another moe run; stop that, or choose another port", addr)
	}
	if err == nil {
		ln.Close()
	}
	return nil
}

// findModule returns the path of libmoe.so.
func findModule(explicit string) (string, error) {
	if explicit != "" {
		if _, err := os.Stat(explicit); err != nil {
			return "", fmt.Errorf("--module: %w", err)
		}
		return filepath.Abs(explicit)
	}
	var places []string
	if exe, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(exe), "libmoe.so"))
	}
	places = append(places, filepath.Join("build", "libmoe.so"))
	if root, err := build.Checkout(""); err == nil {
		places = append(places, filepath.Join(root, "build", "libmoe.so"))
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return filepath.Abs(p)
		}
	}
	return "", errors.New("no libmoe.so beside moe or in build/: run `make libmoe` in the checkout of MoE, or " +
		"`moe build`, or name one with --module PATH")
}
