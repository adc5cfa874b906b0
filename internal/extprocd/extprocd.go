// Package extprocd is the process around framework/host/extproc: it reads moe.yaml, again when it changes, listens,
// answers health checks, shows metrics and stops in an orderly way.
package extprocd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/host/extproc"
	"mosn.io/moe/framework/telemetry"
	_ "mosn.io/moe/framework/telemetry/otlp" // exports where the environment asks for it
	"mosn.io/moe/internal/filewatch"
	"mosn.io/moe/internal/moefile"
)

// serviceName is what health checks may ask for besides "", which is the whole server.
const serviceName = "envoy.service.ext_proc.v3.ExternalProcessor"

// flushWait is how long traces may take to leave when the process stops.
const flushWait = 5 * time.Second

// Options configure a process.
type Options struct {
	File   string // moe.yaml; a file is read again when it changes, "-" is not
	Name   string // what errors and the log call it; default File
	Listen string // host:port of the gRPC server
	Admin  string // host:port of metrics and readiness; "" is none
	TLS    TLS

	Server extproc.Options

	Poll      time.Duration // how often to look at files; default 1 s
	Drain     time.Duration // how long streams may go on once the process stops; default 30 s
	MaxAge    time.Duration // of connections, so that Envoys spread over new servers; 0 is unlimited
	Keepalive time.Duration // pings on idle connections; default 30 s; one without an answer in that time, at most 10 s, closes

	// Adjust, if set, changes a file that was read, before its plugins are set up.
	Adjust func(*moefile.File)
	// Loaded, if set, is called with each file from which streams have their plugins from now on.
	Loaded func(*moefile.File)

	// Ready, if set, is called with the addresses when the server serves.
	Ready func(listen, admin string)
}

// Load reads a moe.yaml, which errors call name, into what a server runs, and checks it.
func Load(path, name string) (*moefile.File, extproc.Config, error) {
	f, err := moefile.Loader{Check: moefile.CheckPlugins, Host: moefile.ExtProc, Name: name}.Load(path)
	if err != nil {
		return nil, extproc.Config{}, err
	}
	return f, configOf(f), nil
}

func configOf(f *moefile.File) extproc.Config {
	c := extproc.Config{Name: assembly.ChainName, Doc: f.Filter, Routes: map[string]any{}}
	for _, r := range f.Routes {
		c.Routes[r.Name] = r.Doc
	}
	return c
}

// load reads the file into s.
func (o *Options) load(s *extproc.Server) error {
	f, c, err := Load(o.File, o.Name)
	if err != nil {
		return err
	}
	if o.Adjust != nil {
		o.Adjust(f)
		c = configOf(f)
	}
	if err := s.Load(c); err != nil {
		return f.Place(err)
	}
	if o.Loaded != nil {
		o.Loaded(f)
	}
	return nil
}

// Run serves until ctx ends, and then until the streams have ended or the time for that is over.
func Run(ctx context.Context, o Options) error {
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Drain <= 0 {
		o.Drain = 30 * time.Second
	}
	if o.Keepalive <= 0 {
		o.Keepalive = 30 * time.Second
	}
	o.Name = cmp.Or(o.Name, o.File)
	defer relaxCollector()()
	log := slog.New(o.Server.Log)
	w := filewatch.New(o.File)
	s := extproc.New(o.Server)
	defer s.Close()
	if err := o.load(s); err != nil {
		return err
	}
	creds, err := o.TLS.credentials(log, o.Poll)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return err
	}
	defer ln.Close()
	g := grpc.NewServer(append(s.GRPCOptions(), creds,
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: o.Keepalive, Timeout: min(o.Keepalive, 10*time.Second),
			MaxConnectionAge: o.MaxAge, MaxConnectionAgeGrace: o.Drain,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)...)
	defer g.Stop()
	s.Register(g)
	h := health.NewServer()
	h.SetServingStatus(serviceName, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(g, h)

	a, err := startAdmin(o.Admin, s, o.Server.Registry)
	if err != nil {
		return err
	}
	defer a.close()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	served := make(chan error, 1)
	go func() { served <- g.Serve(ln) }()
	log.Info("serving", "listen", ln.Addr().String(), "admin", a.addr(), "file", o.Name, "tls", o.TLS.Cert != "")
	if o.Ready != nil {
		o.Ready(ln.Addr().String(), a.addr())
	}
	tick := time.NewTicker(o.Poll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if w.Settled() {
				reload(s, o, log)
			}
		case <-hup:
			w.Changed()
			reload(s, o, log)
		case err := <-served:
			return err
		case <-ctx.Done():
			a.draining.Store(true)
			h.Shutdown()
			stop(g, o.Drain, log)
			telemetry.Flush(flushWait)
			return nil
		}
	}
}

// relaxCollector makes the garbage collector run less often, unless GOGC is set. Streams produce garbage quickly and only
// a few MiB stay, so with Go's default it would run many times a second and take a tenth of the CPU.
func relaxCollector() (restore func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	old := debug.SetGCPercent(400)
	return func() { debug.SetGCPercent(old) }
}

// reload loads the file again. After an error the server goes on with what it has.
func reload(s *extproc.Server, o Options, log *slog.Logger) {
	err := o.load(s)
	registry := o.Server.Registry
	if registry == nil {
		registry = extproc.DefaultRegistry
	}
	registry.Reloaded(err == nil)
	if err == nil {
		log.Info("configuration loaded", "file", o.Name)
		return
	}
	var all config.Errors
	if !errors.As(err, &all) {
		all = config.Errors{{Msg: err.Error()}}
	}
	for _, e := range all {
		log.Error("configuration refused, the one before goes on: "+e.Error(), "file", o.Name)
	}
}

// stop waits for streams to end, for as long as drain, and then ends the rest.
func stop(g *grpc.Server, drain time.Duration, log *slog.Logger) {
	log.Info("stopping", "at most", fmt.Sprint(drain))
	done := make(chan struct{})
	go func() {
		g.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(drain):
		log.Warn("streams are still running; they are cut off")
		g.Stop()
		<-done
	}
}
