"""C-core, by Python's grpcio, as a peer (README.md)."""

import json
import os
import sys
import threading
import time
from concurrent import futures

import grpc

CAP = 4 << 20
AHEAD_MAX = 16 << 20
CHUNK = b"\x07" * 4096
UPLOADS = 10_000
SERVICE = "grpc.test.v1.Echo"


class Message:
    """An EchoMessage; the codec is written out because grpcio brings none."""

    def __init__(self, text="", payload=b"", count=0):
        self.text, self.payload, self.count = text, payload, count

    def __eq__(self, other):
        return self.__dict__ == other.__dict__

    def encode(self):
        text = self.text.encode()
        return b"".join(
            ([b"\x0a", varint(len(text)), text] if text else [])
            + ([b"\x12", varint(len(self.payload)), self.payload] if self.payload else [])
            + ([b"\x18", varint(self.count & (2**64 - 1))] if self.count else [])
        )


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(raw, at):
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def decode(raw):
    message, at = Message(), 0
    while at < len(raw):
        tag, at = read_varint(raw, at)
        value, at = read_varint(raw, at)
        if tag == 0x18:
            message.count = (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
            continue
        piece = raw[at : at + value]
        at += value
        if tag == 0x0A:
            message.text = piece.decode()
        else:
            message.payload = piece
    return message


# The server


class Echo:
    def __init__(self):
        self.cancelled = self.sent = 0
        self.lock = threading.Lock()
        self.stop = threading.Event()

    def watch(self, context):
        """An event for the end of a call; a stream's has to be asked for before its first message,
        because grpcio does not go on with a generator whose call is over."""
        over = threading.Event()

        def count():
            with self.lock:
                self.cancelled += 1
            over.set()

        if not context.add_callback(count):
            count()
        return over

    def unary(self, request, context):
        if request.text == "length":
            return Message(count=len(request.payload))
        if request.text == "size":
            return Message(payload=bytes(request.count))
        if request.text == "refuse":
            context.set_trailing_metadata((("x-reason", "because"), ("x-raw-bin", b"\x00\xff")))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not t\u00e4day 100%")
        if request.text == "metadata":
            pairs = [pair for pair in context.invocation_metadata() if pair[0].startswith("x-")]
            context.send_initial_metadata(pairs)
            context.set_trailing_metadata(pairs)
        if request.text == "deadline":
            return Message(count=round(context.time_remaining() * 1000))
        if request.text == "hang":
            self.watch(context).wait()
        if request.text == "cancelled":
            return Message(count=self.cancelled)
        if request.text == "sent":
            return Message(count=self.sent)
        if request.text == "drain":
            self.stop.set()
        if request.text == "die":
            threading.Timer(0.05, os._exit, (1,)).start()
        return request

    def expand(self, request, context):
        while request.text == "forever":
            yield Message(payload=request.payload)
            self.sent += 1
        if request.text == "hang":
            over = self.watch(context)
            yield request
            over.wait()
            return
        for count in range(request.count):
            yield Message(count=count, payload=request.payload)

    def collect(self, requests, context):
        count = 0
        for request in requests:
            count += 1
            if request.text == "pause":
                time.sleep(1)
        return Message(count=count)

    def converse(self, requests, context):
        if "x-early" in dict(context.invocation_metadata()):
            context.send_initial_metadata(())
        for request in requests:
            if request.text == "abort":
                context.abort(grpc.StatusCode.ABORTED, "enough")
            yield request


def serve(options):
    server = grpc.server(
        futures.ThreadPoolExecutor(16),
        options=[("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)],
        compression=grpc.Compression.Gzip if "gzip" in options else None,
    )
    echo = Echo()
    codec = {"request_deserializer": decode, "response_serializer": Message.encode}
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(echo.unary, **codec),
        "Expand": grpc.unary_stream_rpc_method_handler(echo.expand, **codec),
        "Collect": grpc.stream_unary_rpc_method_handler(echo.collect, **codec),
        "Converse": grpc.stream_stream_rpc_method_handler(echo.converse, **codec),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    address = f"unix:{options['unix']}" if "unix" in options else "127.0.0.1:0"
    if "cert" in options:
        ca = read(options["client_ca"]) if "client_ca" in options else None
        pair = (read(options["key"]), read(options["cert"]))
        credentials = grpc.ssl_server_credentials((pair,), ca, ca is not None)
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    print(options.get("unix") or f"127.0.0.1:{port}", flush=True)

    def until_input_ends():
        sys.stdin.buffer.read()
        echo.stop.set()

    threading.Thread(target=until_input_ends, daemon=True).start()
    echo.stop.wait()
    time.sleep(0.05)  # The answer to `drain` goes first.
    server.stop(60).wait()
    os._exit(0)


# The client


class Client:
    def __init__(self, options):
        self.options = options
        self.channel = self.new_channel()
        self.use(self.channel)

    def new_channel(self):
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.ssl_target_name_override", "localhost"),
        ]
        target = self.options["target"]
        if target.startswith("/"):
            target = f"unix:{target}"
        gzip = grpc.Compression.Gzip if "gzip" in self.options else None
        if "ca" not in self.options:
            return grpc.insecure_channel(target, options[:2], gzip)
        files = [read(self.options[name]) if name in self.options else None for name in ("ca", "key", "cert")]
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(*files), options)

    def use(self, channel):
        codec = {"request_serializer": Message.encode, "response_deserializer": decode}
        self.unary = channel.unary_unary(f"/{SERVICE}/Unary", **codec)
        self.expand = channel.unary_stream(f"/{SERVICE}/Expand", **codec)
        self.collect = channel.stream_unary(f"/{SERVICE}/Collect", **codec)
        self.converse = channel.stream_stream(f"/{SERVICE}/Converse", **codec)
        self.absent = channel.unary_unary(f"/{SERVICE}/Absent", **codec)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def expect(actual, wanted):
    if actual != wanted:
        raise AssertionError(f"{str(actual)[:200]}, wanted {str(wanted)[:200]}")


def fails_with(code, run):
    try:
        run()
    except grpc.RpcError as error:
        if error.code() != code:
            raise AssertionError(f"{error.code()} ({error.details()}), wanted {code}") from None
        return error
    raise AssertionError("the call went well")


class Requests:
    """Requests sent one by one."""

    def __init__(self):
        self.items, self.ended = [], False
        self.changed = threading.Condition()

    def send(self, message):
        with self.changed:
            self.items.append(message)
            self.changed.notify()

    def end(self):
        with self.changed:
            self.ended = True
            self.changed.notify()

    def __iter__(self):
        return self

    def __next__(self):
        with self.changed:
            self.changed.wait_for(lambda: self.items or self.ended)
            if self.items:
                return self.items.pop(0)
            raise StopIteration


def four_kinds(client):
    request = Message("h\u00e9llo", os.urandom(50_000), -1)
    expect(client.unary(request, timeout=10), request)
    counts = [message.count for message in client.expand(Message(count=500, payload=CHUNK), timeout=20)]
    expect(counts, list(range(500)))
    expect(client.collect((Message(count=n) for n in range(200)), timeout=20).count, 200)
    requests = Requests()
    responses = client.converse(requests, timeout=20)
    for count in range(1, 201):
        requests.send(Message(count=count))
        expect(next(responses).count, count)
    requests.end()
    expect(list(responses), [])


def refused_with_metadata(client):
    error = fails_with(
        grpc.StatusCode.FAILED_PRECONDITION, lambda: client.unary(Message("refuse"), timeout=10)
    )
    expect(error.details(), "not t\u00e4day 100%")
    trailers = dict(error.trailing_metadata())
    expect((trailers["x-reason"], trailers["x-raw-bin"]), ("because", b"\x00\xff"))


def metadata(client):
    sent = [
        ("x-long", "v" * 6000),
        ("x-many", "one"),
        ("x-many", "two"),
        ("x-raw-bin", bytes(range(256))),
        ("x-many-bin", b"\x00"),
        ("x-many-bin", b"\x01\xff"),
    ]
    _, call = client.unary.with_call(Message("metadata"), timeout=10, metadata=sent)
    for echoed in (call.initial_metadata(), call.trailing_metadata()):
        expect([tuple(pair) for pair in echoed if pair[0].startswith("x-")], sent)


def metadata_over_limit(client):
    sent = [(f"x-{name}", name * 4096) for name in "abcde"]
    try:
        client.unary(Message(), timeout=10, metadata=sent)
    except grpc.RpcError:
        expect(client.unary(Message(count=1), timeout=10).count, 1)
        return
    raise AssertionError("the call went well")


def headers_first(client):
    requests = Requests()
    responses = client.converse(requests, timeout=10, metadata=(("x-early", "yes"),))
    responses.initial_metadata()  # Waits for it.
    requests.send(Message("late"))
    requests.end()
    expect([message.text for message in responses], ["late"])


def unimplemented(client):
    fails_with(grpc.StatusCode.UNIMPLEMENTED, lambda: client.absent(Message(), timeout=10))


def aborted_by_server(client):
    requests = Requests()
    responses = client.converse(requests, timeout=10)
    requests.send(Message("once"))
    expect(next(responses).text, "once")
    requests.send(Message("abort"))
    expect(fails_with(grpc.StatusCode.ABORTED, lambda: next(responses)).details(), "enough")
    requests.end()


def cancelled_count(client):
    return client.unary(Message("cancelled"), timeout=10).count


def until_cancelled(client, before):
    until = time.monotonic() + 10
    while cancelled_count(client) <= before:
        if time.monotonic() > until:
            raise AssertionError("the server's handler never heard of it")
        time.sleep(0.02)


def cancelled_by_client(client):
    before = cancelled_count(client)
    responses = client.expand(Message("hang"), timeout=20)
    next(responses)
    responses.cancel()
    fails_with(grpc.StatusCode.CANCELLED, lambda: next(responses))
    until_cancelled(client, before)


def deadline(client):
    before = cancelled_count(client)
    fails_with(
        grpc.StatusCode.DEADLINE_EXCEEDED, lambda: client.unary(Message("hang"), timeout=0.2)
    )
    until_cancelled(client, before)


def deadline_is_told(client):
    count = client.unary(Message("deadline"), timeout=30).count
    if not 20_000 < count <= 31_000:
        raise AssertionError(f"{count} ms left")


def request_at_cap(client):
    payload = bytes(CAP - 13)
    expect(len(Message("length", payload).encode()), CAP)
    expect(client.unary(Message("length", payload), timeout=20).count, len(payload))


def request_over_cap(client):
    request = Message("length", bytes(CAP - 12))
    fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: client.unary(request, timeout=20))
    expect(client.unary(Message(count=1), timeout=10).count, 1)


