// A light client of the runtime's socket: real handshake, real frames, as many outstanding queries a
// connection as asked for. Prints one line of JSON.
//
//	go run main.go SOCKET AGENT_ID QUERY_FILE CLIENTS DEPTH SECONDS
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

type result struct {
	latencies []time.Duration
	decisions [8]int
	err       error
}

func main() {
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr, "usage: SOCKET AGENT_ID QUERY_FILE CLIENTS DEPTH SECONDS")
		os.Exit(2)
	}
	query, err := os.ReadFile(os.Args[3])
	check(err)
	clients, depth := number(os.Args[4]), number(os.Args[5])
	lasts := time.Duration(number(os.Args[6])) * time.Second
	frame := append([]byte{1}, varint(len(query))...)
	frame = append(frame, query...)

	results := make([]result, clients)
	var ready, done sync.WaitGroup
	begin := make(chan time.Time)
	for at := range results {
		ready.Add(1)
		done.Add(1)
		go func(into *result) {
			defer done.Done()
			conn, reader, err := join(os.Args[1], os.Args[2])
			ready.Done()
			until := (<-begin).Add(lasts)
			if err != nil {
				into.err = err
				return
			}
			defer conn.Close()
			into.err = load(conn, reader, frame, depth, until, into)
		}(&results[at])
	}
	ready.Wait()
	started := time.Now()
	for range results {
		begin <- started
	}
	done.Wait()
	elapsed := time.Since(started)

	var all []time.Duration
	decisions := map[string]int{}
	for _, one := range results {
		check(one.err)
		all = append(all, one.latencies...)
		for decision, count := range one.decisions {
			if count > 0 {
				decisions[strconv.Itoa(decision)] += count
			}
		}
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(share float64) float64 {
		return float64(all[int(float64(len(all)-1)*share)].Nanoseconds()) / 1000
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"requests": len(all), "seconds": elapsed.Seconds(),
		"p50_us": at(0.5), "p99_us": at(0.99), "decisions": decisions,
	})
}

// join connects and proves the key that anyone can compute from the agent's id.
func join(socket, agent string) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, nil, err
	}
	reader := bufio.NewReaderSize(conn, 65536)
	_, challenge, err := read(reader)
	if err != nil || len(challenge) < 34 {
		return nil, nil, fmt.Errorf("no challenge: %v", err)
	}
	seed := sha256.Sum256([]byte(agent))
	key := ed25519.NewKeyFromSeed(seed[:])
	version := "bench+redacts"
	signed := append(append([]byte{}, challenge[2:34]...), version...)
	public := hex.EncodeToString(key.Public().(ed25519.PublicKey))
	var proof []byte
	for field, value := range map[int][]byte{2: []byte(public), 3: ed25519.Sign(key, signed), 4: []byte(version)} {
		proof = append(proof, byte(field<<3|2))
		proof = append(proof, varint(len(value))...)
		proof = append(proof, value...)
	}
	message := append([]byte{5}, varint(len(proof))...)
	message = append(append(message, proof...), 4)
	_, err = conn.Write(message)
	return conn, reader, err
}

func load(conn net.Conn, reader *bufio.Reader, frame []byte, depth int, until time.Time, into *result) error {
	sent := make([]time.Time, depth)
	var batch []byte
	for at := 0; at < depth; at++ {
		batch = append(batch, frame...)
		sent[at] = time.Now()
	}
	if _, err := conn.Write(batch); err != nil {
		return err
	}
	outstanding, next := depth, 0
	batch = batch[:0]
	for outstanding > 0 {
		tag, body, err := read(reader)
		if err != nil {
			return err
		}
		if tag != 1 {
			continue
		}
		now := time.Now()
		into.latencies = append(into.latencies, now.Sub(sent[next]))
		if len(body) > 1 && body[0] == 8 {
			into.decisions[body[1]&7]++
		} else {
			into.decisions[0]++
		}
		outstanding--
		if now.Before(until) {
			batch = append(batch, frame...)
			sent[next] = now
			outstanding++
		}
		next = (next + 1) % depth
		if len(batch) > 0 && reader.Buffered() == 0 {
			if _, err := conn.Write(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

func read(reader *bufio.Reader) (byte, []byte, error) {
	tag, err := reader.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	length, shift := 0, 0
	for {
		part, err := reader.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		length |= int(part&127) << shift
		if part < 128 {
			break
		}
		shift += 7
	}
	body := make([]byte, length)
	_, err = io.ReadFull(reader, body)
	return tag, body, err
}

func varint(value int) []byte {
	var out []byte
	for value >= 128 {
		out = append(out, byte(value&127|128))
		value >>= 7
	}
	return append(out, byte(value))
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
