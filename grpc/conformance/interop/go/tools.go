//go:build tools

// Package interop pins the client program that the suite builds.
package interop

import _ "google.golang.org/grpc/interop/client"
