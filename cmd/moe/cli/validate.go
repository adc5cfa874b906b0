package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mosn.io/moe/internal/moefile"
)

func validateCommand() *cobra.Command {
	var file, host string
	var configOnly, withoutSecrets bool
	c := &cobra.Command{
		Use:   "validate",
		Short: "Tell everything that is wrong with a moe.yaml or a list of plugins",
		Long: text(`
			validate checks a moe.yaml, or a document of plugins as it stands in an Envoy configuration, by the code of the
			plugins themselves: names, fields, types, and what each plugin asks of its configuration; for every route, too,
			what it is merged over the rest. Plugins are also set up and closed again, so that a file that is missing is
			found here, unless --config-only is given. Every error is printed, not only the first, with file, line, column and
			field, and the status is 1. Values are not printed: any of them may be a secret.
			A plugin that needs what the host lacks is an error, too; --host golang is for Envoys with the Golang filter.

			--without-secrets is for pipelines, where the secrets of a deployment are not: what {env: NAME} and {file: PATH}
			name, and the file of consumerSource, may be missing. Everything else is checked.`),
		Example: examples(`
			moe validate -c moe.yaml
			moe validate --without-secrets -c moe.yaml
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
			if _, err := load(file, moefile.Loader{Check: check, Host: h, WithoutSecrets: withoutSecrets}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is valid\n", file)
			return nil
		}),
	}
	fileFlag(c, &file)
	hostFlag(c, &host)
	c.Flags().BoolVar(&configOnly, "config-only", false, "do not set plugins up (open files, start connections)")
	c.Flags().BoolVar(&withoutSecrets, "without-secrets", false, "secrets and files of credentials may be missing")
	return c
}
