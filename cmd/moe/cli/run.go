package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/spf13/cobra"

	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/internal/echo"
	"mosn.io/moe/internal/envoy"
	"mosn.io/moe/internal/moefile"
	"mosn.io/moe/internal/tempdir"
	"mosn.io/moe/internal/ui"
)

type runFlags struct {
	envoyFlags
	file, host, admin, pluginLevel, split string
	print, unchecked, watch               bool
	trace                                 traceFlags
	ui                                    uiFlags
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Start Envoy with the plugins of a moe.yaml",
		Long: text(`
			run checks a moe.yaml, writes an Envoy configuration from it and starts Envoy with that. Envoy's log comes out
			on the standard error with "envoy: " before each line; what plugins print, such as access logs, on the standard
			output. Ctrl-C, SIGTERM or the end of the terminal stops Envoy and ends with status 0.

			The file, all of whose fields may be left out:

			  listen: 127.0.0.1:10000     # IP address and port; :PORT is all addresses, port 0 any free one
			  listeners: []               # several of them, with TLS, HTTP/3 and client certificates, in place of listen
			  upstream: echo              # or HOST:PORT, h2c://HOST:PORT (HTTP/2 without TLS), https://HOST, or a name of
			  upstreams: []               # several of them, with TLS, health checks, retries and so on
			  plugins:                    # run in stage order, then as listed
			  - name: tokenauth
			    config: {secret: {env: TOKEN_SECRET}}
			  consumers: []               # who calls, and what is different for them
			  routes:                     # tried in order; plugins are merged over those above
			  - match: {prefix: /public}  # path, prefix or regex; host; methods; headers
			    plugins:
			    - {name: tokenauth, disabled: true}
			  - match: {path: /old}       # a route may also have an upstream, weights, a redirect or a response
			    redirect: {pathRedirect: /new}
			  envoyFilters: []            # HTTP filters of Envoy's own around the plugins or between them
			  trustedProxies: []          # networks of proxies in front, whose x-forwarded-for is believed
			  http: {}                    # paths, headers and time-outs
			  limits: {}                  # connections, memory, buffers

			docs/edge.md has all fields of these.

			Relative paths in the file start from its folder. ${NAME} in a value is an environment variable, and
			${NAME:-default} one that may be missing; $${ stands for ${ itself.

			The upstream echo replies with the request it saw as JSON. Request headers ask it for more: x-echo-status,
			x-echo-header and x-echo-trailer (NAME: VALUE), x-echo-delay, and x-echo-body: stream for the body as it comes;
			a gRPC request is streamed back. An https upstream is verified by the system's certificate authorities and gets
			its own name as the host header; the others get the client's.

			With --watch, edits of the file go live while Envoy serves, and so do secrets in files that it names. An edit
			that is wrong is reported with its line, and the one before goes on. What a running Envoy cannot take waits for
			the next start, and is reported, too.

			With --trace, each request is drawn when it has ended: its plugins in the order in which they ran, when and how
			long each did, what it waited for, which headers it changed, and who replied.

			With --ui, a page shows the routes and their plugins at work, and the latest requests that were slow, refused or
			made a plugin panic, and the configuration with where each part of it comes from. Its address, with a token, is
			printed at the start. With --ui-edit, it has forms that change the file.

			--host golang has Envoy reach the plugins as its Golang filter does. As stock Envoys lack that filter, run has
			libgolang_bridge.so, from beside libmoe.so, take its place; --print-config prints the configuration of an Envoy
			that has it, for which --module says where that finds libmoe.so.`),
		Example: examples(`
			moe run -c moe.yaml
			moe run -c moe.yaml --envoy /usr/local/bin/envoy --concurrency 1 --admin 127.0.0.1:9901
			moe run -c moe.yaml --watch
			moe run -c moe.yaml --trace --trace-path /api/
			moe run -c moe.yaml --watch --ui 127.0.0.1:9902 --ui-edit
			moe run -c moe.yaml --print-config > envoy.yaml
			moe run -c moe.yaml --print-config --split /etc/envoy/moe
			moe run --host golang --print-config --module /usr/local/lib/libmoe.so
			moe run --module build/libmoe.so --plugin-log-level debug`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              does(func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }),
	}
	fileFlag(c, &f.file)
	fl := c.Flags()
	fl.BoolVar(&f.print, "print-config", false, "print the Envoy configuration instead of starting Envoy")
	fl.StringVar(&f.split, "split", "", "with --print-config, write it to files in `DIR`, which Envoy reads again when they "+
		"change")
	c.MarkFlagDirname("split")
	fl.BoolVar(&f.watch, "watch", false, "have edits of the file go live, without a restart and without a lost request")
	f.trace.add(c)
	f.ui.add(c)
	hostFlag(c, &f.host)
	f.add(c)
	fl.StringVar(&f.admin, "admin", "127.0.0.1:0", "`ADDR` of Envoy's admin page; port 0 is any free one")
	fl.StringVar(&f.pluginLevel, "plugin-log-level", "info", "log `LEVEL` of the plugins")
	fl.BoolVar(&f.unchecked, "no-validate", false,
		"leave all checks of plugins to Envoy: for a --module with plugins that this moe does not have")
	levelCompletion(c, "plugin-log-level")
	return c
}

func fileFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "moe.yaml", "`FILE` to read; - is the standard input")
	c.MarkFlagFilename("config", "yaml", "yml", "json")
}

func hostFlag(c *cobra.Command, host *string) {
	c.Flags().StringVar(host, "host", "dynmod", "`HOST` that runs the plugins in Envoy: dynmod or golang")
	c.RegisterFlagCompletionFunc("host", cobra.FixedCompletions([]cobra.Completion{"dynmod", "golang"},
		cobra.ShellCompDirectiveNoFileComp))
}

func hostOf(name string) (moefile.Host, error) {
	h, ok := moefile.HostOf(name)
	if !ok {
		return h, fmt.Errorf("--host: %q does not run in Envoy; give dynmod or golang", name)
	}
	return h, nil
}

// printedEcho stands for the echo server's address in a printed configuration, because no echo server runs then.
const printedEcho = "127.0.0.1:10001"

// printedLibrary is the path of the library in a printed configuration, unless --module gives one.
const printedLibrary = "/usr/local/lib/libmoe.so"

func (f *runFlags) run(cmd *cobra.Command) error {
	host, err := hostOf(f.host)
	if err != nil {
		return err
	}
	if err := f.envoyFlags.check(); err != nil {
		return err
	}
	if err := f.trace.check(f); err != nil {
		return err
	}
	if err := f.ui.check(f.file, f.print || f.split != ""); err != nil {
		return err
	}
	if f.ui.on() {
		if err := checkLevel("--ui", f.pluginLevel); err != nil {
			return err
		}
	}
	if host == moefile.Golang && !f.print && f.split == "" {
		host = moefile.Bridge
	}
	check := moefile.CheckPlugins // Envoy sets them up in a moment
	if f.unchecked {
		check = moefile.CheckFile
	}
	w := &watcher{f: f, cmd: cmd}
	if f.watch {
		if f.print || f.file == "-" {
			return errors.New("--watch is for a file, and for an Envoy that moe starts")
		}
		if err := w.watch(); err != nil {
			return err
		}
	}
	file, err := f.load(moefile.Loader{Check: check, Host: host, Files: !f.print})
	if err != nil {
		if strings.Contains(err.Error(), "unknown plugin") {
			cmd.PrintErrln("moe: plugins of others are known to a moe that has them: `moe build --with … --cli FILE` makes " +
				"one; --no-validate leaves the check to Envoy")
		}
		return err
	}
	if f.split != "" {
		return f.writeSplit(cmd, file)
	}
	if f.print {
		b, err := f.config(file, printedEcho, f.printed(), bootstrap.YAML)
		if err != nil {
			return err
		}
		if file.Echo {
			cmd.Printf("# upstream: echo runs inside `moe run` only; %s stands for a server of yours\n", printedEcho)
		}
		cmd.Print(string(b))
		return nil
	}
	started := startTurn(cmd)
	defer started()
	for _, l := range file.Listeners {
		if l.UDP != nil {
			continue // Envoys share such ports
		}
		if err := free(l.Address); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	if err := free(f.admin); err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	upstream := ""
	if file.Echo {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		go echo.Serve(ln)
		upstream = ln.Addr().String()
	}
	edit, err := f.edits(host)
	if err != nil {
		return err
	}
	page, endPage, err := f.ui.open(cmd, edit)
	if err != nil {
		return err
	}
	defer endPage()
	o.Log = f.trace.writer(o.Log, cmd.OutOrStdout(), page)
	if page != nil {
		page.Loaded(f.file, file.Text())
		w.page = page
	}
	if o.Dir, err = folder(f.file); err != nil {
		return err
	}
	o.Args = []string{"--component-log-level", "dynamic_modules:" + f.pluginLevel}
	var golang *bootstrap.Golang
	if module := o.Module; f.host == "golang" {
		if o.Module, err = findBridge(module); err != nil {
			return err
		}
		o.ModuleName = bootstrap.BridgeName
		golang = &bootstrap.Golang{Library: module, Bridge: true}
	}
	files, err := tempdir.New("moe-files-")
	if err != nil {
		return err
	}
	defer files.Remove()
	if !f.watch {
		if o.Config, err = f.live(file, upstream, golang, files.Path); err != nil {
			return err
		}
		return f.serve(cmd, file, o, nil, started)
	}
	// Mistakes are found before Envoy gets them, whose words for them have no lines: also those of setting plugins up.
	w.loader = moefile.Loader{Check: moefile.ProvisionPlugins, Host: host, Files: true}
	if f.unchecked {
		w.loader.Check = moefile.CheckFile
	}
	w.echo, w.golang, w.dir = upstream, golang, files.Path
	if err := w.watch(file); err != nil {
		return err
	}
	if err := w.begin(file); err != nil {
		return err
	}
	o.Config = w.boot
	return f.serve(cmd, file, o, w, started)
}

// edits is how the page may change the file.
func (f *runFlags) edits(host moefile.Host) (ui.Edit, error) {
	if !f.ui.edit {
		return ui.Edit{}, nil
	}
	path, err := filepath.Abs(f.file)
	if err != nil {
		return ui.Edit{}, err
	}
	check := validates(f.file, host)
	if f.unchecked {
		check = func(text []byte, _ bool) error {
			_, err := moefile.Loader{Name: f.file}.Parse(text)
			return err
		}
	}
	return ui.Edit{File: path, Name: f.file, Live: f.watch, Check: func(text []byte, whole bool) error {
		entered.Lock()
		defer entered.Unlock()
		_, leave, err := enter(f.file) // where the file's relative paths start
		if err != nil {
			return err
		}
		defer leave()
		return check(text, whole)
	}}, nil
}

// printed returns the Golang filter of a printed configuration, or nil for a dynamic module.
func (f *runFlags) printed() *bootstrap.Golang {
	if f.host != "golang" {
		return nil
	}
	library := f.module
	if library == "" {
		library = printedLibrary
	}
	return &bootstrap.Golang{Library: library}
}

// findBridge returns the path of the bridge beside a libmoe.so.
func findBridge(module string) (string, error) {
	path := filepath.Join(filepath.Dir(module), "libgolang_bridge.so")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("--host golang: %w: run `make bridge` in the checkout of MoE; a stock Envoy has no Golang "+
			"filter, and the bridge takes its place", err)
	}
	return path, nil
}

