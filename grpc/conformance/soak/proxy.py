"""A TCP proxy that harms what passes through it when told so on stdin.

Usage: proxy.py LISTEN_HOST TARGET_HOST TARGET_PORT; prints its port. Commands, one a line:
  half_close  ends the direction from server to client of every connection
  reset       resets every connection at both ends
  freeze S    passes nothing for S seconds
"""
import asyncio
import socket
import struct
import sys

LISTEN_HOST, TARGET_HOST, TARGET_PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
pairs = set()
flowing = asyncio.Event()


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            await flowing.wait()
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (OSError, RuntimeError):
        pass


async def serve(client_reader, client_writer):
    try:
        server_reader, server_writer = await asyncio.open_connection(TARGET_HOST, TARGET_PORT)
    except OSError:
        client_writer.transport.abort()
        return
    pair = (client_writer, server_writer)
    pairs.add(pair)
    await asyncio.gather(pump(client_reader, server_writer), pump(server_reader, client_writer))
    pairs.discard(pair)
    for writer in pair:
        writer.close()


def reset(writer):
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def commands():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        if line[0] == "half_close":
            for client, _ in list(pairs):
                if client.can_write_eof() and not client.is_closing():
                    client.write_eof()
        elif line[0] == "reset":
            for pair in list(pairs):
                for writer in pair:
                    reset(writer)
        elif line[0] == "freeze":
            flowing.clear()
            loop.call_later(float(line[1]), flowing.set)
        print("done", flush=True)


async def main():
    flowing.set()
    server = await asyncio.start_server(serve, LISTEN_HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await commands()


asyncio.run(main())
