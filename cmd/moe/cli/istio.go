package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mosn.io/moe/pkg/istio"
	_ "mosn.io/moe/pkg/istio/envoytypes" // for EnvoyFilters of others
	"mosn.io/moe/pkg/istio/v1alpha1"
)

func istioCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "istio",
		Short: "Run plugins in an Istio mesh: policies in, EnvoyFilters out",
		Long: text(`
			istio turns policies into EnvoyFilter resources of Istio. A policy (apiVersion moe.mosn.io/v1alpha1, kind
			FilterPolicy) says which plugins run for which gateways, sidecars, hosts and routes. Give the commands the policies
			and what they refer to (Gateways, HTTPRoutes, VirtualServices, Services), as files, folders, or what kubectl
			prints. No command speaks to a cluster: kubectl does, and review tools see what it is given.`),
		Example: examples(`
			moe istio validate -f mesh/             # everything that is wrong with policies and EnvoyFilters
			moe istio generate -f mesh/ | kubectl apply --prune -l app.kubernetes.io/managed-by=moe -f -
			moe istio explain -f mesh/ shop.example.com
			moe istio crd | kubectl apply -f -      # to keep policies in the cluster
			kubectl get filterpolicies,gateways,virtualservices,services -A -o yaml | moe istio generate -f -`),
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(
		istioGenerateCommand(), istioValidateCommand(), istioExplainCommand(), istioDiffCommand(), verifyCommand(),
		istioImageCommand(), istioCRDCommand(),
	)
	return c
}

// istioFlags are those of all commands that read manifests.
type istioFlags struct {
	files   []string
	options istio.Options
}

func (f *istioFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringArrayVarP(&f.files, "filename", "f", nil, "`FILE` or folder to read; - is the standard input; repeatable")
	fl.StringVar(&f.options.RootNamespace, "root-namespace", "istio-system", "Istio's root `NAMESPACE`")
	fl.StringVarP(&f.options.Namespace, "namespace", "n", "default", "`NAMESPACE` of objects that name none")
	c.MarkFlagRequired("filename")
	c.MarkFlagFilename("filename", "yaml", "yml", "json")
}

func (f *istioFlags) generate(cmd *cobra.Command) (*istio.Input, *istio.Result, error) {
	in, err := istio.Load(cmd.InOrStdin(), f.files...)
	if err != nil {
		return nil, nil, err
	}
	r, err := istio.Generate(in, f.options)
	return in, r, err
}

func istioGenerateCommand() *cobra.Command {
	var f istioFlags
	var output string
	c := &cobra.Command{
		Use:   "generate -f DIR",
		Short: "Print the EnvoyFilters of policies",
		Long: text(`
			generate prints the EnvoyFilters that the policies come to, as YAML for kubectl. The same objects give the same
			text, whatever their order, with the same names, so that applying it again changes nothing; all have the label
			app.kubernetes.io/managed-by=moe, by which kubectl apply --prune removes what is not printed any more. If anything
			is wrong, every mistake is printed with file, line, column and field, nothing else is, and the status is 1.`),
		Example: examples(`
			moe istio generate -f mesh/ -o envoyfilters.yaml
			moe istio generate -f mesh/ | kubectl apply --prune -l app.kubernetes.io/managed-by=moe \
			  --prune-allowlist networking.istio.io/v1alpha3/EnvoyFilter -f -`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			_, r, err := f.generate(cmd)
			if err != nil {
				return err
			}
			text, err := r.YAML()
			if err != nil {
				return err
			}
			if output != "-" {
				return replaceFile(output, text)
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		}),
	}
	f.add(c)
	c.Flags().StringVarP(&output, "output", "o", "-", "`FILE` to write; it is replaced as a whole")
	return c
}

// replaceFile writes a file so that nobody sees half of it.
func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".moe-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // if it is still there
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func istioValidateCommand() *cobra.Command {
	var f istioFlags
	c := &cobra.Command{
		Use:   "validate -f DIR",
		Short: "Tell everything that is wrong with policies and EnvoyFilters",
		Long: text(`
			validate checks policies (their form, their plugins' configurations by the plugins' own code, what they refer to,
			and whether they contradict each other), the EnvoyFilters that come of them, and every EnvoyFilter among the input,
			whoever wrote it. EnvoyFilters are decoded strictly, down to the last field: Istio passes over fields that it does
			not know. Every error is printed with file, line, column and field, and the status is 1.`),
		Example: examples(`
			moe istio validate -f mesh/
			kubectl get envoyfilters -A -o yaml | moe istio validate -f -`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			in, r, err := f.generate(cmd)
			if in == nil {
				return err
			}
			warnings, invalid := istio.Validate(in)
			if r != nil {
				warnings = append(warnings, r.Warnings()...)
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "moe: warning: %v\n", w)
			}
			if err := joinIstio(err, invalid); err != nil {
				return err
			}
			text, err := r.YAML()
			if err != nil {
				return err
			}
			made, err := istio.Parse("generated", text)
			if err != nil {
				return err
			}
			if _, err := istio.Validate(made); err != nil {
				return err
			}
			policies, filters := 0, 0
			for _, o := range in.Objects() {
				switch o.Kind() {
				case v1alpha1.Kind:
					policies++
				case "EnvoyFilter":
					filters++
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "valid: policies: %d, EnvoyFilters generated: %d, others: %d\n",
				policies, len(made.Objects()), filters)
			return nil
		}),
	}
	f.add(c)
	return c
}

// joinIstio puts the errors of two checks together.
func joinIstio(a, b error) error {
	var all, more istio.Errors
	if !errors.As(a, &all) || !errors.As(b, &more) {
		return errors.Join(a, b)
	}
	return append(all, more...)
}

func istioExplainCommand() *cobra.Command {
	var f istioFlags
	c := &cobra.Command{
		Use:   "explain -f DIR [HOST|ROUTE]",
		Short: "Print the chains of gateways, hosts and routes, and which policy decided what",
		Long: text(`
			explain prints, for each set of proxies and each host and route with a chain of its own, the plugins in the order
			in which they run. Beside each is the policy that decides, and those that it overrules; where several have a part in
			one plugin's configuration, the fields that each has decided. With the name of a host or route, only that is shown.
			Values are not printed.`),
		Example: examples(`
			moe istio explain -f mesh/
			moe istio explain -f mesh/ checkout`),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: does(func(cmd *cobra.Command, args []string) error {
			_, r, err := f.generate(cmd)
			if err != nil {
				return err
			}
			match := ""
			if len(args) > 0 {
				match = args[0]
			}
			text := r.Explain(match)
			if text == "" && match != "" {
				return fmt.Errorf("no host and no route of the name %q has a chain of its own", match)
			}
			fmt.Fprint(cmd.OutOrStdout(), text)
			return nil
		}),
	}
	f.add(c)
	return c
}
