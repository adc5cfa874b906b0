package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mosn.io/moe/internal/build"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this moe",
		Long: text(`
			version prints what was built, from which commit and with which Go: what a report of a bug needs. It prints the same
			as moe --version.`),
		Example:           examples(`moe version`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "moe %s\n", build.VersionString())
			return err
		}),
	}
}
