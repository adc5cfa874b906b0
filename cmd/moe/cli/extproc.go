package cli

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	"github.com/spf13/cobra"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/extproc"
	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/internal/extprocd"
	"mosn.io/moe/internal/moefile"
	"mosn.io/moe/internal/ui"
)

type extprocFlags struct {
	file, level string
	json, print bool
	o           extprocd.Options
	ui          uiFlags

	requestMode, responseMode    string
	requestHeaders, failOpen     bool
	body, address, envoyAdmin    string
	attributes, namespaces       []string
	envoyCA, envoyCert, envoyKey string
}

func extprocCommand() *cobra.Command {
	var f extprocFlags
	c := &cobra.Command{
		Use:   "extproc",
		Short: "Serve the plugins of a moe.yaml to Envoy's ext_proc filter",
		Long: text(`
			extproc runs plugins in a process of their own and serves them over gRPC, as envoy.filters.http.ext_proc asks for
			it: for an Envoy that loads no library, or to keep plugins apart from it. The file is that of moe run; of its
			fields listen and upstream only --print-config makes use.

			--print-config prints a configuration of Envoy with the filter and the cluster of this server. Its processing
			modes, attributes and timeouts are those that the plugins in the file need. A plugin that returns Pipe without
			a phase for bodies needs --body full, one that reads request headers in the response's phases --request-headers.
			Flags that begin with "printed:" below are about this configuration.

			A route's plugins apply where Envoy's route has the name of the one in the file (name: in routes, by default
			route-0, route-1 …; Envoy must list xds.route_name in request_attributes), where the gRPC initial metadata
			moe-route names it, or where the metadata moe-config has a document of plugins itself.

			The file is read again when it changes and on SIGHUP. One that is wrong is logged, and the one before goes on;
			streams end with the configuration they began with. On SIGTERM or Ctrl-C health checks fail, streams may end
			for --drain, and the status is 0. The admin page has /metrics (Prometheus), /ready and /live; --ui has one for
			people, with the plugins at work and the latest requests that were slow or refused, and with --ui-edit forms that
			change the file.`),
		Example: examples(`
			moe extproc -c moe.yaml
			moe extproc -c moe.yaml --listen :9000 --admin :9001 --log-json
			moe extproc -c moe.yaml --tls-cert tls.crt --tls-key tls.key --tls-client-ca ca.crt
			moe extproc -c moe.yaml --ui 127.0.0.1:9902
			moe extproc -c moe.yaml --print-config > envoy.yaml`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error { // not does: SIGHUP has the file read again
			if err := f.run(cmd); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	fileFlag(c, &f.file)
	fl := c.Flags()
	fl.BoolVar(&f.print, "print-config", false, "print a configuration of Envoy that fits, instead of serving")
	fl.StringVar(&f.o.Listen, "listen", "127.0.0.1:9000", "`ADDR` to serve gRPC on")
	fl.StringVar(&f.o.Admin, "admin", "", "`ADDR` of metrics and readiness; none without it")
	f.ui.add(c)
	fl.StringVar(&f.o.TLS.Cert, "tls-cert", "", "certificate `FILE`; plain text without it; read again when it changes")
	fl.StringVar(&f.o.TLS.Key, "tls-key", "", "key `FILE`")
	fl.StringVar(&f.o.TLS.ClientCA, "tls-client-ca", "", "`FILE` of the authorities of clients; any client without it")
	fl.StringVar(&f.level, "log-level", "info", "log `LEVEL`: debug, info, warn, error")
	fl.BoolVar(&f.json, "log-json", false, "log as JSON")
	fl.DurationVar(&f.o.Drain, "drain", 30*time.Second, "how long streams may go on when the server stops")
	fl.DurationVar(&f.o.MaxAge, "max-connection-age", 0, "have Envoy connect again after this time; 0 is never")
	fl.DurationVar(&f.o.Keepalive, "keepalive", 30*time.Second, "ping a connection that has been idle for this time")
	s := &f.o.Server
	fl.Uint32Var(&s.MaxStreams, "max-streams", 0, "concurrent streams of a connection; 0 is unlimited")
	fl.IntVar(&s.MaxMessage, "max-message", 16<<20, "`BYTES` of a message")
	fl.IntVar(&s.BufferLimit, "buffer-limit", 1<<20, "`BYTES` of body that a stream may hold back in a direction")
	fl.Int64Var(&s.TotalLimit, "total-buffer-limit", 1<<30, "`BYTES` of body that all streams may hold back together")
	fl.DurationVar(&s.MessageTimeout, "message-timeout", 200*time.Millisecond, "Envoy's message_timeout")
	fl.DurationVar(&s.MaxMessageTimeout, "max-message-timeout", 40*time.Second,
		"Envoy's max_message_timeout, which is asked for where a plugin takes longer; 0 never asks")
	fl.BoolVar(&s.ModeOverride, "mode-override", false,
		"Envoy's allow_mode_override is set: a body mode may be raised to BUFFERED for a plugin that needs the body whole")
	fl.StringVar(&f.requestMode, "request-body-mode", "",
		"Envoy's request_body_mode: plugins are refused that need a whole body, where `MODE` does not give it")
	fl.StringVar(&f.responseMode, "response-body-mode", "", "Envoy's response_body_mode `MODE`, likewise")
	fl.BoolVar(&s.EarlyBodies, "early-bodies", false, "Envoy's send_body_without_waiting_for_header_response is set")
	fl.StringVar(&f.body, "body", "auto", "printed: auto, full (bodies in both directions) or none")
	fl.BoolVar(&f.requestHeaders, "request-headers", false, "printed: send request headers in any case")
	fl.StringVar(&f.address, "address", "", "printed: `ADDR` of this server (default: --listen)")
	fl.StringVar(&f.envoyAdmin, "envoy-admin", "127.0.0.1:9901", "printed: `ADDR` of Envoy's admin page")
	fl.BoolVar(&f.failOpen, "failure-mode-allow", false, "printed: serve on without the plugins if need be")
	fl.StringSliceVar(&f.attributes, "attribute", nil, "printed: another `NAME` to send; may repeat")
	fl.StringSliceVar(&f.namespaces, "metadata", nil, "printed: `NAMESPACE` to send and take; may repeat")
	fl.StringVar(&f.envoyCA, "envoy-ca", "", "printed: authority `FILE` by which Envoy knows the server")
	fl.StringVar(&f.envoyCert, "envoy-cert", "", "printed: Envoy's certificate `FILE`")
	fl.StringVar(&f.envoyKey, "envoy-key", "", "printed: Envoy's key `FILE`")
	return c
}

func (f *extprocFlags) run(cmd *cobra.Command) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	opts := &slog.HandlerOptions{Level: level}
	f.o.Server.Log = slog.Handler(slog.NewTextHandler(cmd.ErrOrStderr(), opts))
	if f.json {
		f.o.Server.Log = slog.NewJSONHandler(cmd.ErrOrStderr(), opts)
	}
	err := f.ui.check(f.file, f.print)
	if err != nil {
		return err
	}
	if f.o.Server.Modes, err = f.modes(); err != nil {
		return err
	}
	if f.print {
		return f.printConfig(cmd)
	}
	for _, path := range []*string{&f.o.TLS.Cert, &f.o.TLS.Key, &f.o.TLS.ClientCA} { // those of flags start from here
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	path, leave, err := enter(f.file)
	if err != nil {
		return missingFile(err)
	}
	defer leave()
	whole, err := filepath.Abs(path) // from the file's folder, where the process is
	if err != nil {
		return err
	}
	page, end, err := f.ui.open(cmd, ui.Edit{File: whole, Name: f.file, Live: true, Check: validates(f.file, moefile.ExtProc)})
	if err != nil {
		return err
	}
	defer end()
	if page != nil {
		f.o.Server.Log, f.o.Adjust = recordHandler{f.o.Server.Log, page}, recordAll
		f.o.Loaded = func(file *moefile.File) { page.Loaded(f.file, file.Text()) }
	}
	f.o.File, f.o.Name = path, f.file
	return extprocd.Run(cmd.Context(), f.o)
}

// modes returns the body modes that the flags say Envoy uses, or nil if no flag says so. A mode without a flag is taken to
// give everything.
func (f *extprocFlags) modes() (*modev3.ProcessingMode, error) {
	if f.requestMode == "" && f.responseMode == "" {
		return nil, nil
	}
	m := &modev3.ProcessingMode{}
	for _, c := range []struct {
		flag, name string
		to         *modev3.ProcessingMode_BodySendMode
	}{
		{"--request-body-mode", f.requestMode, &m.RequestBodyMode},
		{"--response-body-mode", f.responseMode, &m.ResponseBodyMode},
	} {
		n, ok := modev3.ProcessingMode_BodySendMode_value[c.name]
		*c.to = modev3.ProcessingMode_BodySendMode(n)
		switch {
		case c.name == "":
			*c.to = modev3.ProcessingMode_BUFFERED
		case !ok || *c.to == modev3.ProcessingMode_GRPC:
			return nil, fmt.Errorf("%s %s: give NONE, STREAMED, BUFFERED, BUFFERED_PARTIAL or FULL_DUPLEX_STREAMED", c.flag, c.name)
		}
	}
	return m, nil
}

// printConfig prints an Envoy configuration that fits the plugins. They are provisioned for that and closed again.
func (f *extprocFlags) printConfig(cmd *cobra.Command) error {
	path, leave, err := enter(f.file)
	if err != nil {
		return missingFile(err)
	}
	defer leave()
	file, c, err := extprocd.Load(path, f.file)
	if err != nil {
		return err
	}
	s := extproc.New(f.o.Server)
	defer s.Close()
	if err := s.Load(c); err != nil {
		return file.Place(err)
	}
	mode := s.ProcessingMode()
	if err := f.adjust(mode); err != nil {
		return err
	}
	if err := s.Fits(mode); err != nil {
		return file.Place(err)
	}
	x := &bootstrap.ExtProc{
		Server: f.address, Mode: mode, Namespaces: f.namespaces, FailOpen: f.failOpen,
		MessageTimeout: f.o.Server.MessageTimeout, MaxMessageTimeout: f.o.Server.MaxMessageTimeout,
		TLS: f.o.TLS.Cert != "", CA: f.envoyCA, Cert: f.envoyCert, Key: f.envoyKey,
		Response: []string{string(filter.AttrCodeDetails), string(filter.AttrResponseFlags), string(filter.AttrUpstreamAddress)},
	}
	if x.Server == "" {
		x.Server = f.o.Listen
	}
	for _, a := range sentAttributes {
		x.Attributes = append(x.Attributes, string(a))
	}
	x.Attributes = append(x.Attributes, f.attributes...)
	if mode.RequestHeaderMode == modev3.ProcessingMode_SKIP && mode.RequestBodyMode == modev3.ProcessingMode_NONE {
		x.Response, x.Attributes = append(x.Response, x.Attributes...), nil
	}
	o := file.Bootstrap(f.envoyAdmin, printedEcho)
	o.ExtProc = x
	b, err := bootstrap.New(o)
	if err != nil {
		return fileError{f.file, err}
	}
	text, err := bootstrap.YAML(b)
	if err != nil {
		return err
	}
	cmd.Print(string(text))
	return nil
}

// sentAttributes are attributes that plugins often ask for and that are not among the headers.
var sentAttributes = []filter.Attr{
	filter.AttrRequestID, filter.AttrProtocol, filter.AttrSourceAddress, filter.AttrDestinationAddress,
	filter.AttrRouteName, filter.AttrVirtualHostName, filter.AttrClusterName,
}

func (f *extprocFlags) adjust(m *modev3.ProcessingMode) error {
	const full, send = modev3.ProcessingMode_FULL_DUPLEX_STREAMED, modev3.ProcessingMode_SEND
	switch f.body {
	case "auto":
	case "full":
		m.RequestBodyMode, m.ResponseBodyMode, m.RequestTrailerMode, m.ResponseTrailerMode = full, full, send, send
		m.RequestHeaderMode, m.ResponseHeaderMode = send, send
	case "none":
		m.RequestBodyMode, m.ResponseBodyMode = modev3.ProcessingMode_NONE, modev3.ProcessingMode_NONE
		m.RequestTrailerMode, m.ResponseTrailerMode = modev3.ProcessingMode_SKIP, modev3.ProcessingMode_SKIP
	default:
		return fmt.Errorf("--body %s: give auto, full or none", f.body)
	}
	if f.requestHeaders {
		m.RequestHeaderMode = send
	}
	return nil
}
