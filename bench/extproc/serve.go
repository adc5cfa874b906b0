package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/extproc"
	"mosn.io/moe/internal/extprocd"
	_ "mosn.io/moe/plugins/hello"
)

func init() { filter.Register[both]("both", filter.Transform) }

// both reads a request header, sets one, and one of the response, as minimal-both does.
type both struct{}

func (*both) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Set("x-user-id", h.Get("x-bench"))
	return filter.Continue
}

func (*both) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Set(name, value)
	return filter.Continue
}

const (
	name  = "x-extproc-hello"
	value = "Hello from ext_proc"
)

// serveAs is the process of one server. It prints its address and ends with its standard input.
func serveAs(what string) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if plugin, ok := map[string]string{"moe": "hello", "moe-both": "both"}[what]; ok {
		return serveMoe(plugin)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	g := grpc.NewServer()
	extprocv3.RegisterExternalProcessorServer(g, &minimal{})
	fmt.Println(ln.Addr())
	return g.Serve(ln)
}

// serveMoe is `moe extproc`, with the plugins of this program.
func serveMoe(plugin string) error {
	dir, err := os.MkdirTemp("", "bench-extproc")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "moe.yaml")
	if err := os.WriteFile(file, []byte("plugins: [{name: "+plugin+"}]\n"), 0o600); err != nil {
		return err
	}
	return extprocd.Run(context.Background(), extprocd.Options{
		File: file, Listen: "127.0.0.1:0",
		Server: extproc.Options{Log: slog.DiscardHandler},
		Ready: func(listen, _ string) {
			os.RemoveAll(dir)
			fmt.Println(listen)
		},
	})
}

// minimal is what one writes by hand to set a header.
type minimal struct {
	extprocv3.UnimplementedExternalProcessorServer
}

func (*minimal) Process(g extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		m, err := g.Recv()
		if err != nil {
			return nil
		}
		r := &extprocv3.ProcessingResponse{}
		switch h := m.GetRequest().(type) {
		case *extprocv3.ProcessingRequest_RequestHeaders:
			found := ""
			for _, f := range h.RequestHeaders.GetHeaders().GetHeaders() {
				if f.GetKey() == "x-bench" {
					found = string(f.GetRawValue())
				}
			}
			r.Response = &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: set("x-user-id", found)}
		case *extprocv3.ProcessingRequest_ResponseHeaders:
			r.Response = &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: set(name, value)}
		}
		if err := g.Send(r); err != nil {
			return err
		}
	}
}

func set(name, value string) *extprocv3.HeadersResponse {
	return &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{HeaderMutation: &extprocv3.HeaderMutation{
		SetHeaders: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: name, RawValue: []byte(value)}}},
	}}}
}
