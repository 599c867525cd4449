package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type echo struct {
	server          *grpc.Server
	cancelled, sent atomic.Int32
}

// over waits until the call is over.
func (e *echo) over(ctx context.Context) error {
	<-ctx.Done()
	e.cancelled.Add(1)
	return status.FromContextError(ctx.Err()).Err()
}

func (e *echo) unary(ctx context.Context, request *message) (*message, error) {
	if _, ok := options["gzip"]; ok {
		if err := grpc.SetSendCompressor(ctx, "gzip"); err != nil {
			return nil, err
		}
	}
	switch request.text {
	case "length":
		return &message{count: int32(len(request.payload))}, nil
	case "size":
		return &message{payload: make([]byte, request.count)}, nil
	case "refuse":
		grpc.SetTrailer(ctx, metadata.Pairs("x-reason", "because", "x-raw-bin", "\x00\xff"))
		return nil, status.Error(codes.FailedPrecondition, "not täday 100%")
	case "metadata":
		sent, _ := metadata.FromIncomingContext(ctx)
		custom := metadata.MD{}
		for key, values := range sent {
			if strings.HasPrefix(key, "x-") {
				custom[key] = values
			}
		}
		grpc.SetHeader(ctx, custom)
		grpc.SetTrailer(ctx, custom)
	case "deadline":
		deadline, _ := ctx.Deadline()
		return &message{count: int32(time.Until(deadline).Milliseconds())}, nil
	case "hang":
		return nil, e.over(ctx)
	case "cancelled":
		return &message{count: e.cancelled.Load()}, nil
	case "sent":
		return &message{count: e.sent.Load()}, nil
	case "drain":
		time.AfterFunc(50*time.Millisecond, e.server.GracefulStop)
	case "die":
		time.AfterFunc(50*time.Millisecond, func() { os.Exit(1) })
	}
	return request, nil
}

func (e *echo) expand(stream grpc.ServerStream) error {
	var request message
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	for request.text == "forever" {
		if err := stream.SendMsg(&message{payload: request.payload}); err != nil {
			return err
		}
		e.sent.Add(1)
	}
	if request.text == "hang" {
		if err := stream.SendMsg(&request); err != nil {
			return err
		}
		return e.over(stream.Context())
	}
	for count := range request.count {
		if err := stream.SendMsg(&message{payload: request.payload, count: count}); err != nil {
			return err
		}
	}
	return nil
}

func (e *echo) collect(stream grpc.ServerStream) error {
	for count := int32(0); ; count++ {
		var request message
		if err := stream.RecvMsg(&request); err == io.EOF {
			return stream.SendMsg(&message{count: count})
		} else if err != nil {
			return err
		}
		if request.text == "pause" {
			time.Sleep(time.Second)
		}
	}
}

func (e *echo) converse(stream grpc.ServerStream) error {
	if sent, _ := metadata.FromIncomingContext(stream.Context()); len(sent["x-early"]) > 0 {
		if err := stream.SendHeader(nil); err != nil {
			return err
		}
	}
	for {
		var request message
		if err := stream.RecvMsg(&request); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if request.text == "abort" {
			return status.Error(codes.Aborted, "enough")
		}
		if err := stream.SendMsg(&request); err != nil {
			return err
		}
	}
}

func (e *echo) description() *grpc.ServiceDesc {
	unary := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request message
		if err := decode(&request); err != nil {
			return nil, err
		}
		return e.unary(ctx, &request)
	}
	streaming := func(name string, run func(grpc.ServerStream) error, server, client bool) grpc.StreamDesc {
		handler := func(_ any, stream grpc.ServerStream) error { return run(stream) }
		return grpc.StreamDesc{StreamName: name, Handler: handler, ServerStreams: server, ClientStreams: client}
	}
	return &grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
		Streams: []grpc.StreamDesc{
			streaming("Expand", e.expand, true, false),
			streaming("Collect", e.collect, false, true),
			streaming("Converse", e.converse, true, true),
		},
	}
}

func serve() {
	network, address := "tcp", "127.0.0.1:0"
	if path, ok := options["unix"]; ok {
		network, address = "unix", path
	}
	listener := must(net.Listen(network, address))
	serverOptions := []grpc.ServerOption{grpc.ForceServerCodec(codec{})}
	if cert, ok := options["cert"]; ok {
		config := &tls.Config{
			Certificates: []tls.Certificate{must(tls.LoadX509KeyPair(cert, options["key"]))},
		}
		if ca, ok := options["client_ca"]; ok {
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, pool(ca)
		}
		serverOptions = append(serverOptions, grpc.Creds(credentials.NewTLS(config)))
	}
	echo := &echo{server: grpc.NewServer(serverOptions...)}
	echo.server.RegisterService(echo.description(), echo)
	fmt.Println(listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		echo.server.GracefulStop()
	}()
	if err := echo.server.Serve(listener); err != nil {
		panic(err)
	}
	// Serve returns when the graceful stop begins; this waits for its end.
	echo.server.GracefulStop()
}

func pool(path string) *x509.CertPool {
	certificates := x509.NewCertPool()
	certificates.AppendCertsFromPEM(must(os.ReadFile(path)))
	return certificates
}
