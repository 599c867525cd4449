import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { encodeFrame, HandshakeKeys, readExplainedReason, seededKey } from "../../proto/ipc/mod.ts";
import { audit, common, event, policy } from "../../proto/mod.ts";
import type { DecisionsPart } from "../parts.ts";
import {
  AGENT_KEY,
  allowed,
  allowing,
  proofFrame,
  queryFrame,
  RawClient,
  reportFrame,
  startSocket,
  until,
} from "./ipc_fixture.ts";

/** Decides when the test says so, in whatever order it likes. */
class HeldDecisions implements DecisionsPart {
  readonly held = new Map<string, () => void>();
  readonly aborted: string[] = [];
  readonly answer: DecisionsPart["answer"] = (query, _origin, signal) => {
    signal.addEventListener("abort", () => this.aborted.push(query.traceId));
    return new Promise((resolve) => {
      this.held.set(query.traceId, () => resolve(allowed(query.traceId)));
    });
  };
  readonly epoch = () => 1;
  readonly repeatable = () => true;
}

Deno.test("a client of the reference shakes hands, asks, and is answered", async () => {
  const origins: unknown[] = [];
  await using socket = await startSocket({
    decisions: allowing((query, origin) => {
      origins.push(origin);
      return Promise.resolve(allowed(query.traceId));
    }),
  });
  using client = await RawClient.join(socket.path);
  await client.send(queryFrame("t1"));
  assert.equal((await client.answer()).reason, "t1");
  assert.deepEqual(origins, [{
    source: "sdk",
    connection: {
      id: 1,
      sdk_version: "0.0.1-rc.6",
      handshake: "public_id",
      applies_redactions: false,
    },
  }]);
});

Deno.test("a refusal is explained to a client that reads it, and to the reference's it is the reason", async () => {
  const words = {
    rule: "policy.yaml:7:3 tools.deploy.allow",
    change: "allow it",
    who: "org_admin",
  };
  const denied = () =>
    create(policy.CheckActionResponseSchema, { decision: common.Decision.DENY, reason: "no" });
  const explain = () => words;
  await using socket = await startSocket({
    decisions: { ...allowing(() => Promise.resolve(denied())), explain },
  });
  using plain = await RawClient.join(socket.path);
  await plain.send(queryFrame("t1"));
  assert.equal((await plain.answer()).reason, "no");
  using reading = await RawClient.join(socket.path, "0.4.0+redacts.explains");
  await reading.send(queryFrame("t2"));
  const { reason } = await reading.answer();
  assert.deepEqual(readExplainedReason(reason), { reason: "no", ...words });
});

Deno.test("answers keep the order of questions, whatever order they are decided in", async () => {
  const decisions = new HeldDecisions();
  await using socket = await startSocket({ decisions });
  using client = await RawClient.join(socket.path);
  for (const trace of ["a", "b", "c"]) await client.send(queryFrame(trace));
  await until(() => decisions.held.size === 3, "all three are being decided at once");
  for (const trace of ["c", "b", "a"]) decisions.held.get(trace)?.();
  const order = [await client.answer(), await client.answer(), await client.answer()];
  assert.deepEqual(order.map((answer) => answer.reason), ["a", "b", "c"]);
});

Deno.test("trap R2: a query that waits for a person blocks neither other clients nor the stop", async () => {
  const decisions = new HeldDecisions();
  const answer: DecisionsPart["answer"] = (query, origin, signal) =>
    query.traceId === "waits"
      ? decisions.answer(query, origin, signal)
      : Promise.resolve(allowed(query.traceId));
  await using socket = await startSocket({ decisions: allowing(answer) });
  using waiting = await RawClient.join(socket.path);
  using other = await RawClient.join(socket.path);
  await waiting.send(queryFrame("waits"));
  await waiting.send(queryFrame("behind"));
  await until(() => decisions.held.size === 1, "the first waits");
  for (const trace of ["x", "y"]) {
    await other.send(queryFrame(trace));
    assert.equal((await other.answer()).reason, trace);
  }
  decisions.held.get("waits")?.();
  assert.equal((await waiting.answer()).reason, "waits");
  assert.equal((await waiting.answer()).reason, "behind");
});

