package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/vet"
)

func vetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "vet [DIR]...",
		Short: "Find what can take Envoy down in the source of plugins",
		Long: text(`
			vet reads the Go source of plugins in the folders given, and below them, and reports plain go statements: a panic in
			such a goroutine ends the whole Envoy, where one in a function given to filter.Go, filter.Pipe or Env.Go is
			recovered. A goroutine that recovers by itself is kept with a comment on its line or the one before:
			` + vet.Allow + ` and how it recovers. The status is 1 if something was found.`),
		Example: examples(`
			moe vet
			moe vet plugins docs/examples`),
		RunE: does(func(cmd *cobra.Command, dirs []string) error {
			if len(dirs) == 0 {
				dirs = []string{"."}
			}
			n := 0
			for _, dir := range dirs {
				found, err := vet.Dir(dir)
				if err != nil {
					return err
				}
				for _, f := range found {
					fmt.Fprintln(cmd.OutOrStdout(), f)
				}
				n += len(found)
			}
			if n > 0 {
				return fmt.Errorf("%d found", n)
			}
			return nil
		}),
	}
}