def response_at_cap(client):
    expect(len(client.unary(Message("size", count=CAP - 5), timeout=20).payload), CAP - 5)


def response_over_cap(client):
    request = Message("size", count=CAP - 4)
    fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: client.unary(request, timeout=20))
    expect(client.unary(Message(count=1), timeout=10).count, 1)


def reconnects(client):
    for count in range(1, 201):
        with client.new_channel() as channel:
            client.use(channel)
            expect(client.unary(Message(count=count), timeout=10).count, count)
    client.use(client.channel)


def parallel(client):
    calls = [client.unary.future(Message(count=count), timeout=30) for count in range(500)]
    expect([call.result().count for call in calls], list(range(500)))


def many_cancels(client):
    before = cancelled_count(client)
    for _ in range(400):
        responses = client.expand(Message("hang"), timeout=20)
        next(responses)
        responses.cancel()
    expect(client.unary(Message(count=1), timeout=10).count, 1)
    until_cancelled(client, before + 399)


def gzip(client):
    request = Message(payload=bytes(1_000_000))
    for _ in range(5):
        expect(client.unary(request, timeout=20), request)


def flood(client):
    payload = bytes(65_000)
    requests = (Message(payload=payload, count=count) for count in range(500))
    counts = [(message.count, len(message.payload)) for message in client.converse(requests, timeout=60)]
    expect(counts, [(count, len(payload)) for count in range(500)])


