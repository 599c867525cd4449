package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	messageCap = 4 << 20
	aheadMax   = 16 << 20
	uploads    = 10_000
)

var chunk = bytes.Repeat([]byte{7}, 4096)

func connect() *grpc.ClientConn {
	target := options["target"]
	if strings.HasPrefix(target, "/") {
		target = "unix:" + target
	}
	creds := insecure.NewCredentials()
	if ca, ok := options["ca"]; ok {
		config := &tls.Config{RootCAs: pool(ca), ServerName: "localhost"}
		if cert, ok := options["cert"]; ok {
			config.Certificates = []tls.Certificate{must(tls.LoadX509KeyPair(cert, options["key"]))}
		}
		creds = credentials.NewTLS(config)
	}
	callOptions := []grpc.CallOption{grpc.ForceCodec(codec{})}
	if _, ok := options["gzip"]; ok {
		callOptions = append(callOptions, grpc.UseCompressor("gzip"))
	}
	return must(grpc.NewClient(target, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(callOptions...)))
}

func within(wait time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	time.AfterFunc(wait+time.Minute, cancel) // After the deadline has had its say.
	return ctx
}

func path(method string) string { return "/" + service + "/" + method }

func unary(ctx context.Context, conn *grpc.ClientConn, request *message, callOptions ...grpc.CallOption) (*message, error) {
	var response message
	return &response, conn.Invoke(ctx, path("Unary"), request, &response, callOptions...)
}

func ask(conn *grpc.ClientConn, request *message) *message {
	return must(unary(within(20*time.Second), conn, request))
}

func stream(ctx context.Context, conn *grpc.ClientConn, method string) grpc.ClientStream {
	return must(conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path(method)))
}

func expand(ctx context.Context, conn *grpc.ClientConn, request *message) grpc.ClientStream {
	responses := stream(ctx, conn, "Expand")
	check(responses.SendMsg(request))
	check(responses.CloseSend())
	return responses
}

