package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/internal/build"
	"mosn.io/moe/internal/doccomments"
	"mosn.io/moe/internal/moefile"
)

func schemaCommand() *cobra.Command {
	var source, kind string
	c := &cobra.Command{
		Use:   "schema [NAME]",
		Short: "Print the JSON Schema of moe.yaml, or of one plugin's configuration",
		Long: text(`
			schema prints a JSON Schema (draft 2020-12) of moe.yaml with all plugins of this moe, for editors that complete and
			check YAML by one; or, with a name, that of the plugin's configuration. What a plugin checks by its own code is
			not in it: "moe validate" finds that.

			The descriptions are the doc comments of the plugin's struct and its fields. They come from the plugin's schema.json,
			if it embeds one in filter.Docs, or from moe build, which reads the sources of the plugins that it compiles in.
			--source DIR reads them from the plugin's package in that folder: so its author writes schema.json.`),
		Example: examples(`
			moe schema >moe.schema.json   # and in moe.yaml: # yaml-language-server: $schema=moe.schema.json
			moe schema tokenauth
			moe schema redisguard
			moe schema accesslog --kind accesslog
			moe schema greet --source ./greet >greet/schema.json`),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completePlugins,
		RunE: does(func(cmd *cobra.Command, args []string) error {
			if (source != "" || kind != "") && len(args) == 0 {
				return errors.New("--source and --kind are for the schema of one plugin: give its NAME")
			}
			text, err := moefile.Schema()
			if len(args) > 0 {
				reg, unknown := lookupKind(args[0], kind)
				if unknown != nil {
					return unknown
				}
				if text, err = document.PluginSchema(reg); source != "" {
					text, err = schemaFrom(source, reg)
				}
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		}),
	}
	c.Flags().Var(&enum{&kind, build.Kinds}, "kind", "`KIND`, where plugins of several have the name: "+strings.Join(build.Kinds, ", "))
	c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(build.Kinds, cobra.ShellCompDirectiveNoFileComp))
	c.Flags().StringVar(&source, "source", "", "`DIR` of the plugin's source, for the descriptions")
	c.MarkFlagDirname("source")
	return c
}

// lookupKind returns the registration of a plugin of a kind. Where kind is "", a plugin that runs in chains goes before
// others.
func lookupKind(name, kind string) (*filter.Registration, error) {
	if kind == build.HTTP || kind == "" && filter.Lookup(name) != nil {
		return lookup(name)
	}
	for _, o := range others() {
		if o.Name == name && (kind == "" || kind == o.kind) {
			return &filter.Registration{Registration: *o.Registration}, nil
		}
	}
	if kind == "" {
		return lookup(name)
	}
	return nil, fmt.Errorf("no %s is called %q; `moe plugins` lists them all", kind, name)
}

// schemaFrom makes the schema of a plugin's configuration with the doc comments of its package in a folder.
func schemaFrom(dir string, reg *filter.Registration) ([]byte, error) {
	comments := &doccomments.Comments{Dir: func(path string) string {
		if path == reg.Config.PkgPath() {
			return dir
		}
		return ""
	}}
	text, err := config.Reflect(reg.Name, reg.Config, comments.Of)
	if err == nil && comments.Err != nil {
		err = fmt.Errorf("--source: %w", comments.Err)
	}
	return text, err
}

// Comments gives the schemas of plugins that have none of their own the doc comments of their sources: JSON of packages
// by path, each with its comments by "Type" and "Type.Field". A program that moe build makes calls it before Main.
func Comments(text string) {
	var packages map[string]doccomments.Package
	if err := json.Unmarshal([]byte(text), &packages); err != nil {
		panic("cli.Comments: " + err.Error())
	}
	document.Comments = func(t reflect.Type, field string) string { return packages[t.PkgPath()].Of(t.Name(), field) }
}