def paused_reader(client):
    before = client.unary(Message("sent"), timeout=10).count
    responses = client.expand(Message("forever", CHUNK), timeout=60)
    next(responses)
    time.sleep(1)
    ahead = (client.unary(Message("sent"), timeout=10).count - before) * len(CHUNK)
    if ahead > AHEAD_MAX:
        raise AssertionError(f"{ahead} bytes sent to a paused reader")
    for _ in range(5000):
        next(responses)
    responses.cancel()


def paused_upload(client):
    sent = [0]

    def requests():
        yield Message("pause")
        for _ in range(UPLOADS):
            yield Message(payload=CHUNK)
            sent[0] += 1

    call = client.collect.future(requests(), timeout=60)
    time.sleep(0.5)
    if sent[0] * len(CHUNK) > AHEAD_MAX:
        raise AssertionError(f"{sent[0]} messages sent to a paused reader")
    expect(call.result().count, UPLOADS + 1)


def drained_while_streaming(client):
    requests = Requests()
    responses = client.converse(requests, timeout=60)
    requests.send(Message(count=1))
    expect(next(responses).count, 1)
    client.unary(Message("drain"), timeout=10)
    time.sleep(0.3)
    for count in range(2, 21):
        requests.send(Message(count=count))
        expect(next(responses).count, count)
    requests.end()
    expect(list(responses), [])
    fails_with(grpc.StatusCode.UNAVAILABLE, lambda: client.unary(Message(), timeout=10))


def killed_while_streaming(client):
    requests = Requests()
    responses = client.converse(requests, timeout=20)
    requests.send(Message("once"))
    next(responses)
    client.unary(Message("die"), timeout=10)
    fails_with(grpc.StatusCode.UNAVAILABLE, lambda: next(responses))
    requests.end()


def turned_away(client):
    fails_with(grpc.StatusCode.UNAVAILABLE, lambda: client.unary(Message(), timeout=10))


def main():
    mode, *pairs = sys.argv[1:]
    options = dict(pair.split("=", 1) for pair in pairs)
    if mode == "server":
        serve(options)
    client = Client(options)
    for name in options["cases"].split(","):
        label, _, name = name.rpartition(":")
        line, start = {"case": label or name}, time.monotonic()
        try:
            globals()[name](client)
            line.update(ok=True, ms=round((time.monotonic() - start) * 1000))
        except Exception as error:
            line.update(ok=False, reason=f"{type(error).__name__}: {error}"[:500])
        print(json.dumps(line), flush=True)
    client.channel.close()


main()