func (f *runFlags) config(
	file *moefile.File, echo string, golang *bootstrap.Golang, write func(*bootstrapv3.Bootstrap) ([]byte, error),
) ([]byte, error) {
	o := file.Bootstrap(f.admin, echo)
	o.Golang = golang
	b, err := bootstrap.New(o)
	if err != nil {
		return nil, fileError{f.file, err}
	}
	return write(b)
}

// serve runs Envoy until it ends or the command's context does. w, if there is one, takes edits meanwhile. started is called
// when Envoy listens.
func (f *runFlags) serve(cmd *cobra.Command, file *moefile.File, o envoy.Options, w *watcher, started func()) error {
	p, err := start(cmd, o)
	if p == nil {
		return err
	}
	ctx := cmd.Context()
	addresses, err := serving(ctx, p, file.Listeners)
	if err != nil && ctx.Err() == nil {
		return errors.Join(err, p.Stop())
	}
	started()
	cmd.PrintErrf("moe: serving %s for %s; Envoy's admin page is http://%s; stop with Ctrl-C\n",
		addresses, served(file), p.Admin())
	if w != nil {
		w.stat = p.Stat
		watching, end := context.WithCancel(ctx)
		over := make(chan struct{})
		go func() {
			defer close(over)
			w.run(watching)
		}()
		defer func() {
			end()
			<-over
		}()
	}
	return wait(cmd, p)
}
