package otlp

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// collect serves a collector until the test ends, and returns its endpoints by protocol.
func collect(t *testing.T, overHTTP http.Handler, register func(*grpc.Server)) map[string]string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	server := grpc.NewServer()
	register(server)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	s := httptest.NewServer(overHTTP)
	t.Cleanup(s.Close)
	return map[string]string{"grpc": "http://" + listener.Addr().String(), "http/protobuf": s.URL}
}

// overHTTP reads what is posted to a path into request, and exports it.
func overHTTP[Q proto.Message, R any](
	w http.ResponseWriter, q *http.Request, path string, request Q, export func(context.Context, Q) (R, error),
) {
	body, err := io.ReadAll(q.Body)
	if err == nil {
		err = proto.Unmarshal(body, request)
	}
	if err != nil || q.URL.Path != path {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	export(q.Context(), request)
}
