package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mosn.io/moe/internal/build"
)

func newCommand() *cobra.Command {
	var o build.NewOptions
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Begin a plugin of your own",
		Long: text(`
			new makes a folder with a plugin that works, to change into yours: the plugin and its test, a README, a moe.yaml to
			try it with, a Makefile that builds it into a libmoe.so and a moe, and a go.mod. That one requires what the plugin
			imports, and refers to MoE's sources: the checkout that you or this program are in, or --moe DIR. With --kind it is a
			listener filter, a network filter, a UDP filter, an access logger, a certificate validator or a bootstrap extension.`),
		Example: examples(`
			moe new greet
			cd greet && go test ./... && make run
			moe new greet --module git.example.com/team/greet --dir ~/src/greet
			moe new lines --kind network`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: does(func(cmd *cobra.Command, args []string) error {
			o.Name = args[0]
			dir, err := build.New(o)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s holds your plugin %s. Go on with:\n\n  cd %s\n  go test ./...\n  make run\n",
				dir, o.Name, dir)
			return nil
		}),
	}
	fl := c.Flags()
	fl.Var(&enum{&o.Kind, build.Kinds}, "kind", "`KIND`: "+strings.Join(build.Kinds, ", ")+" (default: http)")
	c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(build.Kinds, cobra.ShellCompDirectiveNoFileComp))
	fl.StringVar(&o.Dir, "dir", "", "`DIR` to make (default: NAME)")
	fl.StringVar(&o.Module, "module", "", "`PATH` of its Go module (default: example.com/NAME)")
	fl.StringVar(&o.Checkout, "moe", "", "`DIR` of MoE's sources (default: $MOE, or where moe or you are)")
	c.MarkFlagDirname("dir")
	c.MarkFlagDirname("moe")
	return c
}
