package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"mosn.io/moe/pkg/istio"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

func istioDiffCommand() *cobra.Command {
	var f istioFlags
	var applied []string
	c := &cobra.Command{
		Use:   "diff -f DIR --applied FILE",
		Short: "Show how the EnvoyFilters of policies differ from those that are applied",
		Long: text(`
			diff generates as "moe istio generate" does and holds the result against EnvoyFilters that are applied, as kubectl
			prints them. Of these, it looks at those that MoE has made, by their label. It prints a unified diff of each that
			would be added, changed, or removed by kubectl apply --prune. The status is 1 if there is a difference.`),
		Example: examples(`
			kubectl get envoyfilters -A -l app.kubernetes.io/managed-by=moe -o yaml | moe istio diff -f mesh/ --applied -
			moe istio diff -f mesh/ --applied envoyfilters.yaml`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			if slices.Contains(f.files, "-") && slices.Contains(applied, "-") {
				return fmt.Errorf("the standard input is either -f or --applied, not both")
			}
			_, r, err := f.generate(cmd)
			if err != nil {
				return err
			}
			old, err := istio.Load(cmd.InOrStdin(), applied...)
			if err != nil {
				return err
			}
			changes, err := r.Diff(old)
			if err != nil {
				return err
			}
			for _, c := range changes {
				fmt.Fprintf(cmd.OutOrStdout(), "EnvoyFilter %s/%s is %s\n%s\n", c.Namespace, c.Name, c.Kind, c.Text)
			}
			if len(changes) > 0 {
				return fmt.Errorf("EnvoyFilters that differ: %d", len(changes))
			}
			return nil
		}),
	}
	f.add(c)
	c.Flags().StringArrayVar(&applied, "applied", nil, "`FILE` or folder with EnvoyFilters; - is the standard input; repeatable")
	c.MarkFlagRequired("applied")
	c.MarkFlagFilename("applied", "yaml", "yml", "json")
	return c
}

func istioCRDCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "crd",
		Short: "Print the CustomResourceDefinition of policies",
		Long: text(`
			crd prints the manifest that lets a cluster keep policies, so that kubectl and those who review see and check them
			as any other object. No controller acts on them there: "moe istio generate" reads what kubectl prints.`),
		Example:           examples(`moe istio crd | kubectl apply -f -`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(v1alpha1.CRD())
			return err
		}),
	}
}

func istioImageCommand() *cobra.Command {
	var i istio.Image
	var files []string
	var namespace string
	c := &cobra.Command{
		Use:   "image proxy|library|sidecar|gateway|waypoint",
		Short: "Print what brings libmoe.so into istio-proxy: a Dockerfile, a patch for a Deployment, or a ConfigMap",
		Long: text(`
			image prints one of

			proxy    a Dockerfile: Istio's proxy with libmoe.so inside, to be named by the annotation
			         sidecar.istio.io/proxyImage, or for a whole mesh in Istio's installation
			library  a Dockerfile: an image with libmoe.so alone, for the three that follow
			sidecar  a patch for a Deployment with sidecars: an init container that copies the library, and the annotations
			         (sidecar.istio.io/userVolume and others) that have Istio mount it into the proxy
			gateway  a patch for the Deployment of a gateway: the same without annotations
			waypoint a ConfigMap with that patch, for Gateways of class istio-waypoint to name by infrastructure.parametersRef:
			         Istio makes their Deployments

			With -f, the Secrets that the policies mention are mounted, too. The patches are for kubectl patch.`),
		Example: examples(`
			moe istio image proxy --proxy istio/proxyv2:1.31.0 >Dockerfile
			moe istio image gateway -f mesh/ >patch.yaml
			kubectl -n istio-system patch deployment istio-ingressgateway --patch-file patch.yaml
			moe istio image waypoint --namespace books -f mesh/ | kubectl apply -f -`),
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"proxy", "library", "sidecar", "gateway", "waypoint"},
		RunE: does(func(cmd *cobra.Command, args []string) error {
			in, err := istio.Load(cmd.InOrStdin(), files...)
			if err != nil {
				return err
			}
			if i.Secrets, err = istio.SecretMounts(in); err != nil {
				return err
			}
			var text []byte
			switch args[0] {
			case "proxy":
				text = []byte(i.Proxy())
			case "library":
				text = []byte(i.Library())
			case "sidecar":
				text, err = i.Sidecar()
			case "gateway":
				text, err = i.Gateway()
			case "waypoint":
				text, err = i.Waypoint(namespace)
			}
			if namespace != "" && args[0] != "waypoint" {
				return errors.New("--namespace is for waypoint")
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		}),
	}
	fl := c.Flags()
	fl.StringVar(&i.ProxyImage, "proxy", "istio/proxyv2:1.31.0", "Istio's `IMAGE` to build upon")
	fl.StringVar(&i.LibraryImage, "library", "moe:latest", "`IMAGE` with libmoe.so")
	fl.StringVar(&namespace, "namespace", "", "`NAMESPACE` of the waypoint's ConfigMap")
	fl.StringVar(&i.Dir, "dir", "/var/lib/moe", "`FOLDER` of the library in the proxy")
	fl.StringArrayVarP(&files, "filename", "f", nil, "`FILE` or folder with policies, for their Secrets; repeatable")
	return c
}
