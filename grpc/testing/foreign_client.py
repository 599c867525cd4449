"""Calls the echo service with the C-core client; prints one JSON object of what it saw.

Usage: foreign_client.py TARGET [CA_FILE [CERT_FILE KEY_FILE]]
"""

import json
import sys
import threading
import time

import grpc


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(text="", payload=b"", count=0):
    out = b""
    if text:
        raw = text.encode()
        out += b"\x0a" + varint(len(raw)) + raw
    if payload:
        out += b"\x12" + varint(len(payload)) + payload
    if count:
        out += b"\x18" + varint(count)
    return out


def channel_of(argv):
    target = argv[1]
    options = [
        ("grpc.max_receive_message_length", 16 << 20),
        ("grpc.max_send_message_length", 16 << 20),
        ("grpc.ssl_target_name_override", "localhost"),
    ]
    if len(argv) == 2:
        return grpc.insecure_channel(target, options)
    read = lambda path: open(path, "rb").read()
    credentials = grpc.ssl_channel_credentials(
        read(argv[2]),
        read(argv[4]) if len(argv) > 3 else None,
        read(argv[3]) if len(argv) > 3 else None,
    )
    return grpc.secure_channel(target, credentials, options)


def status_of(run):
    try:
        run()
        return "OK"
    except grpc.RpcError as error:
        return error.code().name


def main():
    channel = channel_of(sys.argv)
    path = "/grpc.test.v1.Echo/"
    unary = channel.unary_unary(path + "Unary")
    expand = channel.unary_stream(path + "Expand")
    collect = channel.stream_unary(path + "Collect")
    converse = channel.stream_stream(path + "Converse")
    absent = channel.unary_unary(path + "Absent")
    seen = {}

    request = message("hello", b"\x00\x01\x02", 7)
    seen["unary"] = unary(request, timeout=10) == request
    seen["expand"] = len(list(expand(message(count=500, payload=b"x" * 1000), timeout=20)))
    answer = collect((message("ab") for _ in range(200)), timeout=20)
    seen["collect"] = answer == message("ab" * 200, count=200)
    seen["converse"] = len(list(converse((message(count=i + 1) for i in range(200)), timeout=20)))
    large = message(payload=b"z" * 4000000)
    seen["large"] = unary(large, timeout=20) == large
    seen["too_large"] = status_of(lambda: unary(message(payload=b"z" * 5000000), timeout=20))
    seen["absent"] = status_of(lambda: absent(b"", timeout=10))
    seen["undecodable"] = status_of(lambda: unary(b"\xff\xff\xff", timeout=10))
    seen["deadline"] = status_of(lambda: unary(message("sleep"), timeout=0.2))

    try:
        unary(message("refuse"), timeout=10)
    except grpc.RpcError as error:
        trailers = {key: value for key, value in error.trailing_metadata() or ()}
        seen["refused"] = [error.code().name, error.details(), trailers.get("x-reason")]
        seen["refused_binary"] = list(trailers.get("x-raw-bin", b""))
        seen["refused_details"] = trailers.get("grpc-status-details-bin", b"").hex()

    metadata = (("x-long", "v" * 6000), ("x-raw-bin", bytes(range(256))))
    _, call = unary.with_call(message("metadata"), timeout=10, metadata=metadata)
    initial = dict(call.initial_metadata())
    seen["metadata"] = [len(initial["x-long"]), initial["x-raw-bin"] == bytes(range(256))]
    seen["trailer"] = dict(call.trailing_metadata()).get("x-trailer")

    stream = expand(message("forever"), timeout=20)
    next(stream)
    stream.cancel()
    seen["cancelled"] = status_of(lambda: list(stream))

    failures = []

    def worker():
        for _ in range(50):
            if unary(request, timeout=20) != request:
                failures.append("wrong answer")

    threads = [threading.Thread(target=worker) for _ in range(10)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    seen["parallel_failures"] = len(failures)

    futures = [unary.future(request, timeout=20) for _ in range(500)]
    seen["pipelined"] = sum(future.result() == request for future in futures)

    # A reader that stops: the server must not run ahead by more than the windows.
    paused = expand(message("forever", b"y" * 4096), timeout=20)
    next(paused)
    time.sleep(1)
    paused.cancel()
    channel.close()
    print(json.dumps(seen))


main()
