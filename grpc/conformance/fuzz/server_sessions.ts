/**
 * Draws sessions of a server, for a client under test: sound ones, whose outcome is known.
 *
 * @module
 */

import { HpackWriter } from "../hpack_writer.ts";
import type { Random } from "../random.ts";
import {
  cut,
  dataFrame,
  framed,
  headerFrames,
  plain,
  settings,
  someBounds,
  someMetadata,
  uint32,
} from "./client_sessions.ts";
import { type CallOp, concat, type Expectation, type Op, type Session } from "./session.ts";

const KINDS = ["unary", "expand", "collect", "converse"] as const;

/** Draws one sound session. */
export class ServerSessions {
  readonly #random: Random;
  #ops: Op[] = [];
  #hpack: HpackWriter;
  #expect: Expectation[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.#hpack = new HpackWriter(random);
  }

  draw(): Session {
    const random = this.#random;
    const bounds = someBounds(random);
    const tight = Object.keys(bounds).length > 1;
    this.#ops = [];
    this.#expect = [];
    this.#hpack = new HpackWriter(random, Math.min(4096, bounds.header_table_bytes ?? 4096));
    const calls = Array.from({ length: 1 + random.skewed(4) }, () => this.#call());
    this.#begin(calls);
    const answers = calls.map((call, index) => this.#answer(call, index));
    while (answers.length > 0) {
      const index = random.below(answers.length);
      const step = answers[index]?.next();
      if (step?.done !== false) answers.splice(index, 1);
      else this.#ops.push(...step.value);
      if (random.chance(0.15)) this.#ops.push(...this.#aside());
      if (random.chance(0.3)) this.#ops.push({ op: "turn" });
    }
    this.#ops.push({ op: "turn" }, { op: "wait", ms: 100 });
    return {
      half: "client",
      seed: random.uint32(),
      reads: random.pick(["whole", "whole", "whole", "pieces", "pieces", "bytes"]),
      writes: random.pick(["whole", "whole", "pieces"]),
      bounds,
      ...(random.chance(0.2) ? { compresses: true } : {}),
      ops: this.#ops,
      ...(tight ? {} : { expect: this.#expect }),
    };
  }

  /** Calls before and after the server's first word, so that their streams are 1, 3, 5 and on. */
  #begin(calls: readonly CallOp[]): void {
    const random = this.#random;
    const early = random.between(1, calls.length);
    this.#ops.push(...calls.slice(0, early), { op: "turn" });
    const entries: [number, number][] = [];
    if (random.chance(0.5)) entries.push([4, random.between(0, 200_000)]);
    if (random.chance(0.3)) entries.push([1, random.pick([0, 100, 4096, 65_536])]);
    if (random.chance(0.2)) entries.push([5, random.pick([16_384, 20_000, 16_777_215])]);
    if (random.chance(0.2)) entries.push([3, random.between(8, 100)], [6, 8192], [9, 7]);
    this.#ops.push(plain(4, 0, 0, settings(entries)), plain(4, 1, 0));
    if (random.chance(0.5)) this.#ops.push(plain(8, 0, 0, uint32(1 << 24)));
    this.#ops.push({ op: "turn" }, ...calls.slice(early), { op: "turn" });
  }

  #call(): CallOp {
    const random = this.#random;
    const kind = random.pick(KINDS);
    const single = kind === "unary" || kind === "expand";
    const count = single ? 1 : random.skewed(5);
    const large = random.chance(0.05) ? 70_000 : 200;
    return {
      op: "call",
      kind,
      sizes: Array.from({ length: count }, () => random.skewed(large)),
      ...(random.chance(0.2) ? { timeout_ms: 100_000 } : {}),
      ...(random.chance(0.2) ? { metadata: someMetadata(random) } : {}),
    };
  }

  *#answer(call: CallOp, index: number): Generator<Op[], undefined> {
    const random = this.#random;
    const id = 2 * index + 1;
    const single = call.kind === "unary" || call.kind === "collect";
    const count = single ? 1 : random.skewed(6);
    const large = random.chance(0.05) ? 70_000 : 200;
    const messages = Array.from({ length: count }, () => random.bytes(random.skewed(large)));
    const status = random.chance(0.2) ? random.between(1, 16) : 0;
    if (status === 0) this.#expect.push({ call: index, messages });
    const head = [":status", "200", "content-type", "application/grpc"];
    const gzip = random.chance(0.15);
    if (gzip) head.push("grpc-encoding", "gzip");
    const end = ["grpc-status", String(status), ...this.#statusText(), ...this.#metadata()];
    if (status !== 0 && random.chance(0.5)) {
      yield headerFrames(random, id, this.#hpack.block([...head, ...end]), true);
      return;
    }
    if (random.chance(0.1)) {
      yield headerFrames(random, id, this.#hpack.block([":status", "103"]), false);
    }
    yield headerFrames(random, id, this.#hpack.block([...head, ...this.#metadata()]), false);
    const bytes = concat(messages.map((message) => framed(random, message, gzip)));
    for (const piece of cut(random, bytes, random.chance(0.5) ? 1 : 5)) {
      for (let from = 0; from === 0 || from < piece.length; from += 16_000) {
        yield [dataFrame(random, id, piece.subarray(from, from + 16_000), false)];
      }
    }
    yield headerFrames(random, id, this.#hpack.block(end), true);
    return;
  }

  #statusText(): string[] {
    const random = this.#random;
    return random.chance(0.3)
      ? ["grpc-message", random.pick(["as%20it%20is", "%E2%82%AC", ""])]
      : [];
  }

  #metadata(): string[] {
    return this.#random.chance(0.3) ? someMetadata(this.#random) : [];
  }

  #aside(): Op[] {
    const random = this.#random;
    switch (random.below(7)) {
      case 0:
        return [plain(6, 0, 0, random.bytes(8))];
      case 1:
        return [plain(4, 0, 0, settings([[4, random.between(0, 2_000_000)]]))];
      case 2:
        return [plain(8, 0, 0, uint32(random.between(1, 100_000)))];
      case 3:
        return [plain(7, 0, 0, [...uint32(2 ** 31 - 1), 0, 0, 0, 0])];
      case 4:
        return [
          plain(random.between(10, 255), random.below(256), random.below(9), random.bytes(9)),
        ];
      case 5:
        return [{ op: "stall" }, { op: "turn" }, { op: "flow" }];
      default:
        return [{ op: "wait", ms: random.skewed(300) }];
    }
  }
}
