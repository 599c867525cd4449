#!/usr/bin/env python3
"""Checks an audit directory from its files alone, with nothing but Python's standard library.

usage: verify_log.py DIRECTORY VERIFIER_KEY

Linear chain, Merkle tree, tiles, entry bundles, and the checkpoint's signature. Prints `OK` and
exits 0, or the first bad entry (`BAD entry N: ...`, `BAD: ...` where none can be named) and exits 1.
Written from RFC 6962, RFC 8032, C2SP tlog-tiles, tlog-checkpoint, signed-note and the entry format.
"""
import base64, hashlib, json, os, sys  # noqa: E401

EVENTS = """ToolCallIntercepted PolicyViolation CredentialLeakBlocked ApprovalRequested ApprovalGranted ApprovalDenied
BudgetLimitApproached BudgetLimitExceeded ApprovalTimedOut ApprovalRouted ApprovalEscalated AgentForceDeregistered
MessageBlocked ToolDispatched A2ACallIntercepted A2AImpersonationAttempted SandboxStarted SandboxFilesystemBlocked
SandboxCpuTimeout SandboxOomKilled SandboxTerminated SandboxHostFnRateLimited GovernanceMutation""".split()
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
sha256 = lambda data: hashlib.sha256(data).digest()  # noqa: E731

class Bad(Exception):
    def __init__(self, what, entry=None):
        super().__init__(what)
        self.entry = entry

# Ed25519 verification (RFC 8032 section 5.1.7) in extended coordinates.
def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    x, y, z, t = f - e, h - g, h + g, f + e
    return (x * y % P, z * t % P, y * z % P, x * t % P)

def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result

def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise Bad("not a curve point")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)

BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def ed25519_verifies(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    a, b = multiply(s, BASE), add(point(signature[:32]), multiply(h, point(key)))
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 == (a[1] * b[2] - b[1] * a[2]) % P

def checkpoint(directory, vkey):
    name, key_id, blob = vkey.strip().split("+", 2)
    blob = base64.b64decode(blob, validate=True)
    if blob[0] != 1 or sha256(name.encode() + b"\n" + blob)[:4].hex() != key_id:
        raise Bad("not an Ed25519 verifier key")
    note = open(os.path.join(directory, "log/checkpoint"), "rb").read()
    text, _, signatures = note.rpartition(b"\n\n")
    text += b"\n"
    for line in signatures.decode().splitlines():
        dash, signer, data = line.split(" ")
        data = base64.b64decode(data, validate=True)
        if (dash, signer, data[:4].hex()) == ("\u2014", name, key_id):
            if not ed25519_verifies(blob[1:], text, data[4:]):
                raise Bad("the checkpoint's signature does not verify")
            break
    else:
        raise Bad("the checkpoint is not signed by the verifier key")
    origin, size, root = text.decode().split("\n")[:3]
    if origin != name:
        raise Bad("the checkpoint is of another origin")
    return int(size), base64.b64decode(root, validate=True)

def u(value, size):
    return value.to_bytes(size, "big")

def prefixed(text):
    return u(len(text.encode()), 4) + text.encode()

def entry_hash(entry):
    out = u(entry["seq"], 8) + u(entry["timestamp_ns"], 8) + u(EVENTS.index(entry["event_type"]), 4)
    out += b"".join(bytes(entry[k]) for k in ("agent_id", "session_id", "previous_hash"))
    out += entry["payload"].encode()
    out += b"".join(bytes(entry[k]) for k in ("root_agent_id", "parent_agent_id") if k in entry)
    out += b"".join(prefixed(entry[k]) for k in ("team_id", "delegation_reason", "spawned_by_tool") if k in entry)
    out += u(entry["depth"], 4) if "depth" in entry else b""
    out += prefixed(entry["org_id"]) if "org_id" in entry else b""
    findings = entry.get("credential_findings", [])
    if findings or "redacted_payload" in entry:
        out += u(len(findings), 4) + b"".join(u(f["offset"], 8) + prefixed(f["matched"]) for f in findings)
        out += b"\x01" + prefixed(entry["redacted_payload"]) if "redacted_payload" in entry else b"\x00"
    return sha256(out + (prefixed(entry["policy_doc_id"]) if "policy_doc_id" in entry else b""))

def chain_problem(lines):
    previous = bytes(32)
    for i, line in enumerate(lines):
        try:
            entry = json.loads(line)
            if entry["seq"] != i or bytes(entry["previous_hash"]) != previous:
                return Bad("does not follow the entry before it", i)
            if entry_hash(entry) != bytes(entry["entry_hash"]):
                return Bad("its content does not have its hash", i)
            previous = bytes(entry["entry_hash"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            return Bad(f"is not an audit entry ({type(error).__name__})", i)
    return None

def root_of(row):
    """Merkle tree hash: pairs are joined level by level, an odd last node moves up as it is."""
    if not row:
        return sha256(b"")
    while len(row) > 1:
        row = [sha256(b"\x01" + row[i] + row[i + 1]) if i + 1 < len(row) else row[i] for i in range(0, len(row), 2)]
    return row[0]

def tile(directory, level, index, width):
    groups = str(index).zfill(-(-len(str(index)) // 3) * 3)
    groups = [groups[i:i + 3] for i in range(0, len(groups), 3)]
    path = os.path.join(directory, "log/tile", str(level), *["x" + g for g in groups[:-1]], groups[-1])
    partial = f"{path}.p/{width}"
    return open(partial if width < 256 and os.path.exists(partial) else path, "rb").read()

def entries(data):
    found = []
    while size := data and 2 + int.from_bytes(data[:2], "big"):
        found, data = found + [data[2:size]], data[size:]
    return found

def tiles(directory, level, count):
    for start in range(0, count, 256):
        width = min(256, count - start)
        data = tile(directory, level, start // 256, width)
        items = entries(data) if level == "entries" else [data[i:i + 32] for i in range(0, len(data), 32)]
        yield start, items[:width]

def verify(directory, vkey):
    size, root = checkpoint(directory, vkey)
    data = open(os.path.join(directory, "gateway-default.jsonl"), "rb").read()
    lines = data.split(b"\n")
    if lines.pop():
        raise Bad("is cut off", len(lines))
    if not lines:
        raise Bad("there are no entries")
    leaves = [sha256(b"\x00" + line) for line in lines]
    broken = chain_problem(lines)
    if len(lines) < size or root_of(leaves[:size]) != root:
        stored = [h for _, part in tiles(directory, 0, size) for h in part]
        if root_of(stored) == root:
            for i, expected in enumerate(stored):
                if i >= len(leaves) or leaves[i] != expected:
                    raise Bad("is not the entry that the signed tree has there", i)
        raise broken or Bad("the checkpoint signs another tree than these entries make")
    if broken:
        raise broken
    level, row = 0, leaves[:size]
    while row:
        for start, stored in tiles(directory, level, len(row)):
            if stored != row[start:start + 256]:
                raise Bad(f"tile {level}/{start // 256} does not hold the tree's hashes")
        row = [root_of(row[i:i + 256]) for i in range(0, len(row) - 255, 256)]
        level += 1
    for start, stored in tiles(directory, "entries", size):
        if stored != lines[start:min(size, start + 256)]:
            raise Bad(f"bundle {start // 256} does not hold the log's lines")
    return len(lines), size

if __name__ == "__main__":
    try:
        print("OK: %d entries, %d under the checkpoint" % verify(sys.argv[1], sys.argv[2]))
    except (Bad, OSError, ValueError) as problem:
        entry = getattr(problem, "entry", None)
        sys.exit(print(f"BAD{'' if entry is None else f' entry {entry}'}: {problem}") or 1)
