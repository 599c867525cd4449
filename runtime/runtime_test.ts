import assert from "node:assert/strict";
import { until } from "./_fixture.ts";
import { type audit, common } from "../proto/mod.ts";
import { parseArguments, type RuntimeConfig } from "./config.ts";
import { HandTimers, queryFrame, RawClient, reportFrame } from "./ipc/ipc_fixture.ts";
import { publicIdKey, seededKey } from "../proto/ipc/mod.ts";
import type { LogFields, LogLevel } from "./log.ts";
import { openRooms } from "./open_rooms.ts";
import type { Origin } from "./parts.ts";
import { type Runtime, startRuntime, type Surroundings } from "./runtime.ts";
import { SYSTEM_TIMERS } from "./timers.ts";

const SURROUNDINGS: Surroundings = {
  timers: { ...SYSTEM_TIMERS, sleep: new HandTimers().sleep },
  log: () => {},
  random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
};

interface Line {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

interface Started {
  readonly runtime: Runtime;
  readonly config: RuntimeConfig;
  readonly lines: Line[];
  readonly directory: string;
  readonly get: (path: string) => Promise<Response>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

const start = (...argv: string[]): Promise<Started> => startIn({}, ...argv);

async function startIn(more: Partial<Surroundings>, ...argv: string[]): Promise<Started> {
  const directory = await Deno.makeTempDir();
  await Deno.chmod(directory, 0o700);
  const parsed = parseArguments([
    ...["--agent-id", "agent-1", "--socket", `${directory}/a.sock`],
    ...["--state-dir", `${directory}/state`, "--metrics-listen", "127.0.0.1:0"],
    // The C library is opened once a process, in the tests of its own; here the mode protects.
    ...["--no-local-policy", "--no-peer-credentials"],
    ...argv,
  ]);
  assert.ok(parsed.action === "run", parsed.action === "refuse" ? parsed.message : "");
  const lines: Line[] = [];
  let runtime: Runtime;
  try {
    runtime = await startRuntime(parsed.config, {
      ...SURROUNDINGS,
      log: (level, message, fields) => lines.push({ level, message, fields }),
      ...more,
    });
  } catch (error) {
    await Deno.remove(directory, { recursive: true });
    throw error;
  }
  return {
    runtime,
    config: parsed.config,
    lines,
    directory,
    get: (path) => fetch(`http://127.0.0.1:${runtime.health.port}${path}`),
    [Symbol.asyncDispose]: async () => {
      await runtime.stop();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

Deno.test("trap R11: without a gateway and without rules every query is denied, saying what to do", async () => {
  await using started = await start();
  using client = await RawClient.join(started.runtime.socket);
  await client.send(queryFrame("q"));
  const answer = await client.answer();
  assert.equal(answer.decision, common.Decision.DENY);
  assert.match(answer.reason, /runtime unconfigured: no gateway and no local policy/);
});

Deno.test("a runtime is ready, healthy and measurable, and claims what was seen and no more", async () => {
  await using started = await start();
  assert.equal(await (await started.get("/ready")).text(), "ready");
  const before = await (await started.get("/health")).json();
  assert.equal(before.status, "healthy");
  assert.deepEqual(before.active_layers.includes("sdk"), true);
  assert.equal(before.protection.any_coverage_verified, false);
  assert.equal(before.rooms.ipc.peer_check, "file_mode");
  using client = await RawClient.join(started.runtime.socket);
  await client.send(queryFrame("q"));
  await client.answer();
  const after = await (await started.get("/health")).json();
  assert.deepEqual(after.protection.verified_states, ["evaluated"]);
  assert.equal(after.rooms.ipc.connections, 1);
  assert.match(await (await started.get("/metrics")).text(), /^aa_active_connections 1$/m);
});

Deno.test("a layer that is missing from the start, or later, is on record", async () => {
  const reported: { readonly event: audit.AuditEvent; readonly origin: Origin }[] = [];
  await using started = await startIn(
    {
      rooms: async (shared) => {
        const rooms = await openRooms(shared);
        return {
          ...rooms,
          pipeline: {
            report: (event, origin) => {
              reported.push({ event, origin });
              return rooms.pipeline.report(event, origin);
            },
          },
        };
      },
    },
    "--layers",
    "sdk",
  );
  assert.deepEqual(reported.map(({ event }) => event.labels["layer"]), ["ebpf", "proxy"]);
  const [first] = reported;
  assert.deepEqual(first?.origin, { source: "runtime" });
  assert.ok(first.event.detail.case === "toolCall");
  assert.equal(
    first.event.detail.value.toolName,
    "runtime.layer_degraded: ebpf: left out by the override; remaining: sdk",
  );
  await until(async () => {
    const health = await (await started.get("/health")).json();
    return health.rooms.spool.kept_rows === 2 && health.events_processed === 0;
  }, "both on disk");
});

Deno.test("an event is on disk before a client that counts hears of it", async () => {
  await using started = await start();
  using client = await RawClient.join(started.runtime.socket, "0.4.0+acks");
  await client.send(reportFrame("e1"));
  const ack = await client.next();
  assert.equal(ack?.tag, 3);
  const health = await (await started.get("/health")).json();
  assert.ok(health.rooms.spool.kept_rows >= 1);
  assert.equal(health.events_processed, 1);
  assert.ok(health.protection.verified_states.includes("observed"));
});

Deno.test("installed keys alone: the agent's public id opens nothing", async () => {
  const key = seededKey(new Uint8Array(32).fill(8));
  const hex = Uint8Array.from(key.public_key).toHex();
  await using started = await start("--handshake", "installed", "--trust-agent-key", hex);
  using stranger = await RawClient.join(started.runtime.socket, "1", publicIdKey("agent-1"));
  assert.equal(await stranger.next(), undefined);
  using client = await RawClient.join(started.runtime.socket, "1", key);
  await client.send(queryFrame("q"));
  await client.answer();
});

Deno.test("a second runtime of the same agent is refused, and leaves the first alone", async () => {
  await using first = await start();
  await assert.rejects(startRuntime(first.config, SURROUNDINGS), /spool|another runtime/);
  assert.equal(await (await first.get("/ready")).text(), "ready");
});

Deno.test("a start that fails at the socket leaves neither the spool nor the address taken", async () => {
  await using started = await start();
  const { config, runtime, directory } = started;
  await runtime.stop();
  const same_port: RuntimeConfig = {
    ...config,
    health: { hostname: "127.0.0.1", port: runtime.health.port },
  };
  await Deno.writeTextFile(runtime.socket, "in the way");
  await assert.rejects(startRuntime(same_port, SURROUNDINGS), /is not a socket/);
  await Deno.remove(runtime.socket);
  const again = await startRuntime(same_port, SURROUNDINGS);
  await again.stop();
  assert.deepEqual([...Deno.readDirSync(directory)].map((entry) => entry.name), ["state"]);
});

Deno.test("a socket whose path is taken away makes the runtime degraded and not ready", async () => {
  await using started = await start();
  await Deno.remove(started.runtime.socket);
  assert.equal((await started.get("/ready")).status, 503);
  const health = await (await started.get("/health")).json();
  assert.deepEqual([health.status, health.rooms.ipc.state], ["degraded", "socket_replaced"]);
});

Deno.test("at stop the socket's file is gone and a client is let go", async () => {
  const started = await start();
  using client = await RawClient.join(started.runtime.socket);
  await client.send(queryFrame("q"));
  await client.answer();
  await started.runtime.stop();
  // A denial may be told as a violation first.
  for (let frames = 0; await client.next() !== undefined; frames++) assert.ok(frames < 4);
  assert.throws(() => Deno.lstatSync(started.runtime.socket), Deno.errors.NotFound);
  await Deno.remove(started.directory, { recursive: true });
});
