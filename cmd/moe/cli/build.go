package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mosn.io/moe/internal/build"
)

func buildCommand() *cobra.Command {
	var o build.Options
	c := &cobra.Command{
		Use:   "build",
		Short: "Build a libmoe.so with plugins of others, or with fewer",
		Long: text(`
			build compiles MoE's sources and the plugins you name into one libmoe.so for Envoy, and on demand into a moe
			command that knows the same plugins, so that it can check, list and run them. It needs Go and a C compiler, and a
			checkout of MoE: the one that you or this program are in, or --moe DIR.

			--with takes a Go module, with a version as for "go get", a package in one, or a folder of yours, and may be
			repeated. What its packages register is compiled in. --only takes the names of those of MoE's own plugins to
			keep; --only "" keeps none. --without leaves some of them out, such as those with large dependencies.

			What was built is tried in a process of its own before it is put in place: a library whose packages panic while
			they are initialised would end Envoy.`),
		Example: examples(`
			moe build -o libmoe.so
			moe build --with ./greet -o build/libmoe.so
			moe build --with example.com/plugins/waf@v1.2.0 --only tokenauth,accesslog -o libmoe.so
			moe build --without opa,casbin,cedar,cel -o libmoe.so
			moe build --with ./greet -o libmoe.so --cli moe-greet && ./moe-greet run --module libmoe.so`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	var only []string
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.Module == "" && o.CLI == "" {
			return errors.New("say what to build: -o FILE for a libmoe.so, --cli FILE for a moe command")
		}
		if cmd.Flags().Changed("only") {
			o.Only = append([]string{}, only...)
		}
		o.Log = cmd.ErrOrStderr()
		ctx, stop := untilHangup(cmd.Context())
		defer stop()
		if err := build.Build(ctx, o); err != nil {
			return failure{err}
		}
		for _, file := range []string{o.Module, o.CLI} {
			if file != "" {
				fmt.Fprintln(cmd.OutOrStdout(), file)
			}
		}
		return nil
	}
	fl := c.Flags()
	fl.StringArrayVar(&o.With, "with", nil, "compile in `MODULE[@VERSION]|DIR`; may be repeated")
	fl.StringSliceVar(&only, "only", nil, "of MoE's own plugins, compile in just `NAME,…`")
	fl.StringSliceVar(&o.Without, "without", nil, "leave `NAME,…` of MoE's own plugins out")
	fl.StringVarP(&o.Module, "output", "o", "", "write the shared library to `FILE`")
	fl.StringVar(&o.CLI, "cli", "", "write a moe command with the same plugins to `FILE`")
	fl.StringVar(&o.Checkout, "moe", "", "`DIR` of MoE's sources (default: $MOE, or where moe or you are)")
	c.MarkFlagFilename("output", "so")
	c.MarkFlagDirname("moe")
	return c
}