Deno.test("32 clients that pipeline each get their own answers in their own order", async () => {
  await using socket = await startSocket({
    decisions: allowing(async (query) => {
      // A few turns of the loop, differently many each.
      for (let turn = Number(query.traceId.split(":")[1]) * 7 % 5; turn > 0; turn--) await null;
      return allowed(query.traceId);
    }),
  });
  const clients = await Promise.all(
    Array.from({ length: 32 }, () => RawClient.join(socket.path)),
  );
  await Promise.all(clients.map(async (client, number) => {
    const sent = (async () => {
      for (let index = 0; index < 100; index++) await client.send(queryFrame(`${number}:${index}`));
    })();
    for (let index = 0; index < 100; index++) {
      assert.equal((await client.answer()).reason, `${number}:${index}`);
    }
    await sent;
  }));
  for (const client of clients) client.close();
});

Deno.test("a connection that asks without hearing is read no further than its bound", async () => {
  const decisions = new HeldDecisions();
  await using socket = await startSocket({ decisions });
  using client = await RawClient.join(socket.path);
  for (let index = 0; index < 400; index++) await client.send(queryFrame(`${index}`));
  await until(() => decisions.held.size === 256, "256 are being decided");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(decisions.held.size, 256, "and not one more");
  for (let index = 0; index < 400; index++) {
    await until(() => decisions.held.has(`${index}`), `query ${index} was taken`);
    decisions.held.get(`${index}`)?.();
    assert.equal((await client.answer()).reason, `${index}`);
  }
});

Deno.test("events that are not yet durable hold back reading, not memory", async () => {
  let release = () => {};
  const durable = new Promise<void>((resolve) => release = resolve);
  let taken = 0;
  await using socket = await startSocket({
    pipeline: {
      report: () => {
        taken++;
        return durable;
      },
    },
  });
  using client = await RawClient.join(socket.path);
  for (let index = 0; index < 300; index++) await client.send(reportFrame(`e${index}`));
  await client.send(queryFrame("after"));
  await until(() => taken === 256, "256 events are in flight");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(taken, 256);
  release();
  assert.equal((await client.answer()).reason, "after");
  assert.equal(taken, 300, "none is lost");
});

Deno.test("trap R1: the limit holds for a connection's life, not for its handshake", async () => {
  await using socket = await startSocket({ connections_max: 2 });
  using first = await RawClient.join(socket.path);
  using second = await RawClient.join(socket.path);
  for (const client of [first, second]) {
    await client.send(queryFrame("q"));
    await client.answer();
  }
  using third = await RawClient.connect(socket.path);
  assert.equal(await third.next(), undefined, "closed without a byte");
  assert.equal(socket.metrics.counts.get("aa_ipc_connections_refused_total{too_many}"), 1);
  first.close();
  await until(() => socket.server.connections === 1, "the permit came back");
  using fourth = await RawClient.join(socket.path);
  await fourth.send(queryFrame("q"));
  assert.equal((await fourth.answer()).reason, "q");
});

Deno.test("a handshake that is forged, late or something else is closed without a word", async () => {
  const forged: Record<string, (nonce: Uint8Array) => Uint8Array> = {
    "another agent's key": (nonce) => proofFrame(seededKey(new Uint8Array(32)), nonce, "1"),
    "an old nonce": () => proofFrame(AGENT_KEY, new Uint8Array(32), "1"),
    "a query first": () => queryFrame("q"),
    "a heartbeat first": () => Uint8Array.of(4),
    "garbage": () => Uint8Array.of(5, 3, 0xff, 0xff, 0xff),
    "a proof too large": () => encodeFrame(5, new Uint8Array(20_000)),
  };
  await using socket = await startSocket();
  for (const [name, make] of Object.entries(forged)) {
    using client = await RawClient.connect(socket.path);
    const nonce = await client.nonce();
    assert.equal(nonce.length, 32);
    await client.send(make(nonce));
    assert.equal(await client.next(), undefined, name);
  }
  assert.equal(socket.reports.length, 0);
  await until(() => socket.server.connections === 0, "no permit is kept");
});

Deno.test("every connection gets a nonce of its own", async () => {
  await using socket = await startSocket();
  using first = await RawClient.connect(socket.path);
  using second = await RawClient.connect(socket.path);
  const nonce = await first.nonce();
  assert.notDeepEqual(nonce, await second.nonce());
  await second.send(proofFrame(AGENT_KEY, nonce, "1"));
  assert.equal(await second.next(), undefined, "another connection's nonce proves nothing");
});

