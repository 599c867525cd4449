"""Answers in batches what the Python reference makes of the same input.

Frames on stdin and stdout: u32 length, then the body. A request's first byte names what is asked.
"""
import base64
import struct
import sys
import urllib.parse

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple


class Reader:
    def __init__(self, body):
        self.body = body
        self.at = 0

    def u8(self):
        self.at += 1
        return self.body[self.at - 1]

    def u32(self):
        self.at += 4
        return struct.unpack_from(">I", self.body, self.at - 4)[0]

    def text(self):
        length = self.u32()
        self.at += length
        return self.body[self.at - length:self.at]


def put(out, data):
    out.append(struct.pack(">I", len(data)))
    out.append(data)


def put_fields(out, fields):
    out.append(struct.pack(">BI", 1, len(fields)))
    for name, value in fields:
        put(out, bytes(name))
        put(out, bytes(value))


def decode(request, out):
    """A sequence of blocks that share a table; ends with the first error."""
    limit = request.u32()
    decoder = Decoder(max_header_list_size=1 << 30)
    decoder.max_allowed_table_size = limit
    if request.u8() == 0:  # The smaller table needs no word of the encoder's.
        decoder.header_table_size = min(limit, 4096)
    blocks = [request.text() for _ in range(request.u32())]
    for block in blocks:
        try:
            put_fields(out, decoder.decode(block, raw=True))
        except Exception as reason:  # Whatever it is, the reference did not decode.
            out.append(b"\0")
            put(out, f"{type(reason).__name__}: {reason}"[:200].encode())
            return


def encode(request, out):
    """Lists through one encoder, its table resized before some."""
    encoder = Encoder()
    for _ in range(request.u32()):
        table_bytes = request.u32()
        if table_bytes != 0xFFFFFFFF:
            encoder.header_table_size = table_bytes
        huffman = request.u8() == 1
        fields = []
        for _ in range(request.u32()):
            sensitive = request.u8() == 1
            name, value = bytes(request.text()), bytes(request.text())
            fields.append(NeverIndexedHeaderTuple(name, value) if sensitive else (name, value))
        put(out, encoder.encode(fields, huffman=huffman))


def percent(request, out):
    """grpc-message: its text, and the header value of that text."""
    for _ in range(request.u32()):
        value = request.text()
        put(out, urllib.parse.unquote_to_bytes(value).decode("utf-8", "replace").encode())
    for _ in range(request.u32()):
        text = request.text()
        coded = "".join(
            chr(byte) if 0x20 <= byte <= 0x7E and byte != 0x25 else "%%%02X" % byte
            for byte in text
        )
        if coded.endswith(" "):
            coded = coded[:-1] + "%20"
        if coded.startswith(" "):
            coded = "%20" + coded[1:]
        put(out, coded.encode())


def base(request, out):
    """Values of -bin metadata: their bytes, or that they are none."""
    for _ in range(request.u32()):
        text = request.text()
        bare = text[:-2] if text.endswith(b"==") else text[:-1] if text.endswith(b"=") else text
        try:
            if len(bare) % 4 == 1 or b"=" in bare:
                raise ValueError
            data = base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
            out.append(b"\1")
            put(out, data)
        except ValueError:
            out.append(b"\0")


def messages(request, out):
    """Length-prefixed messages of joined data: each one, then what stands behind the last."""
    limit = request.u32()
    for _ in range(request.u32()):
        data = request.text()
        found = []
        at = 0
        head = "empty"
        while at < len(data):
            if data[at] > 1:
                head = "bad_flag"
                break
            if data[at] == 1:
                head = "compressed"
                break
            if len(data) - at < 5:
                head = "partial"
                break
            length = struct.unpack_from(">I", data, at + 1)[0]
            if length > limit:
                head = "too_long"
                break
            if len(data) - at - 5 < length:
                head = "partial"
                break
            found.append(data[at + 5:at + 5 + length])
            at += 5 + length
        out.append(struct.pack(">I", len(found)))
        for message in found:
            put(out, message)
        put(out, head.encode())


ASKED = {0: decode, 1: encode, 2: percent, 3: base, 4: messages}


def main():
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        header = source.read(4)
        if len(header) < 4:
            return
        request = Reader(source.read(struct.unpack(">I", header)[0]))
        out = []
        while request.at < len(request.body):
            ASKED[request.u8()](request, out)
        answer = b"".join(out)
        sink.write(struct.pack(">I", len(answer)))
        sink.write(answer)
        sink.flush()


main()
