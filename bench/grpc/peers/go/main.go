// The grpc-go peer of grpc_bench.ts, and the client that measures streams and connecting on every
// server alike.
//
//	echo server [CERT KEY]
//	echo client MODE FLAGS
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) > 0 && arguments[0] == "server" {
		return serve(arguments[1:])
	}
	if len(arguments) > 1 && arguments[0] == "client" {
		return measure(arguments[1], arguments[2:])
	}
	return fmt.Errorf("usage: echo server [CERT KEY] | echo client MODE FLAGS")
}
