// Serves grpc-go's own interoperability service on loopback. Prints its address, serves until its
// input ends, then stops gracefully. (grpc-go's server program listens on every interface and does
// not say which port it got.)
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
)

func main() {
	certFile := flag.String("tls_cert_file", "", "certificate; plain text without it")
	keyFile := flag.String("tls_key_file", "", "its key")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	options := []grpc.ServerOption{orca.CallMetricsServerOption(nil)}
	if *certFile != "" {
		creds, err := credentials.NewServerTLSFromFile(*certFile, *keyFile)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(creds))
	}
	server := grpc.NewServer(options...)
	recorder := orca.NewServerMetricsRecorder()
	if err := orca.Register(server, orca.ServiceOptions{ServerMetricsProvider: recorder}); err != nil {
		log.Fatal(err)
	}
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer(
		interop.NewTestServerOptions{MetricsRecorder: recorder}))
	fmt.Println(listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
