import assert from "node:assert/strict";
import { Flag, frame, FrameType, type RawPeer, uint32 } from "../testing/raw_peer.ts";
import { errorOf, eventually, hostileTest } from "../testing/hostile_server.ts";

const isPing = (each: RawPeer["frames"][number]) =>
  each.type === FrameType.PING && (each.flags & Flag.ACK) === 0;
const pings = (peer: RawPeer) => peer.frames.filter(isPing).length;
const acknowledge = frame(FrameType.PING, Flag.ACK, 0, new Uint8Array(8));
const after = (wait_ms: number) => new Promise((resolve) => setTimeout(resolve, wait_ms));

hostileTest("an unused connection is not asked for signs of life", async (test) => {
  const first = test.client.unary({});
  const peer = await test.accept();
  await peer.send(peer.answer(await peer.request()));
  await first;
  await after(120);
  assert.equal(pings(peer), 0);
  // The silence so far is not held against the server once it is asked.
  const second = test.client.unary({});
  const id = await peer.request();
  await peer.until((frames) => frames.some(isPing));
  await after(40);
  await peer.send(acknowledge, peer.answer(id));
  await second;
  assert.equal(test.channel.state, "ready");
}, { keepalive_interval_ms: 30, keepalive_timeout_ms: 10_000 });

hostileTest("a server that dies unused is noticed when that is asked for", async (test) => {
  const call = test.client.unary({});
  const peer = await test.accept();
  await peer.send(peer.answer(await peer.request()));
  await call;
  await peer.until((frames) => frames.some(isPing));
  await peer.send(acknowledge);
  await peer.until((frames) => frames.filter(isPing).length === 2);
  await eventually("the connection is given up", () => test.channel.state === "idle");
}, {
  keepalive_interval_ms: 20,
  keepalive_timeout_ms: 20,
  keepalive_permit_without_calls: true,
});

hostileTest("a server that answers its PINGs may be silent for long", async (test) => {
  const call = test.client.unary({});
  const peer = await test.accept();
  const id = await peer.request();
  for (let count = 1; count <= 4; count++) {
    await peer.until((frames) => frames.filter(isPing).length === count);
    await peer.send(acknowledge);
  }
  await peer.send(peer.answer(id));
  await call;
}, { keepalive_interval_ms: 20, keepalive_timeout_ms: 2000 });

hostileTest("a server that finds PINGs too many is sent half as many", async (test) => {
  const goaway = frame(FrameType.GOAWAY, 0, 0, [
    ...uint32(2 ** 31 - 1),
    ...uint32(11),
    ...new TextEncoder().encode("too_many_pings"),
  ]);
  // 30 ms, doubled three times.
  for (let round = 0; round < 3; round++) {
    const call = test.client.unary({});
    const peer = await test.accept();
    const id = await peer.request();
    await peer.send(goaway, peer.answer(id));
    await call;
  }
  const call = errorOf(test.client.unary({}));
  const peer = await test.accept();
  await peer.request();
  const silent_since_ms = performance.now();
  await peer.until((frames) => frames.some(isPing));
  const silent_ms = performance.now() - silent_since_ms;
  assert.ok(silent_ms > 200, `PING after ${silent_ms} ms`);
  peer.close();
  await call;
}, { keepalive_interval_ms: 30 });

hostileTest("a GOAWAY for anything else leaves the PING interval as it is", async (test) => {
  for (const [code, text] of [[11, "enough"], [0, "too_many_pings"]] as const) {
    const call = test.client.unary({});
    const peer = await test.accept();
    const debug = new TextEncoder().encode(text);
    const last = [...uint32(2 ** 31 - 1), ...uint32(code), ...debug];
    const id = await peer.request();
    await peer.send(frame(FrameType.GOAWAY, 0, 0, last), peer.answer(id));
    await call;
  }
  const call = errorOf(test.client.unary({}));
  const peer = await test.accept();
  await peer.request();
  await peer.until((frames) => frames.some(isPing));
  peer.close();
  await call;
}, { keepalive_interval_ms: 30, idle_timeout_ms: 60_000 });
