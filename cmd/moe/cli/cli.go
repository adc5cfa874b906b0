// Package cli is the moe command. It is a package of its own, so that a program with other plugins can be a moe, too:
//
//	package main
//
//	import (
//		"os"
//
//		_ "example.com/my/plugin"
//		"mosn.io/moe/cmd/moe/cli"
//	)
//
//	func main() { os.Exit(cli.Main(os.Args[1:]...)) }
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/build"
	"mosn.io/moe/internal/envoy"
)

// Main runs the command line args and returns the exit status: 0, 1 for what went wrong, 2 for a wrong command line.
// The signals SIGINT and SIGTERM end what a command does, and so do SIGHUP and SIGQUIT for all but extproc; a second one
// ends the process.
func Main(args ...string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := New()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	for _, line := range messages(err) {
		fmt.Fprintln(stderr, "moe:", line)
	}
	var failed failure
	if errors.As(err, &failed) {
		return 1
	}
	fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", command.CommandPath())
	return 2
}

// failure is an error in what a command did, as opposed to an error in its command line.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// does makes a cobra function of f: its errors are failures, and its context ends when the terminal goes away, so that
// nothing is left behind then.
func does(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, stop := untilHangup(cmd.Context())
		defer stop()
		cmd.SetContext(ctx)
		if err := f(cmd, args); err != nil {
			return failure{err}
		}
		return nil
	}
}

// untilHangup returns a context that ends with SIGHUP, unless the process was started to ignore it as by nohup, or SIGQUIT.
func untilHangup(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(ctx, signals...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// messages returns what err has to say, one line for each thing that is wrong with a configuration.
func messages(err error) []string {
	var file fileError
	var all config.Errors
	var lines []string
	var envoyError *envoy.Error
	if errors.As(err, &envoyError) {
		return []string{envoyError.Err.Error() + "; its log above tells more"}
	}
	if !errors.As(err, &all) {
		return []string{err.Error()}
	}
	prefix := ""
	if errors.As(err, &file) {
		prefix = file.name + ": "
	}
	for _, e := range all {
		lines = append(lines, prefix+e.Error())
	}
	return lines
}

// fileError names the file that err is about.
type fileError struct {
	name string
	err  error
}

func (e fileError) Error() string { return e.name + ": " + e.err.Error() }
func (e fileError) Unwrap() error { return e.err }

// New returns the moe command with all its subcommands.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "moe",
		Short: "Write HTTP filters for Envoy in Go, and run them",
		Long: text(`
			moe writes, checks, builds and runs Envoy filters written in Go.

			A plugin is a Go struct with the phases it needs. Compiled into libmoe.so, it runs in any stock Envoy as a
			dynamic module; this command starts one with a short file, moe.yaml, that names plugins and an upstream.`),
		Example: examples(`
			moe new greet                 # a plugin of your own, with a test
			moe plugins                   # the plugins that are compiled in
			moe plugins tokenauth         # one plugin: documentation, schema, example
			moe validate -c moe.yaml      # everything that is wrong with a file
			moe run -c moe.yaml           # Envoy with those plugins, until Ctrl-C
			moe extproc -c moe.yaml       # those plugins for an Envoy that reaches them over gRPC
			moe build --with ./greet -o libmoe.so`),
		Version:       build.VersionString(),
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		Args:                       knownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.AddCommand(
		runCommand(), extprocCommand(), validateCommand(), pluginsCommand(), schemaCommand(), newCommand(), buildCommand(),
		vetCommand(), istioCommand(), mosnCommand(), debugCommand(), versionCommand(),
	)
	return root
}

// knownCommand refuses an unknown command, with the one that may have been meant.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q%s", args[0], hint)
}

// text takes the indentation of the source off a help text.
func text(s string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		lines = append(lines, strings.TrimPrefix(line, "\t\t\t"))
	}
	return strings.Join(lines, "\n")
}

// examples is text, indented as cobra indents its other sections.
func examples(s string) string { return "  " + strings.ReplaceAll(text(s), "\n", "\n  ") }
