package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/framework/extension"
)

func debugCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "debug",
		Short: "Ask for what the plugins do with a request",
		Long: text(`
			With debug in its configuration a chain shows, for chosen requests, which plugins ran, what each changed and how
			long it took. docs/debug-view.md has more.`),
		Example: examples(`
			curl -i -H "x-moe-debug: $(moe debug token --key-file /etc/moe/debug.key)" http://127.0.0.1:10000/`),
	}
	c.AddCommand(debugTokenCommand())
	return c
}

func debugTokenCommand() *cobra.Command {
	var f struct {
		file, env string
		life      time.Duration
	}
	c := &cobra.Command{
		Use:   "token",
		Short: "Print a token that has a request shown",
		Long: text(`
			token prints the value of the request header that debug.when.token names, x-moe-debug by default. It is valid for
			every request of a chain with the same key until it expires, so give it to nobody who may not see the plugins.`),
		Example: examples(`
			moe debug token --key-file /etc/moe/debug.key
			DEBUG_KEY=$(cat debug.key) moe debug token --key-env DEBUG_KEY --for 2h`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			key, err := debugKey(f.file, f.env)
			if err != nil {
				return err
			}
			if f.life < time.Second || f.life > debugview.MaxTokenLife {
				return fmt.Errorf("--for %v: give 1s to %v", f.life, debugview.MaxTokenLife)
			}
			cmd.Println(debugview.Sign(key, time.Now().Add(f.life)))
			return nil
		}),
	}
	c.Flags().StringVar(&f.file, "key-file", "", "`FILE` with the key, as debug.when.token.key has it in file")
	c.Flags().StringVar(&f.env, "key-env", "", "environment `VARIABLE` with the key, as debug.when.token.key has it in env")
	c.Flags().DurationVar(&f.life, "for", 15*time.Minute, "how long the token is valid, up to 24h")
	c.MarkFlagsOneRequired("key-file", "key-env")
	c.MarkFlagsMutuallyExclusive("key-file", "key-env")
	return c
}

// debugKey reads a key as a chain does.
func debugKey(file, env string) (string, error) {
	source := map[string]any{"file": file}
	if file == "" {
		source = map[string]any{"env": env}
	}
	into := struct {
		Key extension.Secret `json:"key"`
	}{}
	if err := config.Decode(map[string]any{"key": source}, &into); err != nil {
		return "", err
	}
	if len(into.Key.Reveal()) < debugview.MinKey {
		return "", errors.New("the key is too short: 16 bytes at least; `openssl rand -hex 32` makes one")
	}
	return into.Key.Reveal(), nil
}
