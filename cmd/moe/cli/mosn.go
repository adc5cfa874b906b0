package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/internal/mosnconf"
)

func mosnCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "mosn",
		Short: "Convert and run the configuration of a MOSN",
		Long: text(`
			MOSN's listeners, routers and clusters become Envoy's own. Its stream filters, network filters and listener
			filters run as they are, in "mosn". A field that has no counterpart in Envoy is an error with its place.
			docs/mosn.md has more.`),
		Example: examples(`
			moe mosn convert mosn_config.json > envoy.yaml
			moe mosn run mosn_config.json --module build/libmoe-mosn.so`),
	}
	c.AddCommand(mosnConvertCommand(), mosnRunCommand())
	return c
}

func mosnConvertCommand() *cobra.Command {
	var include []string
	c := &cobra.Command{
		Use:   "convert FILE",
		Short: "Print the configuration of an Envoy that does what a mosn_config.json says",
		Long: text(`
			convert prints a complete bootstrap of Envoy, in YAML. What does not matter for Envoy, such as the path of MOSN's
			own log, is noted on the standard error. FILE may be - for the standard input.

			Folders that the file names (clusters_configs, router_configs) are read if they are within the file's own, or
			within one of --include. As in MOSN, a relative path begins at the working directory.`),
		Example: examples(`
			moe mosn convert mosn_config.json > envoy.yaml`),
		Args: cobra.ExactArgs(1),
		RunE: does(func(cmd *cobra.Command, args []string) error {
			b, err := convertMOSN(cmd, args[0], include)
			if err != nil {
				return err
			}
			text, err := bootstrap.YAML(b)
			if err != nil {
				return err
			}
			cmd.Print(string(text))
			return nil
		}),
	}
	addInclude(c, &include)
	return c
}

func addInclude(c *cobra.Command, into *[]string) {
	c.Flags().StringArrayVar(into, "include", nil, "read clusters and routers from folders within `DIR` too; may be repeated")
}

// convertMOSN reads and converts a file, and prints the notes.
func convertMOSN(cmd *cobra.Command, file string, include []string) (*bootstrapv3.Bootstrap, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(cmd.InOrStdin())
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	own := "."
	if file != "-" {
		own = filepath.Dir(file)
	}
	result, err := mosnconf.Convert(text, mosnconf.Below(append([]string{own}, include...)...))
	if err != nil {
		return nil, fileError{file, err}
	}
	for _, note := range result.Notes {
		cmd.PrintErrf("moe: %s: %s\n", file, note)
	}
	raw, err := json.Marshal(result.Bootstrap)
	if err != nil {
		return nil, err
	}
	b := new(bootstrapv3.Bootstrap)
	if err := protojson.Unmarshal(raw, b); err != nil {
		return nil, fmt.Errorf("%s: Envoy's configuration does not have what came out: %w", file, err)
	}
	return b, nil
}

func mosnRunCommand() *cobra.Command {
	var f envoyFlags
	var include []string
	c := &cobra.Command{
		Use:   "run FILE",
		Short: "Start Envoy with what a mosn_config.json says",
		Long: text(`
			run converts the file, as convert does, and starts Envoy. The libmoe.so must have the filters in it: "make
			libmoe-mosn" builds one with MOSN's own, and "moe build --with" one with yours.`),
		Example: examples(`
			moe mosn run mosn_config.json --module build/libmoe-mosn.so`),
		Args: cobra.ExactArgs(1),
		RunE: does(func(cmd *cobra.Command, args []string) error { return runMOSN(cmd, f, args[0], include) }),
	}
	f.add(c)
	addInclude(c, &include)
	return c
}

func runMOSN(cmd *cobra.Command, f envoyFlags, file string, include []string) error {
	if err := f.check(); err != nil {
		return err
	}
	b, err := convertMOSN(cmd, file, include)
	if err != nil {
		return err
	}
	started := startTurn(cmd)
	defer started()
	for _, l := range b.GetStaticResources().GetListeners() {
		a := l.GetAddress().GetSocketAddress()
		if a == nil || l.GetBindToPort() != nil && !l.GetBindToPort().GetValue() { // a pipe, or where Envoy does not listen
			continue
		}
		if err := free(net.JoinHostPort(a.GetAddress(), strconv.Itoa(int(a.GetPortValue())))); err != nil {
			return fmt.Errorf("%s: listener %q: %w", file, l.GetName(), err)
		}
	}
	if b.Admin == nil {
		address, err := bootstrap.ParseAddress("127.0.0.1:0")
		if err != nil {
			return err
		}
		b.Admin = &bootstrapv3.Admin{Address: address}
	}
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	if o.Config, err = bootstrap.JSON(b); err != nil {
		return err
	}
	p, err := start(cmd, o)
	if p == nil {
		return err
	}
	started()
	cmd.PrintErrf("moe: serving what %s says; Envoy's admin page is http://%s; stop with Ctrl-C\n", file, p.Admin())
	return wait(cmd, p)
}