func receive(stream grpc.ClientStream) *message {
	var response message
	check(stream.RecvMsg(&response))
	return &response
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(actual, wanted any) {
	if !reflect.DeepEqual(actual, wanted) {
		panic(fmt.Errorf("%.200v, wanted %.200v", actual, wanted))
	}
}

func expectCode(err error, wanted codes.Code) {
	if status.Code(err) != wanted {
		panic(fmt.Errorf("%v, wanted %v", err, wanted))
	}
}

func exchange(stream grpc.ClientStream, count int32) {
	check(stream.SendMsg(&message{count: count}))
	expect(receive(stream).count, count)
}

func cancelledCount(conn *grpc.ClientConn) int32 { return ask(conn, &message{text: "cancelled"}).count }

func untilCancelled(conn *grpc.ClientConn, before int32) {
	until := time.Now().Add(10 * time.Second)
	for cancelledCount(conn) <= before {
		if time.Now().After(until) {
			panic("the server's handler never heard of it")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var cases = map[string]func(*grpc.ClientConn){
	"four_kinds": func(conn *grpc.ClientConn) {
		payload := make([]byte, 50_000)
		rand.Read(payload)
		request := &message{text: "héllo", payload: payload, count: -1}
		expect(ask(conn, request), request)
		responses := expand(within(20*time.Second), conn, &message{count: 500, payload: chunk})
		for count := range int32(500) {
			expect(receive(responses), &message{payload: chunk, count: count})
		}
		expect(responses.RecvMsg(&message{}), io.EOF)
		requests := stream(within(20*time.Second), conn, "Collect")
		for count := range int32(200) {
			check(requests.SendMsg(&message{count: count}))
		}
		check(requests.CloseSend())
		expect(receive(requests).count, int32(200))
		both := stream(within(20*time.Second), conn, "Converse")
		for count := int32(1); count <= 200; count++ {
			exchange(both, count)
		}
		check(both.CloseSend())
		expect(both.RecvMsg(&message{}), io.EOF)
	},
	"refused_with_metadata": func(conn *grpc.ClientConn) {
		var trailers metadata.MD
		_, err := unary(within(10*time.Second), conn, &message{text: "refuse"}, grpc.Trailer(&trailers))
		expectCode(err, codes.FailedPrecondition)
		expect(status.Convert(err).Message(), "not täday 100%")
		expect(trailers.Get("x-reason"), []string{"because"})
		expect(trailers.Get("x-raw-bin"), []string{"\x00\xff"})
	},
	"metadata": func(conn *grpc.ClientConn) {
		raw := make([]byte, 256)
		for index := range raw {
			raw[index] = byte(index)
		}
		sent := metadata.Pairs("x-long", strings.Repeat("v", 6000), "x-many", "one", "x-many", "two",
			"x-raw-bin", string(raw), "x-many-bin", "\x00", "x-many-bin", "\x01\xff")
		var headers, trailers metadata.MD
		ctx := metadata.NewOutgoingContext(within(10*time.Second), sent)
		_, err := unary(ctx, conn, &message{text: "metadata"}, grpc.Header(&headers), grpc.Trailer(&trailers))
		check(err)
		for key, values := range sent {
			expect(headers.Get(key), values)
			expect(trailers.Get(key), values)
		}
	},
	"metadata_over_limit": func(conn *grpc.ClientConn) {
		ctx := within(10 * time.Second)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-"+name, strings.Repeat(name, 4096))
		}
		if _, err := unary(ctx, conn, &message{}); err == nil {
			panic("the call went well")
		}
		expect(ask(conn, &message{count: 1}).count, int32(1))
	},
	"headers_first": func(conn *grpc.ClientConn) {
		ctx := metadata.AppendToOutgoingContext(within(10*time.Second), "x-early", "yes")
		both := stream(ctx, conn, "Converse")
		must(both.Header())
		check(both.SendMsg(&message{text: "late"}))
		check(both.CloseSend())
		expect(receive(both).text, "late")
		expect(both.RecvMsg(&message{}), io.EOF)
	},
	"unimplemented": func(conn *grpc.ClientConn) {
		err := conn.Invoke(within(10*time.Second), path("Absent"), &message{}, &message{})
		expectCode(err, codes.Unimplemented)
	},
	"aborted_by_server": func(conn *grpc.ClientConn) {
		both := stream(within(10*time.Second), conn, "Converse")
		check(both.SendMsg(&message{text: "once"}))
		expect(receive(both).text, "once")
		check(both.SendMsg(&message{text: "abort"}))
		err := both.RecvMsg(&message{})
		expectCode(err, codes.Aborted)
		expect(status.Convert(err).Message(), "enough")
	},
	"cancelled_by_client": func(conn *grpc.ClientConn) {
		before := cancelledCount(conn)
		ctx, cancel := context.WithCancel(within(20 * time.Second))
		responses := expand(ctx, conn, &message{text: "hang"})
		receive(responses)
		cancel()
		expectCode(responses.RecvMsg(&message{}), codes.Canceled)
		untilCancelled(conn, before)
	},
	"deadline": func(conn *grpc.ClientConn) {
		before := cancelledCount(conn)
		_, err := unary(within(200*time.Millisecond), conn, &message{text: "hang"})
		expectCode(err, codes.DeadlineExceeded)
		untilCancelled(conn, before)
	},
	"deadline_is_told": func(conn *grpc.ClientConn) {
		response := must(unary(within(30*time.Second), conn, &message{text: "deadline"}))
		if response.count <= 20_000 || response.count > 31_000 {
			panic(fmt.Errorf("%d ms left", response.count))
		}
	},
	"request_at_cap": func(conn *grpc.ClientConn) {
		payload := make([]byte, messageCap-13)
		expect(ask(conn, &message{text: "length", payload: payload}).count, int32(len(payload)))
	},
	"request_over_cap": func(conn *grpc.ClientConn) {
		request := &message{text: "length", payload: make([]byte, messageCap-12)}
		_, err := unary(within(20*time.Second), conn, request)
		expectCode(err, codes.ResourceExhausted)
		expect(ask(conn, &message{count: 1}).count, int32(1))
	},
	"response_at_cap": func(conn *grpc.ClientConn) {
		expect(len(ask(conn, &message{text: "size", count: messageCap - 5}).payload), messageCap-5)
	},
	"response_over_cap": func(conn *grpc.ClientConn) {
		_, err := unary(within(20*time.Second), conn, &message{text: "size", count: messageCap - 4})
		expectCode(err, codes.ResourceExhausted)
		expect(ask(conn, &message{count: 1}).count, int32(1))
	},
	"reconnects": func(*grpc.ClientConn) {
		for count := int32(1); count <= 200; count++ {
			conn := connect()
			expect(ask(conn, &message{count: count}).count, count)
			check(conn.Close())
		}
	},
	"parallel": func(conn *grpc.ClientConn) {
		var wait sync.WaitGroup
		counts := make([]int32, 500)
		for index := range counts {
			wait.Go(func() {
				if response, err := unary(within(30*time.Second), conn, &message{count: int32(index + 1)}); err == nil {
					counts[index] = response.count
				}
			})
		}
		wait.Wait()
		for index, count := range counts {
			expect(count, int32(index+1))
		}
	},
	"many_cancels": func(conn *grpc.ClientConn) {
		before := cancelledCount(conn)
		for range 400 {
			ctx, cancel := context.WithCancel(within(20 * time.Second))
			receive(expand(ctx, conn, &message{text: "hang"}))
			cancel()
		}
		expect(ask(conn, &message{count: 1}).count, int32(1))
		untilCancelled(conn, before+399)
	},
	"gzip": func(conn *grpc.ClientConn) {
		payload := make([]byte, 1_000_000)
		for range 5 {
			expect(len(ask(conn, &message{payload: payload}).payload), len(payload))
		}
	},
	"flood": func(conn *grpc.ClientConn) {
		payload := make([]byte, 65_000)
		both := stream(within(60*time.Second), conn, "Converse")
		go func() {
			for count := range int32(500) {
				if both.SendMsg(&message{payload: payload, count: count}) != nil {
					return
				}
			}
			both.CloseSend()
		}()
		for count := range int32(500) {
			response := receive(both)
			expect(response.count, count)
			expect(len(response.payload), len(payload))
		}
		expect(both.RecvMsg(&message{}), io.EOF)
	},
	"paused_reader": func(conn *grpc.ClientConn) {
		before := ask(conn, &message{text: "sent"}).count
		ctx, cancel := context.WithCancel(within(60 * time.Second))
		responses := expand(ctx, conn, &message{text: "forever", payload: chunk})
		receive(responses)
		time.Sleep(time.Second)
		ahead := int(ask(conn, &message{text: "sent"}).count-before) * len(chunk)
		if ahead > aheadMax {
			panic(fmt.Errorf("%d bytes sent to a paused reader", ahead))
		}
		for range 5000 {
			receive(responses)
		}
		cancel()
	},
	"paused_upload": func(conn *grpc.ClientConn) {
		var sent atomic.Int32
		requests := stream(within(60*time.Second), conn, "Collect")
		check(requests.SendMsg(&message{text: "pause"}))
		go func() {
			for range uploads {
				if requests.SendMsg(&message{payload: chunk}) != nil {
					return
				}
				sent.Add(1)
			}
			requests.CloseSend()
		}()
		time.Sleep(500 * time.Millisecond)
		if ahead := int(sent.Load()) * len(chunk); ahead > aheadMax {
			panic(fmt.Errorf("%d bytes sent to a paused reader", ahead))
		}
		expect(receive(requests).count, int32(uploads+1))
	},
	"drained_while_streaming": func(conn *grpc.ClientConn) {
		both := stream(within(60*time.Second), conn, "Converse")
		exchange(both, 1)
		ask(conn, &message{text: "drain"})
		time.Sleep(300 * time.Millisecond)
		for count := int32(2); count <= 20; count++ {
			exchange(both, count)
		}
		check(both.CloseSend())
		expect(both.RecvMsg(&message{}), io.EOF)
		_, err := unary(within(10*time.Second), conn, &message{})
		expectCode(err, codes.Unavailable)
	},
	"killed_while_streaming": func(conn *grpc.ClientConn) {
		both := stream(within(20*time.Second), conn, "Converse")
		check(both.SendMsg(&message{text: "once"}))
		receive(both)
		ask(conn, &message{text: "die"})
		expectCode(both.RecvMsg(&message{}), codes.Unavailable)
	},
	"turned_away": func(conn *grpc.ClientConn) {
		_, err := unary(within(10*time.Second), conn, &message{})
		expectCode(err, codes.Unavailable)
	},
}

type caseLine struct {
	Case   string `json:"case"`
	OK     bool   `json:"ok"`
	MS     int64  `json:"ms"`
	Reason string `json:"reason,omitempty"`
}

func runCase(label, name string) (line caseLine) {
	line.Case = label
	conn := connect()
	defer conn.Close()
	started := time.Now()
	defer func() {
		line.MS = time.Since(started).Milliseconds()
		if reason := recover(); reason != nil {
			line.OK, line.Reason = false, fmt.Sprintf("%.500v", reason)
		}
	}()
	cases[name](conn)
	line.OK = true
	return line
}

func runCases() {
	for asked := range strings.SplitSeq(options["cases"], ",") {
		label, name, found := strings.Cut(asked, ":")
		if !found {
			name = label
		}
		check(json.NewEncoder(os.Stdout).Encode(runCase(label, name)))
	}
}