Deno.test("a handshake byte by byte, slower than five seconds, is closed", async () => {
  await using socket = await startSocket();
  using client = await RawClient.connect(socket.path);
  const proof = proofFrame(AGENT_KEY, await client.nonce(), "1");
  for (const byte of proof.subarray(0, 40)) {
    await client.send(Uint8Array.of(byte));
    await socket.timers.pass(120);
  }
  assert.equal(socket.server.connections, 1, "4.8 s are not five");
  await socket.timers.pass(500);
  assert.equal(await client.next(), undefined);
  assert.equal(socket.metrics.closed("handshake_late"), 1);
});

Deno.test("an installed key is told apart, and alone it is enough to keep others out", async () => {
  const installed = seededKey(new Uint8Array(32).fill(3));
  const seen: string[] = [];
  await using socket = await startSocket({
    keys: new HandshakeKeys([[installed.public_key, "installed"]]),
    decisions: allowing((query, origin) => {
      if (origin.source === "sdk") seen.push(origin.connection.handshake);
      return Promise.resolve(allowed(query.traceId));
    }),
  });
  using client = await RawClient.join(socket.path, "1", installed);
  await client.send(queryFrame("q"));
  await client.answer();
  assert.deepEqual(seen, ["installed"]);
  using stranger = await RawClient.join(socket.path);
  assert.equal(await stranger.next(), undefined, "the key anyone can make is not taken");
});

Deno.test("frames cut into single bytes are the same frames", async () => {
  await using socket = await startSocket();
  using client = await RawClient.join(socket.path);
  for (const byte of [...reportFrame("e1"), 4, ...queryFrame("q1")]) {
    await client.send(Uint8Array.of(byte));
  }
  assert.equal((await client.answer()).reason, "q1");
  assert.deepEqual(socket.reports.map(({ event }) => event.eventId), ["e1"]);
});

Deno.test("garbage, unknown tags, unsound messages and announced giants end the connection", async () => {
  const hostile: Record<string, Uint8Array> = {
    "unknown tag": Uint8Array.of(9, 0),
    "a second proof": encodeFrame(5, new Uint8Array(0)),
    "8 MiB and one byte announced": Uint8Array.of(2, 0x81, 0x80, 0x80, 0x04),
    "a length past 64 bits": Uint8Array.of(1, ...Array<number>(10).fill(0xff)),
    "an event that is no message": encodeFrame(2, Uint8Array.of(0xff, 0xff)),
    "a query that is no message": encodeFrame(1, Uint8Array.of(0x0a, 0x05, 1)),
    "an approval that is no message": encodeFrame(3, Uint8Array.of(0x0a, 0x05)),
    "an event with text that is no text": encodeFrame(2, Uint8Array.of(0x0a, 2, 0xc3, 0x28)),
  };
  await using socket = await startSocket();
  using healthy = await RawClient.join(socket.path);
  for (const [name, bytes] of Object.entries(hostile)) {
    using client = await RawClient.join(socket.path);
    await client.send(bytes);
    assert.equal(await client.next(), undefined, name);
  }
  await healthy.send(queryFrame("still here"));
  assert.equal((await healthy.answer()).reason, "still here");
  assert.equal(socket.reports.length, 0);
});

Deno.test("a frame that never ends is closed by its time, and held no more than it sent", async () => {
  await using socket = await startSocket();
  using client = await RawClient.join(socket.path);
  await client.send(Uint8Array.of(2, 0x80, 0x80, 0x80, 0x04, 1, 2, 3));
  await client.send(new Uint8Array(1_000));
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (let passed_ms = 0; passed_ms <= 31_000; passed_ms += 1_000) await socket.timers.pass(1_000);
  assert.equal(await client.next(), undefined);
  assert.equal(socket.metrics.closed("frame_late"), 1);
});

Deno.test("giants that many peers send at once share one bound; who goes past it is closed alone", async () => {
  await using socket = await startSocket();
  const peers = await Promise.all(Array.from({ length: 10 }, () => RawClient.join(socket.path)));
  const giant = new Uint8Array(7 * 1_048_576);
  await Promise.all(peers.map(async (peer) => {
    // The length of a body of 8 MiB, and most of it.
    await peer.send(Uint8Array.of(2, 0x80, 0x80, 0x80, 0x04)).catch(() => {});
    await peer.send(giant).catch(() => {});
  }));
  await until(() => socket.metrics.closed("cut_frames_full") >= 1, "one went past the bound");
  assert.ok(socket.server.connections >= 7, `${socket.server.connections} are left`);
  using other = await RawClient.join(socket.path);
  await other.send(queryFrame("q"));
  assert.equal((await other.answer()).reason, "q");
  for (const peer of peers) peer.close();
});

