package extproc

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	_ "mosn.io/moe/e2e/probes"
	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/host/extproc"
	_ "mosn.io/moe/pkg/consumer"
	_ "mosn.io/moe/plugins"
)

// serverEnv tells the test binary to be a server.
const serverEnv = "MOE_E2E_EXTPROC"

// Main has a test binary be the server that [Host] starts it as, and does nothing otherwise. A package whose tests use
// a Host calls it first in its TestMain.
func Main() {
	if os.Getenv(serverEnv) != "" {
		fmt.Fprintln(os.Stderr, serve())
		os.Exit(1)
	}
}

// serve runs a server for each filter that it is given over HTTP. It first prints the address for that, and it ends when
// its standard input does.
func serve() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	all := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
	mux := http.NewServeMux()
	mux.HandleFunc("/filter", func(w http.ResponseWriter, r *http.Request) {
		addr, err := start(all, r.FormValue("name"), r.Body)
		answer(w, addr, err)
	})
	mux.HandleFunc("/route", func(w http.ResponseWriter, r *http.Request) {
		doc, err := unwrap(r.Body)
		var text []byte
		if err == nil {
			if text, err = json.Marshal(doc); err == nil {
				err = check(r.FormValue("name"), doc)
			}
		}
		answer(w, string(text), err)
	})
	mux.HandleFunc("/release", func(w http.ResponseWriter, r *http.Request) {
		// Requests that are under way, and connections that Envoy drains, still use it.
		time.AfterFunc(3*time.Second, func() {
			if stop, ok := running.LoadAndDelete(r.FormValue("addr")); ok {
				stop.(func())()
			}
		})
	})
	mux.HandleFunc("/leaks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "no goroutine is left", leaks())
	})
	mux.Handle("/metrics", extproc.DefaultRegistry)
	return http.Serve(ln, mux)
}

// leaks stops all servers and returns what goroutines there are besides this page's and those of listeners.
func leaks() error {
	running.Range(func(addr, stop any) bool {
		running.Delete(addr)
		stop.(func())()
		return true
	})
	return goleak.Find(
		goleak.IgnoreAnyFunction("net/http.(*Server).Serve"), goleak.IgnoreAnyFunction("net/http.(*conn).serve"),
		goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"),
		goleak.IgnoreAnyFunction("mosn.io/moe/e2e/extproc.serve.func1"), // waits for the end of the standard input
	)
}

// running has, by address, what stops a server.
var running sync.Map

// check tries a route's document alone.
func check(name string, doc any) error {
	return assembly.ValidateRoute(name, nil, doc, extproc.Capabilities)
}

func answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		slog.Error("configuration rejected: " + err.Error())
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.WriteString(w, text)
}

func start(log slog.Handler, name string, body io.Reader) (string, error) {
	doc, err := unwrap(body)
	if err != nil {
		return "", err
	}
	s := extproc.New(extproc.Options{
		Log: log, BufferLimit: 64 << 10, MessageTimeout: time.Second,
		MaxMessageTimeout: time.Minute,
	})
	if err := s.Load(extproc.Config{Name: name, Doc: doc}); err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	g := grpc.NewServer(s.GRPCOptions()...)
	s.Register(g)
	go g.Serve(ln)
	running.Store(ln.Addr().String(), func() {
		s.Close()
		g.GracefulStop()
	})
	return ln.Addr().String(), nil
}

func unwrap(body io.Reader) (any, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var d struct {
		Text []byte
		Doc  json.RawMessage
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	if d.Text != nil {
		return config.Parse(d.Text)
	}
	return config.Parse(d.Doc)
}
