package cli

import (
	"github.com/spf13/cobra"

	"mosn.io/moe/framework/document"
	"mosn.io/moe/internal/moefile"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [NAME]",
		Short: "Print the JSON Schema of moe.yaml, or of one plugin's configuration",
		Long: text(`
			schema prints a JSON Schema (draft 2020-12) of moe.yaml with all plugins of this moe, for editors that complete and
			check YAML by one; or, with a name, that of the plugin's configuration. What a plugin checks by its own code is
			not in it: "moe validate" tells that.`),
		Example: examples(`
			moe schema >moe.schema.json   # and in moe.yaml: # yaml-language-server: $schema=moe.schema.json
			moe schema tokenauth`),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completePlugins,
		RunE: does(func(cmd *cobra.Command, args []string) error {
			text, err := moefile.Schema()
			if len(args) > 0 {
				reg, unknown := lookup(args[0])
				if unknown != nil {
					return unknown
				}
				text, err = document.PluginSchema(reg)
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		}),
	}
}
