"""gRPC's C core as a client without pause; the same lines as client.ts.

Usage: client.py NAME TARGET plain|tls CALLS_PER_SECOND [CA_FILE]
"""
import faulthandler
import json
import os
import random
import signal
import sys
import threading
import time
import zlib

import grpc

NAME, TARGET, SECURITY, RATE = sys.argv[1:5]
TIMEOUT_S = 20
LANES = 6
PATH = "/grpc.test.v1.Echo/"


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(payload=b"", count=0):
    out = b"\x12" + varint(len(payload)) + payload if payload else b""
    return out + b"\x18" + varint(count) if count else out


def fields(data):
    """Text, payload and count of an EchoMessage."""
    found = {1: b"", 2: b"", 3: 0}
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        else:
            length = number()
            found[key >> 3] = data[at:at + length]
            at += length
    return found[1], found[2], found[3]


class WrongData(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise WrongData(text)


def payload_of():
    if random.random() < 0.02:
        return os.urandom(random.randrange(300_000))
    return os.urandom(random.randrange(1 << random.randrange(12)))


class Calls:
    def __init__(self, channel):
        self.unary_call = channel.unary_unary(PATH + "Unary")
        self.expand_call = channel.unary_stream(PATH + "Expand")
        self.collect_call = channel.stream_unary(PATH + "Collect")
        self.converse_call = channel.stream_stream(PATH + "Converse")

    def unary(self):
        payload = payload_of()
        answer = self.unary_call(message(payload), timeout=TIMEOUT_S)
        expect(fields(answer)[1] == payload, "unary")

    def expand(self):
        payload, count = payload_of(), random.randrange(1, 10)
        answers = [fields(each) for each in self.expand_call(message(payload, count), timeout=TIMEOUT_S)]
        expect([each[2] for each in answers] == list(range(count)), "order")
        expect(all(each[1] == payload for each in answers), "expand")

    def collect(self):
        payloads = [payload_of() for _ in range(random.randrange(6))]
        answer = fields(self.collect_call((message(each) for each in payloads), timeout=TIMEOUT_S))
        expect(answer[2] == len(payloads), "collect count")
        expect(answer[0] == str(zlib.crc32(b"".join(payloads))).encode(), "collect sum")

    def converse(self):
        payloads = [payload_of() for _ in range(random.randrange(6))]
        answers = self.converse_call((message(each) for each in payloads), timeout=TIMEOUT_S)
        expect([fields(each)[1] for each in answers] == payloads, "converse")

    def deadline(self):
        self.unary_call(message(count=5000), timeout=random.uniform(0.001, 0.03))

    def cancel(self):
        call = self.unary_call.future(message(count=5000), timeout=TIMEOUT_S)
        time.sleep(random.uniform(0, 0.02))
        call.cancel()
        call.result()


MIX = ["unary"] * 4 + ["expand", "collect", "converse", "deadline", "cancel"]
lock = threading.Lock()
counts, texts = {}, {}
wrong = 0
stopping = threading.Event()


def say(**line):
    with lock:
        print(json.dumps(line), flush=True)


def lane(calls):
    global wrong
    pause_s = LANES / float(RATE)
    while not stopping.is_set():
        began_s = time.monotonic()
        kind = random.choice(MIX)
        status = "OK"
        try:
            getattr(calls, kind)()
        except grpc.RpcError as error:
            status = error.code().name
            texts[f"{kind} {status}"] = error.details()
        except grpc.FutureCancelledError:
            status = "CANCELLED"
        except WrongData as error:
            status = "WRONG"
            wrong += 1
            say(type="mistake", text=f"wrong data: {error}")
        with lock:
            counts[f"{kind} {status}"] = counts.get(f"{kind} {status}", 0) + 1
        stopping.wait(max(0, pause_s - (time.monotonic() - began_s)))


def stop():
    stopping.set()
    # A call that outlives its deadline shows where it hangs.
    faulthandler.dump_traceback_later(2 * TIMEOUT_S, exit=True)


def main():
    global counts, texts
    signal.signal(signal.SIGTERM, lambda *_: stop())
    options = [
        ("grpc.max_receive_message_length", 16 << 20),
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 4000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # Also the least time a connect is given: not shorter than a loaded machine needs.
        ("grpc.min_reconnect_backoff_ms", 3000),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    if SECURITY == "tls":
        authority = open(sys.argv[5], "rb").read()
        channel = grpc.secure_channel(TARGET, grpc.ssl_channel_credentials(authority), options)
    else:
        channel = grpc.insecure_channel(TARGET, options, grpc.Compression.Gzip)
    calls = Calls(channel)
    lanes = [threading.Thread(target=lane, args=(calls,)) for _ in range(LANES)]
    say(type="ready")
    for each in lanes:
        each.start()
    while any(each.is_alive() for each in lanes):
        time.sleep(1)
        with lock:
            now, counts = counts, {}
            now_texts, texts = texts, {}
        say(type="sample", counts=now, texts=now_texts, wrong=wrong)
    channel.close()
    faulthandler.cancel_dump_traceback_later()
    say(type="ended", sockets=0)


main()
