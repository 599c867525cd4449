"""Calls the echo service with the C-core client, every message compressed; prints one JSON object.

Usage: foreign_gzip_client.py TARGET
"""

import json
import sys

import grpc


def main():
    channel = grpc.insecure_channel(sys.argv[1], compression=grpc.Compression.Gzip)
    path = "/grpc.test.v1.Echo/"
    unary = channel.unary_unary(path + "Unary")
    expand = channel.unary_stream(path + "Expand")
    collect = channel.stream_unary(path + "Collect")
    converse = channel.stream_stream(path + "Converse")
    payload = b"z" * 1000000
    request = b"\x12" + b"\xc0\x84\x3d" + payload
    seen = {}
    seen["unary"] = unary(request, timeout=20) == request
    # A message of its own count, which asks for so many.
    seen["expand"] = sum(payload in each for each in expand(request + b"\x18\x03", timeout=20))
    seen["collect"] = collect((request for _ in range(3)), timeout=20) == b"\x18\x03"
    seen["converse"] = sum(each == request for each in converse(iter([request] * 3), timeout=20))
    plain = unary.with_call(request, timeout=20, compression=grpc.Compression.NoCompression)
    seen["plain"] = plain[0] == request
    seen["small"] = unary(b"\x0a\x01a", timeout=20) == b"\x0a\x01a"
    try:
        unary(request + b"\x12\x80\x80\x80\x02" + b"z" * 4194304, timeout=20)
        seen["too_large"] = "OK"
    except grpc.RpcError as error:
        seen["too_large"] = error.code().name
    deflate = grpc.insecure_channel(sys.argv[1], compression=grpc.Compression.Deflate)
    try:
        deflate.unary_unary(path + "Unary")(request, timeout=20)
        seen["deflate"] = "OK"
    except grpc.RpcError as error:
        seen["deflate"] = error.code().name
    print(json.dumps(seen))


main()
