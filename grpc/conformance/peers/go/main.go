// grpc-go as a peer (../README.md).
package main

import (
	"fmt"
	"os"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

const service = "grpc.test.v1.Echo"

var options = map[string]string{}

func main() {
	for _, pair := range os.Args[2:] {
		name, value, _ := strings.Cut(pair, "=")
		options[name] = value
	}
	if os.Args[1] == "server" {
		serve()
	} else {
		runCases()
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// message is an EchoMessage; the codec is written out, so that nothing has to be generated.
type message struct {
	text    string
	payload []byte
	count   int32
}

type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(value any) ([]byte, error) {
	m := value.(*message)
	raw := make([]byte, 0, len(m.text)+len(m.payload)+32)
	if m.text != "" {
		raw = protowire.AppendTag(raw, 1, protowire.BytesType)
		raw = protowire.AppendString(raw, m.text)
	}
	if len(m.payload) > 0 {
		raw = protowire.AppendTag(raw, 2, protowire.BytesType)
		raw = protowire.AppendBytes(raw, m.payload)
	}
	if m.count != 0 {
		raw = protowire.AppendTag(raw, 3, protowire.VarintType)
		raw = protowire.AppendVarint(raw, uint64(int64(m.count)))
	}
	return raw, nil
}

func (codec) Unmarshal(raw []byte, value any) error {
	m := value.(*message)
	*m = message{}
	for len(raw) > 0 {
		field, kind, used := protowire.ConsumeTag(raw)
		if used < 0 {
			return protowire.ParseError(used)
		}
		raw = raw[used:]
		var bytes []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			bytes, used = protowire.ConsumeBytes(raw)
		case protowire.VarintType:
			number, used = protowire.ConsumeVarint(raw)
		default:
			return fmt.Errorf("wire type %d", kind)
		}
		if used < 0 {
			return protowire.ParseError(used)
		}
		raw = raw[used:]
		switch field {
		case 1:
			m.text = string(bytes)
		case 2:
			m.payload = append([]byte(nil), bytes...)
		case 3:
			m.count = int32(number)
		}
	}
	return nil
}
