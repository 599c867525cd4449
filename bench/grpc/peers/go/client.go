package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"bench.local/echo/echopb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

const prefix = "/grpc.bench.v1.Echo/"

// raw hands message bytes through, so that the client costs the least it can.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(value.([]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, value any) error {
	*value.(*int) = data.Len()
	return nil
}

// result is what a mode prints, as JSON; latencies in microseconds.
type result struct {
	Seconds  float64 `json:"seconds"`
	Messages int     `json:"messages"`
	Bytes    int     `json:"bytes"`
	P50      float64 `json:"p50_us,omitempty"`
	P99      float64 `json:"p99_us,omitempty"`
	Max      float64 `json:"max_us,omitempty"`
}

type settings struct {
	target  string
	ca      string
	body    []byte
	seconds float64
	count   int
	streams int
}

func measure(mode string, arguments []string) error {
	var s settings
	flags := flag.NewFlagSet(mode, flag.ContinueOnError)
	flags.StringVar(&s.target, "target", "", "host:port")
	flags.StringVar(&s.ca, "ca", "", "authority of a TLS server")
	body := flags.String("body", "", "file with one serialized EchoMessage")
	flags.Float64Var(&s.seconds, "seconds", 1, "how long to stream")
	flags.IntVar(&s.count, "count", 100, "how often to connect or start")
	flags.IntVar(&s.streams, "streams", 1, "streams at once")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	var err error
	if s.body, err = os.ReadFile(*body); err != nil {
		return err
	}
	var out result
	switch mode {
	case "expand":
		out, err = s.onConnection(s.expand)
	case "collect":
		out, err = s.onConnection(s.collect)
	case "converse":
		out, err = s.onConnection(s.converse)
	case "connect":
		out, err = s.repeat(s.connect)
	case "start":
		command := flags.Args()
		out, err = s.repeat(func() (time.Duration, error) { return s.start(command) })
	default:
		err = fmt.Errorf("mode `%s`: expected expand, collect, converse, connect or start", mode)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func (s *settings) dial(target string) (*grpc.ClientConn, error) {
	identity := insecure.NewCredentials()
	if s.ca != "" {
		var err error
		if identity, err = credentials.NewClientTLSFromFile(s.ca, ""); err != nil {
			return nil, err
		}
	}
	// Windows are fixed, so that no server waits for the estimate of the link's capacity.
	return grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(identity),
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(4<<20),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
}

func (s *settings) unary(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var got int
	if err := conn.Invoke(ctx, prefix+"Unary", s.body, &got); err != nil {
		return err
	}
	if got != len(s.body) {
		return fmt.Errorf("the answer has %d bytes, not %d", got, len(s.body))
	}
	return nil
}

// onConnection runs a mode on one warm connection.
func (s *settings) onConnection(mode func(*grpc.ClientConn) (result, error)) (result, error) {
	conn, err := s.dial(s.target)
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	if err := s.unary(conn); err != nil {
		return result{}, err
	}
	start := time.Now()
	out, err := mode(conn)
	out.Seconds = time.Since(start).Seconds()
	return out, err
}

const (
	chunk    = 64 << 10
	perCall  = 512
	inFlight = 10 * time.Second
)

func chunkMessage(count int32) []byte {
	// The encoding of a message of plain fields cannot fail.
	bytes, _ := proto.Marshal(&echopb.EchoMessage{Payload: make([]byte, chunk), Count: count})
	return bytes
}

func (s *settings) until(call func(context.Context) error) error {
	for start := time.Now(); time.Since(start).Seconds() < s.seconds; {
		ctx, cancel := context.WithTimeout(context.Background(), 6*inFlight)
		err := call(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// expand reads messages of 64 KiB of one stream after the other.
func (s *settings) expand(conn *grpc.ClientConn) (result, error) {
	var out result
	request := chunkMessage(perCall)
	err := s.until(func(ctx context.Context) error {
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, prefix+"Expand")
		if err != nil {
			return err
		}
		if err := stream.SendMsg(request); err != nil {
			return err
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		for {
			var got int
			if err := stream.RecvMsg(&got); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			out.Messages++
			out.Bytes += got
		}
	})
	if err == nil && out.Messages%perCall != 0 {
		err = fmt.Errorf("%d messages came: not a multiple of %d", out.Messages, perCall)
	}
	return out, err
}

// collect writes messages of 64 KiB to one stream after the other.
func (s *settings) collect(conn *grpc.ClientConn) (result, error) {
	var out result
	message := chunkMessage(0)
	err := s.until(func(ctx context.Context) error {
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, prefix+"Collect")
		if err != nil {
			return err
		}
		for range perCall {
			if err := stream.SendMsg(message); err != nil {
				return err
			}
			out.Messages++
			out.Bytes += len(message)
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		var got int
		return stream.RecvMsg(&got)
	})
	return out, err
}

// converse sends a message when the last one came back, on every stream.
func (s *settings) converse(conn *grpc.ClientConn) (result, error) {
	var lock sync.Mutex
	var times []time.Duration
	var failure error
	var group sync.WaitGroup
	for range s.streams {
		group.Go(func() {
			mine, err := s.pingPong(conn)
			lock.Lock()
			defer lock.Unlock()
			times = append(times, mine...)
			failure = errors.Join(failure, err)
		})
	}
	group.Wait()
	out := summary(times)
	out.Bytes = 2 * len(times) * len(s.body)
	return out, failure
}

func (s *settings) pingPong(conn *grpc.ClientConn) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*inFlight)
	defer cancel()
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := conn.NewStream(ctx, both, prefix+"Converse")
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for start := time.Now(); time.Since(start).Seconds() < s.seconds; {
		before := time.Now()
		var got int
		if err := stream.SendMsg(s.body); err != nil {
			return times, err
		}
		if err := stream.RecvMsg(&got); err != nil {
			return times, err
		}
		times = append(times, time.Since(before))
	}
	if err := stream.CloseSend(); err != nil {
		return times, err
	}
	var got int
	if err := stream.RecvMsg(&got); !errors.Is(err, io.EOF) {
		return times, fmt.Errorf("the stream did not end: %w", err)
	}
	return times, nil
}

func (s *settings) repeat(once func() (time.Duration, error)) (result, error) {
	var times []time.Duration
	start := time.Now()
	for range s.count {
		took, err := once()
		if err != nil {
			return result{}, err
		}
		times = append(times, took)
	}
	out := summary(times)
	out.Seconds = time.Since(start).Seconds()
	return out, nil
}

// connect measures from dialling to the first answer.
func (s *settings) connect() (time.Duration, error) {
	before := time.Now()
	conn, err := s.dial(s.target)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	err = s.unary(conn)
	return time.Since(before), err
}

// start measures from starting a server to its first answer.
func (s *settings) start(command []string) (time.Duration, error) {
	// The signal below comes when the thread that started the server ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	server := exec.Command(command[0], command[1:]...)
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	says, err := server.StderrPipe()
	if err != nil {
		return 0, err
	}
	before := time.Now()
	if err := server.Start(); err != nil {
		return 0, err
	}
	defer func() {
		// It may have ended by itself: a peer on Deno dies of our leaving.
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	target, err := listening(says, s.ca != "")
	if err != nil {
		return 0, err
	}
	conn, err := s.dial(target)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	err = s.unary(conn)
	return time.Since(before), err
}

var addresses = regexp.MustCompile(`listening (\S+)(?: tls (\S+))?`)

func listening(says io.Reader, secure bool) (string, error) {
	lines := bufio.NewScanner(says)
	for lines.Scan() {
		found := addresses.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		if secure {
			return found[2], nil
		}
		return found[1], nil
	}
	return "", errors.New("the server ended before it listened")
}

func summary(times []time.Duration) result {
	slices.Sort(times)
	at := func(q float64) float64 {
		if len(times) == 0 {
			return 0
		}
		index := min(len(times)-1, int(float64(len(times))*q))
		return float64(times[index].Nanoseconds()) / 1000
	}
	return result{Messages: len(times), P50: at(0.5), P99: at(0.99), Max: at(1)}
}
