// Command fsck runs the integrity check of github.com/transparency-dev/tessera over the tile log
// of an audit directory.
//
//	fsck LOG_DIRECTORY VERIFIER_KEY
//
// It prints OK and exits 0, or prints what is wrong and exits 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

// A worker of fsck stops at the first wrong resource it meets; with too few of them left the walk
// over the log waits for ever, so there are many, and a deadline.
const (
	workers  = 64
	deadline = time.Minute
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fsck LOG_DIRECTORY VERIFIER_KEY")
		os.Exit(2)
	}
	if err := check(os.Args[1], os.Args[2]); err != nil {
		fmt.Printf("BAD: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("OK")
}

func check(directory, key string) error {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return err
	}
	fetcher := &client.FileFetcher{Root: directory}
	log := fsck.New(verifier.Name(), verifier, fetcher, leafHashes, fsck.Opts{N: workers})
	result := make(chan error, 1)
	go func() { result <- log.Check(context.Background()) }()
	select {
	case err := <-result:
		return err
	case <-time.After(deadline):
		return errors.New("fsck did not finish")
	}
}

// leafHashes gives the RFC 6962 leaf hash of each entry of a bundle.
func leafHashes(bundle []byte) ([][]byte, error) {
	parsed := &api.EntryBundle{}
	if err := parsed.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(parsed.Entries))
	for _, entry := range parsed.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}
