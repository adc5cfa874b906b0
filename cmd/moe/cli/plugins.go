package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

func pluginsCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "plugins [NAME]",
		Short: "List the plugins that are compiled in, or describe one",
		Long: text(`
			plugins lists the plugins of this moe: the stage that each runs in (access, authn, authz, traffic, transform,
			observe; or its kind, where that is another: listener, network, accesslog, certvalidator, bootstrap), and what it
			does. With a name, it prints that plugin's documentation, an example and the JSON Schema of its configuration. As
			JSON, each plugin also has the phases that it takes part in.`),
		Example: examples(`
			moe plugins
			moe plugins tokenauth
			moe plugins -o json
			moe plugins tokenauth -o json`),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completePlugins,
		RunE: does(func(cmd *cobra.Command, args []string) error {
			w := cmd.OutOrStdout()
			if len(args) == 0 {
				return list(w, format)
			}
			p, manual, err := describeNamed(args[0])
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(w, p)
			}
			p.print(w, manual)
			return nil
		}),
	}
	c.Flags().VarP(&enum{&format, []string{"text", "json"}}, "output", "o", "`FORMAT`: text or json")
	c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]cobra.Completion{"text", "json"},
		cobra.ShellCompDirectiveNoFileComp))
	return c
}

// completePlugins completes one plugin's name.
func completePlugins(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, reg := range filter.Registrations() {
		names = append(names, reg.Name)
	}
	for _, o := range others() {
		if filter.Lookup(o.Name) == nil {
			names = append(names, o.Name)
		}
	}
	if len(args) > 0 {
		names = nil
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// describeNamed describes a plugin, or else an extension of another kind, and returns its manual.
func describeNamed(name string) (*plugin, string, error) {
	if o, ok := lookupOther(name); ok && filter.Lookup(name) == nil {
		return o.describe()
	}
	reg, err := lookup(name)
	if err != nil {
		return nil, "", err
	}
	p, err := describe(reg)
	return p, manualOf(reg), err
}

func lookup(name string) (*filter.Registration, error) {
	if reg := filter.Lookup(name); reg != nil {
		return reg, nil
	}
	var names []string
	for _, reg := range filter.Registrations() {
		names = append(names, reg.Name)
	}
	return nil, fmt.Errorf("%s; `moe plugins` lists them all", config.Unknown(fmt.Sprintf("plugin %q", name), name, names))
}

func list(w io.Writer, format string) error {
	all := []*plugin{}
	for _, reg := range filter.Registrations() {
		p, err := describe(reg)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	for _, o := range others() {
		p, _, err := o.describe()
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	if format == "json" {
		return writeJSON(w, all)
	}
	name, stage := len("NAME"), len("STAGE")
	for _, p := range all {
		name, stage = max(name, len(p.Name)), max(stage, len(p.Stage))
	}
	row := fmt.Sprintf("%%-%ds  %%-%ds  %%s\n", name, stage)
	fmt.Fprintf(w, row, "NAME", "STAGE", "SUMMARY")
	for _, p := range all {
		for i, line := range wrap(p.Summary, listWidth-name-stage-4) {
			if i == 0 {
				fmt.Fprintf(w, row, p.Name, p.Stage, line)
			} else {
				fmt.Fprintf(w, row, "", "", line)
			}
		}
	}
	return nil
}

// listWidth is how many columns the list of plugins takes at most.
const listWidth = 100

// wrap breaks text at blanks into lines of at most width characters; a longer word has a line to itself.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch n := utf8.RuneCountInString(*last); {
		case n == 0:
			*last = word
		case n+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// enum is a flag whose value is one of a few words; the first is the default.
type enum struct {
	value *string
	words []string
}

func (e *enum) String() string {
	if e.value == nil || *e.value == "" {
		return ""
	}
	return *e.value
}

func (e *enum) Type() string { return strings.Join(e.words, "|") }

func (e *enum) Set(s string) error {
	for _, w := range e.words {
		if s == w {
			*e.value = s
			return nil
		}
	}
	return fmt.Errorf("expected %s", strings.Join(e.words, " or "))
}
