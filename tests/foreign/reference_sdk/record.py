"""Records what the reference's Python SDK (its native core) writes to a runtime's socket.

Stands in for a runtime with a fixed nonce, so that the bytes are the same on every run but for event
ids and times. Usage: python3.12 record.py OUTPUT.json, with `agent-assembly` installed.
"""

import json
import os
import socket
import sys
import tempfile
import threading
import time

from agent_assembly import GovernanceEvent, RuntimeClient
from agent_assembly.core.runtime_audit import build_tool_outcome_payload

NONCE = bytes(range(32))
AGENT = "agent-1"
VERSION = "0.0.1-rc.6"
HEARTBEAT = 4


class Runtime:
    """Answers each query with the next of the given response bodies and keeps every frame."""

    def __init__(self, path: str, answers: list[bytes]) -> None:
        self.frames: list[dict[str, str | int]] = []
        self.ended = threading.Event()
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(1)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        peer, _ = self._listener.accept()
        stream = peer.makefile("rb")
        peer.sendall(frame(5, b"\x0a\x20" + NONCE))
        while True:
            first = stream.read(1)
            if not first:
                break
            tag = first[0]
            if tag == HEARTBEAT:
                self.frames.append({"tag": tag, "hex": first.hex()})
                continue
            head = first
            length = shift = 0
            while True:
                byte = stream.read(1)
                head += byte
                length |= (byte[0] & 0x7F) << shift
                shift += 7
                if byte[0] < 0x80:
                    break
            body = stream.read(length)
            self.frames.append({"tag": tag, "hex": (head + body).hex()})
            if tag == 1:
                peer.sendall(frame(1, self._answers.pop(0)))
        self.ended.set()


def frame(tag: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([tag, len(body)]) + body


def main(output: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "runtime.sock")
        answers = [b"\x08\x01", b"\x08\x02\x12\x05" + b"no rm", b"\x08\x03", b"\x08\x04"]
        runtime = Runtime(path, answers)
        client = RuntimeClient.connect(path, AGENT, VERSION)
        decisions = [
            client.query_policy(AGENT, "tool_call", "search", '{"q":"weather"}'),
            client.query_policy(AGENT, "tool_call", "rm", '{"path":"/"}'),
            client.query_policy(AGENT, "tool_call", "pay", '{"amount":500}'),
            client.query_policy(AGENT, "tool_call", "mail", None),
        ]
        for denied in (False, True):
            payload = build_tool_outcome_payload(
                tool_name="search", result="done", agent_id=AGENT, run_id="run-1", denied=denied
            )
            client.send_event(GovernanceEvent(payload))
        deadline = time.monotonic() + 5
        while sum(frame["tag"] == 2 for frame in runtime.frames) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        client.close()
        runtime.ended.wait(5)
    record = {
        "agent_id": AGENT,
        "sdk_version": VERSION,
        "nonce_hex": NONCE.hex(),
        "answers_understood": decisions,
        "frames": runtime.frames,
    }
    with open(output, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.write("\n")


main(sys.argv[1])
