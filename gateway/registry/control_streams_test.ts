import assert from "node:assert/strict";
import { type ControlCommand, ControlOverflow, ControlStreams } from "./control_streams.ts";
import { REGISTRY_LIMITS } from "./limits.ts";
import { Fixture } from "./registry_fixture.ts";

const KEY = "a".repeat(32);
const NEVER = new AbortController().signal;
const SILENT = { onApplied: () => () => {} };

const suspend = (reason: string): ControlCommand => ({ kind: "suspend", reason });

async function readAll(stream: AsyncIterable<ControlCommand>): Promise<string[]> {
  const read: string[] = [];
  for await (const command of stream) read.push(command.kind);
  return read;
}

Deno.test("commands arrive in order, those that tell how the agent stands first", async () => {
  const streams = new ControlStreams(SILENT);
  const stream = streams.open(KEY, [suspend("before")], NEVER);
  assert.equal(streams.send(KEY, { kind: "resume", note: "fine" }), "queued");
  assert.equal(streams.send(KEY, { kind: "kill", reason: "critical" }), "queued");
  streams.stop();
  assert.deepEqual(await readAll(stream), ["suspend", "resume", "kill"]);
});

Deno.test("a reader that waits is woken by a command", async () => {
  const streams = new ControlStreams(SILENT);
  const reader = streams.open(KEY, [], NEVER)[Symbol.asyncIterator]();
  const next = reader.next();
  await Promise.resolve();
  streams.send(KEY, suspend("now"));
  assert.deepEqual(await next, { value: suspend("now"), done: false });
  await reader.return?.();
  assert.equal(streams.size, 0);
});

Deno.test("a newer stream replaces the older one, which ends", async () => {
  const streams = new ControlStreams(SILENT);
  const older = readAll(streams.open(KEY, [], NEVER));
  const newer = streams.open(KEY, [], NEVER);
  assert.deepEqual(await older, []);
  assert.equal(streams.size, 1);
  streams.send(KEY, suspend("now"));
  streams.stop();
  assert.deepEqual(await readAll(newer), ["suspend"]);
  assert.equal(streams.size, 0);
});

Deno.test("a command to an agent that does not listen is reported, not queued for ever", () => {
  const streams = new ControlStreams(SILENT);
  assert.equal(streams.send(KEY, suspend("x")), "not_connected");
});

Deno.test("a full queue of 32 ends the stream by name after what was queued", async () => {
  const streams = new ControlStreams(SILENT);
  const stream = streams.open(KEY, [], NEVER);
  for (let index = 0; index < REGISTRY_LIMITS.control_queue_commands; index++) {
    assert.equal(streams.send(KEY, suspend(String(index))), "queued");
  }
  assert.equal(streams.send(KEY, suspend("one more")), "overflowed");
  assert.equal(streams.isConnected(KEY), false);
  assert.equal(streams.overflows, 1);
  const read: string[] = [];
  await assert.rejects(async () => {
    for await (const command of stream) read.push(command.kind);
  }, ControlOverflow);
  assert.equal(read.length, 32);
});

Deno.test("a cancelled call ends its stream, also one that was cancelled before it opened", async () => {
  const streams = new ControlStreams(SILENT);
  const call = new AbortController();
  const stream = readAll(streams.open(KEY, [], call.signal));
  call.abort();
  assert.deepEqual(await stream, []);
  assert.deepEqual(await readAll(streams.open(KEY, [], AbortSignal.abort())), []);
  assert.equal(streams.size, 0);
});

Deno.test("the cancellation of a replaced call leaves the newer stream open", () => {
  const streams = new ControlStreams(SILENT);
  const older = new AbortController();
  streams.open(KEY, [], older.signal);
  streams.open(KEY, [], NEVER);
  older.abort();
  assert.equal(streams.isConnected(KEY), true);
});

Deno.test("suspension, resumption and the end of a registration reach the agent by themselves", async () => {
  const fixture = await Fixture.create();
  const streams = new ControlStreams(fixture.registry);
  const [parent = "", child = ""] = await fixture.registerChain("parent", "child");
  const parent_stream = streams.open(parent, [], NEVER);
  const child_stream = streams.open(child, [], NEVER);
  await fixture.registry.suspend(child, "looked odd");
  await fixture.registry.resume(child, "fine");
  const observe = { mode: "observe", expires_at_ms: fixture.now_ms + 5, reason: "" } as const;
  await fixture.registry.setEnforcementMode([child], observe, "x", { kind: "gateway" });
  await fixture.registry.deregister(parent, "done");
  await fixture.registry.deregister(child, "done");
  assert.deepEqual(await readAll(parent_stream), []);
  const commands = await Array.fromAsync(child_stream);
  assert.deepEqual(commands, [
    { kind: "suspend", reason: "looked odd" },
    { kind: "resume", note: "fine" },
    { kind: "suspend", reason: "parent deregistered: parent" },
  ]);
});
