/**
 * Turns a session into a worse one: frames changed, moved, doubled, cut and spliced; header blocks
 * and message prefixes broken; settings and windows set to what hurts; ends at any point.
 *
 * @module
 */

import type { Random } from "../random.ts";
import { plain, settings, uint32 } from "./client_sessions.ts";
import type { ChannelKind, FrameOp, Op, Session } from "./session.ts";

const MAX_31_BIT = 2 ** 31 - 1;
const EDGES = [0, 1, 2, 3, 5, 8, 9, 127, 128, 255, 256, 16_384, 16_385, 65_535, 65_536, MAX_31_BIT];
const EDGES_32 = [...EDGES, 2 ** 31, 2 ** 32 - 1];

/** A session made of another by a few random changes; `donor` lends parts. */
export function mutate(random: Random, session: Session, donor: Session): Session {
  let ops = [...session.ops];
  for (let count = 1 + random.skewed(7); count > 0; count--) {
    ops = mutateOnce(random, ops, donor.ops);
  }
  // Sound no more: nothing is promised about its calls.
  const { expect: _expect, ...rest } = session;
  return {
    ...rest,
    seed: random.uint32(),
    reads: random.chance(0.2) ? random.pick(["whole", "pieces", "bytes"]) : session.reads,
    writes: random.chance(0.2) ? random.pick(["whole", "pieces"]) : session.writes,
    bounds: random.chance(0.1) ? donor.bounds : session.bounds,
    ...(session.half === "client" && random.chance(0.15)
      ? { channel: random.pick<ChannelKind>(["plain", "retrying", "spread"]) }
      : {}),
    ops: ops.slice(0, 400),
  };
}

/** Bytes that mean nothing, behind a sound beginning now and then. */
export function noise(random: Random, session: Session): Session {
  const sound = random.chance(0.7) ? session.ops.slice(0, random.between(1, 6)) : [];
  const ops: Op[] = [...sound];
  for (let count = random.between(1, 6); count > 0; count--) {
    ops.push({ op: "raw", bytes: random.bytes(random.skewed(2000)) });
    if (random.chance(0.5)) ops.push({ op: "turn" });
  }
  const { expect: _expect, ...rest } = session;
  return { ...rest, seed: random.uint32(), ops };
}

function mutateOnce(random: Random, ops: readonly Op[], donor: readonly Op[]): Op[] {
  const at = random.below(ops.length + 1);
  const from = random.below(ops.length);
  const op = ops[from];
  if (op === undefined || random.chance(0.4)) return insertSomething(random, ops, at, donor);
  switch (random.below(8)) {
    case 0: // Left out.
      return ops.toSpliced(from, random.chance(0.8) ? 1 : random.skewed(5));
    case 1: // Twice.
      return ops.toSpliced(at, 0, op);
    case 2: // Elsewhere.
      return ops.toSpliced(from, 1).toSpliced(Math.min(at, ops.length - 1), 0, op);
    case 3: // Often.
      if (op.op !== "frame") return [...ops];
      return ops.with(from, { ...op, times: 1 + random.skewed(random.chance(0.1) ? 3000 : 60) });
    default:
      return ops.with(from, changed(random, op));
  }
}

function insertSomething(
  random: Random,
  ops: readonly Op[],
  at: number,
  donor: readonly Op[],
): Op[] {
  if (random.chance(0.35)) {
    const from = random.below(donor.length);
    return ops.toSpliced(at, 0, ...donor.slice(from, from + 1 + random.skewed(8)));
  }
  if (random.chance(0.35)) return ops.toSpliced(at, 0, ...event(random));
  return ops.toSpliced(at, 0, hostileFrame(random));
}

/** Something that is no frame. */
function event(random: Random): Op[] {
  switch (random.below(10)) {
    case 0:
      return [{ op: "end" }];
    case 1:
      return [{ op: "break" }];
    case 2:
      return [{ op: "stall" }];
    case 3:
      return [{ op: "flow" }];
    case 4:
      return [{ op: "write_break" }];
    case 5:
      return [{ op: "shutdown", grace_ms: random.pick([0, 100, 10_000]) }];
    case 6:
      return [{ op: "wait", ms: random.pick([1, 50, 1100, 11_000, 70_000, 130_000, 700_000]) }];
    case 7:
      return [{ op: "cancel", index: random.below(4) }];
    case 8:
      return [{ op: random.chance(0.5) ? "refuse" : "accept" }];
    default:
      return [{ op: "turn" }];
  }
}