Deno.test("a peer that takes no answers is closed, and blocks nobody", async () => {
  const large = "x".repeat(1_000_000);
  await using socket = await startSocket({
    decisions: allowing((query) =>
      Promise.resolve(allowed(query.traceId === "big" ? large : query.traceId))
    ),
  });
  using deaf = await RawClient.join(socket.path);
  for (let index = 0; index < 20; index++) await deaf.send(queryFrame("big"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  using other = await RawClient.join(socket.path);
  await other.send(queryFrame("q"));
  assert.equal((await other.answer()).reason, "q");
  for (let passed_ms = 0; passed_ms <= 11_000; passed_ms += 1_000) await socket.timers.pass(1_000);
  await until(() => socket.metrics.closed("write_stalled") === 1, "the deaf peer was closed");
  assert.equal(socket.server.connections, 1);
});

Deno.test("a peer that ends its side still gets what is decided soon; what is not is cancelled", async () => {
  const decisions = new HeldDecisions();
  await using socket = await startSocket({ decisions });
  using client = await RawClient.join(socket.path);
  await client.send(queryFrame("soon"));
  await client.send(queryFrame("never"));
  await client.endInput();
  await until(() => decisions.held.size === 2, "both are being decided");
  decisions.held.get("soon")?.();
  assert.equal((await client.answer()).reason, "soon");
  assert.deepEqual(decisions.aborted, []);
  for (let passed_ms = 0; passed_ms <= 6_000; passed_ms += 1_000) await socket.timers.pass(1_000);
  assert.equal(await client.next(), undefined);
  assert.deepEqual(decisions.aborted.sort(), ["never", "soon"]);
  assert.equal(socket.metrics.closed("half_open_late"), 1);
});

Deno.test("a peer that goes away while all its queries wait is noticed, and they are cancelled", async () => {
  const decisions = new HeldDecisions();
  await using socket = await startSocket({ decisions });
  using client = await RawClient.join(socket.path);
  for (let index = 0; index < 256; index++) await client.send(queryFrame(`${index}`));
  await until(() => decisions.held.size === 256, "no further query would be read");
  client.close();
  await until(() => {
    socket.timers.pass(1_000);
    return socket.server.connections === 0;
  }, "the permit came back");
  assert.equal(decisions.aborted.length, 256);
});

Deno.test("trap R3: reports are confirmed, in order and once durable, to clients that ask only", async () => {
  const durable: (() => void)[] = [];
  await using socket = await startSocket({
    pipeline: { report: () => new Promise((resolve) => durable.push(() => resolve())) },
  });
  using asks = await RawClient.join(socket.path, "0.4.0+acks");
  for (const id of ["e1", "e2"]) await asks.send(reportFrame(id));
  await until(() => durable.length === 2, "both are on their way");
  durable[1]?.();
  await asks.send(queryFrame("between"));
  assert.equal((await asks.answer()).reason, "between", "no ack before the first is durable");
  durable[0]?.();
  const acks = [await asks.next(), await asks.next()];
  assert.deepEqual(acks.map((frame) => [frame?.tag, frame?.body.length]), [[3, 0], [3, 0]]);

  using reference = await RawClient.join(socket.path);
  await reference.send(reportFrame("e3"));
  await until(() => durable.length === 3, "it was taken");
  durable[2]?.();
  await reference.send(queryFrame("next"));
  assert.equal((await reference.answer()).reason, "next", "an ack would have come first");
});

Deno.test("a report that cannot be kept ends a client that counts, and only that one", async () => {
  await using socket = await startSocket({
    pipeline: { report: () => Promise.reject(new Error("spool failed")) },
  });
  using counts = await RawClient.join(socket.path, "1+acks");
  using forgets = await RawClient.join(socket.path);
  for (const client of [counts, forgets]) await client.send(reportFrame("e"));
  assert.equal(await counts.next(), undefined);
  await forgets.send(queryFrame("q"));
  assert.equal((await forgets.answer()).reason, "q");
  assert.equal(socket.metrics.counts.get("aa_ipc_reports_failed_total"), 2);
});

Deno.test("a deciding room that breaks its promise becomes a denial, and the order holds", async () => {
  await using socket = await startSocket({
    decisions: allowing((query) =>
      query.traceId === "broken"
        ? Promise.reject(new Error("secret detail"))
        : Promise.resolve(allowed(query.traceId))
    ),
  });
  using client = await RawClient.join(socket.path);
  for (const trace of ["broken", "fine"]) await client.send(queryFrame(trace));
  const denied = await client.answer();
  assert.equal(denied.decision, common.Decision.DENY);
  assert.match(denied.reason, /could not decide/);
  assert.doesNotMatch(denied.reason, /secret detail/);
  assert.equal((await client.answer()).reason, "fine");
});

Deno.test("alerts and approval decisions reach their own connection only, and only once it is known", async () => {
  await using socket = await startSocket();
  using stranger = await RawClient.connect(socket.path);
  await stranger.nonce();
  using client = await RawClient.join(socket.path);
  await client.send(queryFrame("q"));
  await client.answer();
  const violation = create(audit.PolicyViolationSchema, { policyRule: "no-shell" });
  for (const id of [1, 2, 99]) socket.server.violation(id, violation);
  socket.server.approvalDecided(2, create(event.ApprovalDecisionSchema, {}));
  const frames = [await client.next(), await client.next()];
  assert.deepEqual(frames.map((frame) => frame?.tag), [4, 2]);
  assert.deepEqual(frames[0]?.body, toBinary(audit.PolicyViolationSchema, violation));
  assert.equal(socket.metrics.counts.get("aa_ipc_messages_dropped_total"), 1);
});

Deno.test("stopping answers what is owed, cancels what does not come, and removes the file", async () => {
  const decisions = new HeldDecisions();
  const socket = await startSocket({ decisions });
  using client = await RawClient.join(socket.path);
  await client.send(queryFrame("owed"));
  await until(() => decisions.held.size === 1, "it is being decided");
  const time = new AbortController();
  const stopped = socket.server.stop(time.signal);
  assert.throws(() => Deno.lstatSync(socket.path), Deno.errors.NotFound);
  decisions.held.get("owed")?.();
  assert.equal((await client.answer()).reason, "owed");
  assert.equal(await client.next(), undefined);
  await stopped;
  await socket[Symbol.asyncDispose]();

  const again = await startSocket({ decisions });
  using other = await RawClient.join(again.path);
  await other.send(queryFrame("never"));
  await until(() => decisions.held.has("never"), "it is being decided");
  const cut = new AbortController();
  const ended = again.server.stop(cut.signal);
  cut.abort();
  await ended;
  assert.deepEqual(decisions.aborted.includes("never"), true);
  assert.equal(await other.next(), undefined);
  await again[Symbol.asyncDispose]();
});

/** By a program, because Deno reads nothing below `/proc` for anyone who was not given everything. */
function openDescriptors(): number {
  const { stdout } = new Deno.Command("ls", { args: [`/proc/${Deno.pid}/fd`] }).outputSync();
  return new TextDecoder().decode(stdout).trim().split("\n").length;
}

Deno.test({
  name:
    "10,000 connections in waves: at most 64 are held, memory stays bounded, and every descriptor comes back",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using socket = await startSocket();
    const before = openDescriptors();
    let most_bytes = 0;
    for (let wave = 0; wave < 50; wave++) {
      const clients = await Promise.all(Array.from({ length: 200 }, async (_, number) => {
        const client = await RawClient.connect(socket.path).catch(() => undefined);
        // A third says nothing, a third lies, a third leaves at once.
        if (number % 3 === 1) await client?.send(Uint8Array.of(1, 0, 9, 9)).catch(() => {});
        if (number % 3 === 2) client?.close();
        assert.ok(socket.server.connections <= 64);
        return client;
      }));
      for (const client of clients) client?.close();
      const { heapUsed, external } = Deno.memoryUsage();
      most_bytes = Math.max(most_bytes, heapUsed + external);
    }
    // Both ends are in this process; an unbounded one would hold gigabytes.
    assert.ok(most_bytes < 600_000_000, `${most_bytes} bytes`);
    await until(() => socket.server.connections === 0, "every permit came back");
    await until(() => openDescriptors() <= before + 4, "every descriptor came back");
    using client = await RawClient.join(socket.path);
    await client.send(queryFrame("q"));
    assert.equal((await client.answer()).reason, "q");
  },
});
