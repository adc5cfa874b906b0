package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mosn.io/moe/internal/moefile"
)

func validateCommand() *cobra.Command {
	var file, host string
	var configOnly bool
	c := &cobra.Command{
		Use:   "validate",
		Short: "Tell everything that is wrong with a moe.yaml or a list of plugins",
		Long: text(`
			validate checks a moe.yaml, or a document of plugins as it stands in an Envoy configuration, by the code of the
			plugins themselves: names, fields, types, and what each plugin asks of its configuration; for every route, too,
			what it is merged over the rest. Plugins are also set up and closed again, so that a file that is missing is
			found here, unless --config-only is given. Every error is printed, not only the first, and the status is 1.
			A plugin that needs what the host lacks is an error, too; --host golang is for Envoys with the Golang filter.`),
		Example: examples(`
			moe validate -c moe.yaml
			moe validate --config-only -c - <moe.yaml`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			check := moefile.ProvisionPlugins
			if configOnly {
				check = moefile.CheckPlugins
			}
			h, err := hostOf(host)
			if err != nil {
				return err
			}
			if _, err := load(file, check, h); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is valid\n", file)
			return nil
		}),
	}
	fileFlag(c, &file)
	hostFlag(c, &host)
	c.Flags().BoolVar(&configOnly, "config-only", false, "do not set plugins up (open files, start connections)")
	return c
}