/** A frame that is often wrong, on a stream that is often there. */
function hostileFrame(random: Random): FrameOp {
  const stream = someStream(random);
  switch (random.below(10)) {
    case 0:
      return plain(0, random.below(16), stream, random.bytes(random.skewed(300)));
    case 1:
      return plain(1, random.below(64), stream, random.bytes(random.skewed(200)));
    case 2:
      return plain(2, 0, stream, [...uint32(random.pick(EDGES)), random.below(256)]);
    case 3:
      return plain(3, 0, stream, uint32(random.below(16)));
    case 4:
      return plain(4, 0, 0, hostileSettings(random));
    case 5:
      return plain(6, random.below(2), random.chance(0.9) ? 0 : stream, random.bytes(8));
    case 6:
      return plain(7, 0, 0, [...uint32(random.pick(EDGES)), ...uint32(random.below(16))]);
    case 7:
      return plain(8, 0, random.chance(0.5) ? 0 : stream, uint32(random.pick(EDGES_32)));
    case 8:
      return plain(9, random.below(8), stream, random.bytes(random.skewed(100)));
    default:
      return plain(
        random.below(256),
        random.below(256),
        random.chance(0.5) ? stream : random.uint32(),
        random.bytes(random.skewed(40)),
      );
  }
}

function hostileSettings(random: Random): number[] {
  const entries = Array.from({ length: random.skewed(6) }, (): [number, number] => {
    const id = random.chance(0.9) ? random.between(1, 6) : random.below(65_536);
    return [id, random.chance(0.8) ? random.pick(EDGES_32) : random.uint32()];
  });
  return settings(entries);
}

function someStream(random: Random): number {
  const kind = random.below(20);
  if (kind === 0) return 0;
  if (kind === 1) return random.pick(EDGES);
  if (kind === 2) return 2 * random.below(6);
  return 2 * random.below(6) + 1;
}

function changed(random: Random, op: Op): Op {
  if (op.op === "raw") return { op: "raw", bytes: changedBytes(random, op.bytes) };
  if (op.op === "wait") return { op: "wait", ms: random.pick([0, 10, 2000, 15_000, 125_000]) };
  if (op.op === "call") return changedCall(random, op);
  if (op.op !== "frame") return op;
  switch (random.below(9)) {
    case 0:
      return { ...op, type: random.chance(0.9) ? random.below(10) : random.below(256) };
    case 1:
      return { ...op, flags: op.flags ^ (1 << random.below(8)) };
    case 2:
      return { ...op, stream: someStream(random) };
    case 3:
      return { ...op, stated: statedLength(random, op.payload.length) };
    case 4:
      return { ...op, payload: op.payload.slice(0, random.below(op.payload.length + 1)) };
    case 5:
      return changedByType(random, op);
    default:
      return { ...op, payload: changedBytes(random, op.payload) };
  }
}

function statedLength(random: Random, length: number): number {
  const near = length + random.between(-3, 3);
  return random.chance(0.6) ? Math.max(0, near) : random.pick([...EDGES, 0xff_ffff]) & 0xff_ffff;
}

/** Changes that need to know what the frame is. */
function changedByType(random: Random, op: FrameOp): FrameOp {
  const payload = op.payload.slice();
  switch (op.type) {
    case 0: // The prefix of a message, if it stands here.
      if (random.chance(0.5)) payload[0] = random.below(4);
      else if (payload.length >= 5) payload.set(uint32(random.pick(EDGES_32)), 1);
      return { ...op, payload };
    case 4:
      return { ...op, payload: Uint8Array.from(hostileSettings(random)) };
    case 3:
    case 8:
      return { ...op, payload: Uint8Array.from(uint32(random.pick(EDGES_32))) };
    case 7:
      return { ...op, payload: Uint8Array.from([...uint32(random.pick(EDGES)), 0, 0, 0, 0]) };
    default:
      return { ...op, payload: changedBytes(random, payload) };
  }
}

function changedBytes(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  switch (random.below(5)) {
    case 0: {
      const copy = bytes.slice();
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      return copy;
    }
    case 1: {
      const copy = bytes.slice();
      if (at < copy.length) copy[at] = random.pick([0, 1, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xff]);
      return copy;
    }
    case 2:
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + 1)]);
    case 3:
      return Uint8Array.from([
        ...bytes.subarray(0, at),
        ...random.bytes(1 + random.skewed(8)),
        ...bytes.subarray(at),
      ]);
    default:
      return Uint8Array.from([...bytes, ...bytes.subarray(at)]).slice(0, 20_000);
  }
}

function changedCall(random: Random, op: Op & { op: "call" }): Op {
  switch (random.below(6)) {
    case 0:
      return { ...op, timeout_ms: random.pick([0, 1, 50, 3000, -1]) };
    case 4:
      return { ...op, wait_for_ready: random.chance(0.7) };
    case 1:
      return { ...op, reads: random.below(3), leaves: random.chance(0.5) };
    case 2:
      return { ...op, throws: random.pick(["headers", "trailers", "requests"]) };
    case 3:
      return { ...op, sizes: Array.from({ length: random.below(4) }, () => random.skewed(70_000)) };
    default:
      return { ...op, kind: random.pick(["unary", "expand", "collect", "converse"]) };
  }
}
