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
			vet reads the Go source of plugins in the folders given, and below them, and reports what ends Envoy or stops one of
			its threads: plain go statements, in whose goroutines no panic is recovered, where one in a function given to
			filter.Go, filter.Pipe or Env.Go is; runtime.Goexit, and testing's FailNow, Fatal and Skip outside of tests; os.Exit
			and log.Fatal. A comment on its line or the one before keeps one: ` + vet.AllowGoroutine + ` and how the goroutine
			recovers, or ` + vet.AllowExit + ` and why nothing waits for it. The status is 1 if something was found.`),
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
