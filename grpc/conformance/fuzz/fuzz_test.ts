import assert from "node:assert/strict";
import { Sender } from "../../http2/sender.ts";
import { ServerConnection } from "../../server/connection.ts";
import { Random } from "../random.ts";
import { ClientSessions, plain, settings } from "./client_sessions.ts";
import { runClientSession } from "./client_target.ts";
import { settle } from "./clock.ts";
import { Harness } from "./harness.ts";
import { minimize } from "./minimize.ts";
import { mutate } from "./mutate.ts";
import { OutputChecker } from "./output_checker.ts";
import { PeerSpeech } from "./peer_speech.ts";
import { runServerSession } from "./server_target.ts";
import { ServerSessions } from "./server_sessions.ts";
import {
  frameBytes,
  type FrameOp,
  type Session,
  sessionFromText,
  sessionToText,
} from "./session.ts";

const HALVES = [
  ["server", (random: Random) => new ClientSessions(random).draw(), runServerSession],
  ["client", (random: Random) => new ServerSessions(random).draw(), runClientSession],
] as const;

async function inHarness(work: (harness: Harness) => Promise<void>): Promise<void> {
  const harness = new Harness();
  harness.install();
  try {
    await work(harness);
  } finally {
    harness.uninstall();
  }
}

for (const [half, draw, run] of HALVES) {
  Deno.test(`sound and broken sessions leave the ${half} half sound`, () =>
    inHarness(async (harness) => {
      const random = new Random(11);
      for (let count = 0; count < 60; count++) {
        const session = draw(random);
        await run(harness, session);
        await run(harness, mutate(random, session, draw(random)));
      }
    }));

  Deno.test(`a session of the ${half} half read back from its file does the same again`, () =>
    inHarness(async (harness) => {
      const session = mutate(new Random(5), draw(new Random(4)), draw(new Random(6)));
      const first = await run(harness, session);
      const second = await run(harness, sessionFromText(sessionToText(session)));
      assert.deepEqual([...second], [...first]);
    }));
}

Deno.test("a module that breaks its promises is found out", () =>
  inHarness(async (harness) => {
    /** What the fuzzer says while `name` of a prototype does nothing. */
    const without = async <T extends object>(prototype: T, name: keyof T): Promise<string> => {
      const real = Object.getOwnPropertyDescriptor(prototype, name) ?? {};
      Object.defineProperty(prototype, name, { ...real, value: () => {} });
      const random = new Random(12);
      try {
        for (let count = 0; count < 300; count++) {
          await runServerSession(harness, new ClientSessions(random).draw());
        }
        return "nothing";
      } catch (reason) {
        return reason instanceof Error ? reason.message : "";
      } finally {
        Object.defineProperty(prototype, name, real);
        for (const { socket } of harness.wires) socket.break();
        await settle();
      }
    };
    assert.match(await without(ServerConnection.prototype, "releaseBuffer"), /left accounted/);
    assert.match(
      await without(Sender.prototype, "sendTrailers"),
      /ended with nothing|not answered/,
    );
    assert.match(await without(ServerConnection.prototype, "onCallEnded"), /calls are left open/);
  }));

/** What a checker says about frames a server sends to a client that has opened stream 1. */
function verdict(...frames: FrameOp[]): string {
  const speech = new PeerSpeech(false, 16_384);
  speech.take(frameBytes(plain(4, 0, 0, settings([[4, 10]]))));
  speech.take(frameBytes(plain(1, 5, 1, [0x82])));
  const announced = { stream_window_bytes: 65_535, connection_window_bytes: 65_535 };
  const checker = new OutputChecker("server", speech, announced);
  try {
    for (const frame of [plain(4, 0, 0), ...frames]) checker.push(frameBytes(frame));
    return "sound";
  } catch (reason) {
    return reason instanceof Error ? reason.message : "";
  }
}

Deno.test("the checker refuses what a server may not send", () => {
  const ack = plain(4, 1, 0);
  const grpc = [0x5f, 16, ...new TextEncoder().encode("application/grpc")];
  const head = plain(1, 4, 1, [0x88, ...grpc]);
  const end = plain(1, 5, 1, [0x40, 11, ...new TextEncoder().encode("grpc-status"), 1, 0x30]);
  const message = plain(0, 0, 1, [0, 0, 0, 0, 1, 7]);
  assert.equal(verdict(ack, head, message, end), "sound");
  assert.match(verdict(head, message, end, message), /after END_STREAM/);
  assert.match(verdict(ack, head, plain(0, 0, 1, new Uint8Array(11)), end), /window of stream 1/);
  assert.match(verdict(ack, ack), /ACK for nothing/);
  assert.match(verdict(message), /before HEADERS/);
  assert.match(verdict(plain(3, 0, 3, [0, 0, 0, 1])), /idle stream 3/);
  assert.match(verdict(head, plain(0, 0, 1, [0, 0, 0, 0, 2, 7]), end), /OK inside a message/);
  assert.match(verdict(plain(1, 0, 1, head.payload), plain(6, 0, 0, new Uint8Array(8))), /inside/);
  assert.match(verdict(plain(1, 4, 1, [0xbe])), /table index 62/);
  assert.match(verdict(plain(7, 0, 0, [0, 0, 0, 9, 0, 0, 0, 0])), /never opened/);
  assert.match(verdict(plain(8, 0, 0, [0, 0, 0, 1])), /grows past its bound/);
  assert.match(verdict(plain(0, 0, 0, new Uint8Array(16_385))), /16385 bytes/);
});

Deno.test("a failing session is made small while it still fails", async () => {
  const noise = Array.from({ length: 40 }, () => ({ op: "turn" } as const));
  const ops = [...noise, { op: "break" } as const, ...noise];
  const session: Session = {
    half: "server",
    seed: 1,
    reads: "bytes",
    writes: "pieces",
    bounds: { concurrent_streams: 1 },
    ops,
  };
  const smaller = await minimize(
    session,
    (each) => Promise.resolve(each.ops.some(({ op }) => op === "break")),
  );
  assert.deepEqual(smaller.ops, [{ op: "break" }]);
  assert.deepEqual(smaller.bounds, {});
  assert.equal(smaller.reads, "whole");
});
