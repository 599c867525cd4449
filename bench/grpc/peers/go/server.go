package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"bench.local/echo/echopb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

type service struct {
	echopb.UnimplementedEchoServer
}

func (service) Unary(_ context.Context, in *echopb.EchoMessage) (*echopb.EchoMessage, error) {
	return in, nil
}

func (service) Expand(in *echopb.EchoMessage, out grpc.ServerStreamingServer[echopb.EchoMessage]) error {
	for index := range in.Count {
		if err := out.Send(&echopb.EchoMessage{Payload: in.Payload, Count: index}); err != nil {
			return err
		}
	}
	return nil
}

func (service) Collect(in grpc.ClientStreamingServer[echopb.EchoMessage, echopb.EchoMessage]) error {
	answer := &echopb.EchoMessage{}
	for {
		message, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return in.SendAndClose(answer)
		}
		if err != nil {
			return err
		}
		answer.Text += message.Text
		answer.Count++
	}
}

func (service) Converse(both grpc.BidiStreamingServer[echopb.EchoMessage, echopb.EchoMessage]) error {
	for {
		message, err := both.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := both.Send(message); err != nil {
			return err
		}
	}
}

func serve(arguments []string) error {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ends := make(chan error)
	start := func(listener net.Listener, options ...grpc.ServerOption) {
		server := grpc.NewServer(options...)
		echopb.RegisterEchoServer(server, service{})
		ends <- server.Serve(listener)
	}
	text := "listening " + plain.Addr().String()
	if len(arguments) == 2 {
		identity, err := credentials.NewServerTLSFromFile(arguments[0], arguments[1])
		if err != nil {
			return err
		}
		secure, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		text += " tls " + secure.Addr().String()
		go start(secure, grpc.Creds(identity))
	}
	go start(plain)
	fmt.Fprintln(os.Stderr, text)
	return <-ends
}
