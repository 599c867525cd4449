"""Calls Echo/Unary from C-core: `grpcio_client.py TARGET BODY SECONDS IN_FLIGHT`; prints JSON."""
import json
import sys
import threading
import time

import grpc

target, path, seconds, in_flight = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
with open(path, "rb") as file:
    body = file.read()
times = []
failures = []
with grpc.insecure_channel(target) as channel:
    # Without serializers, messages travel as they are.
    unary = channel.unary_unary("/grpc.bench.v1.Echo/Unary")
    assert unary(body, timeout=10) == body
    places = threading.Semaphore(in_flight)

    def on_done(before, call):
        times.append(time.perf_counter() - before)
        if call.code() is not grpc.StatusCode.OK:
            failures.append(str(call.code()))
        places.release()

    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        if in_flight == 1:
            unary(body)
            times.append(time.perf_counter() - before)
            continue
        places.acquire()
        call = unary.future(body)
        call.add_done_callback(lambda done, before=before: on_done(before, done))
    for _ in range(in_flight if in_flight > 1 else 0):
        places.acquire()
    took = time.perf_counter() - start
times.sort()


def at(quantile):
    return times[min(len(times) - 1, int(len(times) * quantile))] * 1e6


print(json.dumps({
    "seconds": took,
    "messages": len(times),
    "failed": len(failures),
    "p50_us": at(0.5),
    "p99_us": at(0.99),
    "max_us": at(1),
}))
