"""Serves the echo service with the C-core server; prints its port, serves until stdin closes.

Usage: foreign_server.py [gzip | CERT_FILE KEY_FILE CLIENT_CA_FILE]
"""

import sys
import time
from concurrent import futures

import grpc


def field(number, content):
    return bytes([number << 3 | 2, len(content)]) + content


# google.rpc.Status of FAILED_PRECONDITION with one ErrorInfo whose reason is WHY.
ERROR_INFO = field(1, b"type.googleapis.com/google.rpc.ErrorInfo") + field(2, field(1, b"WHY"))
STATUS = b"\x08\x09" + field(3, ERROR_INFO)


def unary(request, context):
    if request == b"\x0a\x06refuse":
        context.set_trailing_metadata((
            ("x-reason", "because"),
            ("x-raw-bin", b"\x00\xff"),
            ("grpc-status-details-bin", STATUS),
        ))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not t\u00e4day 100%")
    if request == b"\x0a\x05sleep":
        time.sleep(1)
    if request == b"\x0a\x08metadata":
        sent = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-long", sent["x-long"]), ("x-raw-bin", sent["x-raw-bin"])))
        context.set_trailing_metadata((("x-trailer", "last"),))
    return request


def expand(request, context):
    for _ in range(500):
        yield request


def collect(requests, context):
    return b"\x18" + bytes([sum(1 for _ in requests)])


def converse(requests, context):
    yield from requests


def main():
    gzip = sys.argv[1:] == ["gzip"]
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        compression=grpc.Compression.Gzip if gzip else None,
        options=[("grpc.max_receive_message_length", 16 << 20)],
    )
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Expand": grpc.unary_stream_rpc_method_handler(expand),
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Converse": grpc.stream_stream_rpc_method_handler(converse),
    }
    generic = grpc.method_handlers_generic_handler("grpc.test.v1.Echo", handlers)
    server.add_generic_rpc_handlers((generic,))
    if len(sys.argv) > 2:
        cert, key, ca = (open(path, "rb").read() for path in sys.argv[1:4])
        credentials = grpc.ssl_server_credentials(((key, cert),), ca, True)
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(5).wait()


main()
