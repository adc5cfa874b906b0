// Command openfga runs OpenFGA's server, with its data in memory, for the tests of the plugin openfga. It is a module of its
// own, as the server needs other versions of much that the rest has.
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/openfga/pkg/server"
	"github.com/openfga/openfga/pkg/storage/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// main serves OpenFGA's HTTP API on the address that is the first argument, until it is killed.
func main() {
	s, err := server.NewServerWithOpts(server.WithDatastore(memory.New()))
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	g := grpc.NewServer()
	openfgav1.RegisterOpenFGAServiceServer(g, s)
	go g.Serve(ln)
	mux := runtime.NewServeMux()
	err = openfgav1.RegisterOpenFGAServiceHandlerFromEndpoint(context.Background(), mux, ln.Addr().String(),
		[]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Args[1], mux))
}
