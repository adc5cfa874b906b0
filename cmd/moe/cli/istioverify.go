package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"mosn.io/moe/internal/envoy"
	"mosn.io/moe/pkg/istio"
	"mosn.io/moe/pkg/istio/v1alpha1"
	"mosn.io/moe/pkg/istio/verify"
)

type verifyFlags struct {
	files                     []string
	pilot, envoy, module, log string
	root                      string
}

func verifyCommand() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify -f DIR",
		Short: "Try policies and other Istio resources on Istio's discovery server and a local Envoy",
		Long: text(`
			verify makes EnvoyFilters of the policies in files and folders, and tries them, together with all other resources
			there, without a cluster: Istio's own discovery server (pilot-discovery) admits them and sends what it makes of
			them to an Envoy for each gateway and each kind of sidecar that they are about. The report tells for each resource
			whether Istio admitted it, for each patch where it took effect, and for each proxy whether Envoy accepted it, or
			why not. The status is 1 if anything was refused, or if a patch matched nothing, which Istio itself passes over in
			silence.

			What it reads: policies, EnvoyFilters, Gateways, VirtualServices, HTTPRoutes, ServiceEntries, Services, and
			whatever else Istio's discovery reads; other kinds are passed over. No port is opened but on 127.0.0.1, and no
			request is sent to a service. Certificates are made up, and so are the files of spec.secretMounts whose Secrets are not
			among the input. An EnvoyFilter that "moe istio generate" has written may be among the input, too.

			In the checkout of MoE, make pilot builds the discovery server, once, in some minutes.`),
		Example: examples(`
			moe istio verify -f mesh/
			moe istio verify -f policies.yaml -f mesh/ --envoy /usr/local/bin/envoy
			kubectl get gateways,virtualservices,services,serviceentries -A -o yaml | moe istio verify -f - -f policies/`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              does(func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }),
	}
	fl := c.Flags()
	fl.StringArrayVarP(&f.files, "filename", "f", nil, "`FILE` or folder to read; - is the standard input; repeatable")
	fl.StringVar(&f.pilot, "pilot", "",
		"`PATH` of pilot-discovery (default: $PILOT_DISCOVERY, the checkout's .tools, PATH)")
	binaryFlags(c, &f.envoy, &f.module)
	fl.StringVar(&f.root, "root-namespace", "istio-system", "Istio's root `NAMESPACE`")
	fl.StringVar(&f.log, "log", "", "`FILE` for the logs of discovery server and Envoys; - is the standard error")
	c.MarkFlagRequired("filename")
	c.MarkFlagFilename("filename", "yaml", "yml", "json")
	return c
}

func (f *verifyFlags) run(cmd *cobra.Command) error {
	in, err := istio.Load(cmd.InOrStdin(), f.files...)
	if err != nil {
		return err
	}
	result, err := istio.Generate(in, istio.Options{RootNamespace: f.root})
	if err != nil {
		return err
	}
	o := verify.Options{RootNamespace: f.root}
	for _, obj := range in.Objects() {
		if obj.APIVersion() != v1alpha1.APIVersion {
			o.Objects = append(o.Objects, verify.Object(obj.Data))
		}
	}
	for _, m := range istio.Mounts(in) {
		o.Mounts = append(o.Mounts, verify.Mount{Secret: m.Name, Path: m.MountPath})
	}
	for _, ef := range result.EnvoyFilters {
		text, err := istio.JSON(ef)
		if err != nil {
			return err
		}
		var made verify.Object
		if err := json.Unmarshal(text, &made); err != nil {
			return err
		}
		o.Objects = append(o.Objects, made)
	}
	if o.Pilot, err = verify.FindPilot(f.pilot); err != nil {
		return err
	}
	if o.Envoy, err = envoy.Find(f.envoy); err != nil {
		return err
	}
	if verify.NeedsModule(o.Objects) {
		if o.Module, err = findModule(f.module); err != nil {
			return err
		}
	}
	if o.Log, err = f.openLog(cmd); err != nil {
		return err
	}
	if c, ok := o.Log.(io.Closer); ok {
		defer c.Close()
	}
	report, err := verify.Verify(cmd.Context(), o)
	if err != nil {
		return err
	}
	report.Write(cmd.OutOrStdout())
	switch n := len(report.Problems()); n {
	case 0:
		return nil
	case 1:
		return errors.New("verify: one problem, which the report marks")
	default:
		return fmt.Errorf("verify: %d problems, which the report marks", n)
	}
}

func (f *verifyFlags) openLog(cmd *cobra.Command) (io.Writer, error) {
	switch f.log {
	case "":
		return nil, nil
	case "-":
		return struct{ io.Writer }{cmd.ErrOrStderr()}, nil
	}
	return os.Create(f.log)
}
