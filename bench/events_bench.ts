/**
 * What an event costs on its way through the runtime: redaction by size of its payload (contract
 * `interception` §1.5: p99 within 5 ms for 256 B, 4 KiB and 60 KiB, each with one key in it), and
 * events a second that are redacted and durable in the spool.
 *
 * `deno task bench:events [iterations]` prints a table.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { audit } from "../proto/mod.ts";
import { Enforcer } from "../runtime/pipeline/enforce/enforce.ts";
import { openPipeline } from "../runtime/pipeline/pipeline.ts";
import { openSpool } from "../runtime/spool/spool.ts";
import { SYSTEM_TIMERS } from "../runtime/timers.ts";

const iterations = Number(Deno.args[0] ?? 2_000);
const metrics = { add: () => {}, set: () => {}, observe: () => {} };
const KEY = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
const WORDS = "the agent reads the file and then writes a short summary of it ";

const lines: string[] = [];

function row(what: string, per_second: number, latencies_ms: number[]): void {
  const sorted = latencies_ms.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(3);
  const rate = Math.round(per_second).toLocaleString("en");
  lines.push(`${what.padEnd(44)} ${rate.padStart(10)}/s  p50 ${at(0.5)} ms  p99 ${at(0.99)} ms`);
}

function eventWith(args: Uint8Array): audit.AuditEvent {
  return create(audit.AuditEventSchema, {
    eventId: "18f1c0d2a3b4c5d6-00001f90-0001",
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    actionType: 2,
    labels: { "aa.sdk_version": "0.4.0", event_type: "tool_call" },
    detail: { case: "toolCall", value: { toolName: "read_file", argsJson: args } },
  });
}

function payload(bytes: number): Uint8Array {
  const text = `{"key":"${KEY}","text":"`;
  const filler = WORDS.repeat(Math.ceil(bytes / WORDS.length)).slice(0, bytes - text.length - 2);
  return new TextEncoder().encode(`${text}${filler}"}`);
}

function measureRedaction(name: string, bytes: number): void {
  const enforcer = new Enforcer({ metrics, timers: SYSTEM_TIMERS });
  const args = payload(bytes);
  for (let round = 0; round < 500; round++) enforcer.enforce(eventWith(args.slice()));
  const latencies: number[] = [];
  let spent_ms = 0;
  for (let round = 0; round < iterations; round++) {
    const event = eventWith(args.slice());
    const start = performance.now();
    enforcer.enforce(event);
    const took_ms = performance.now() - start;
    latencies.push(took_ms);
    spent_ms += took_ms;
  }
  row(`redact an event with ${name} of arguments`, iterations / spent_ms * 1_000, latencies);
}

async function measureDurable(root: string, reporters: number): Promise<void> {
  const spool = await openSpool({
    path: `${root}/${reporters}/spool.db`,
    uid: Deno.uid(),
    readers: [],
    timers: SYSTEM_TIMERS,
    newId: () => crypto.randomUUID(),
  });
  const { failure } = spool.status;
  if (failure !== undefined) throw new Error(failure.message);
  const pipeline = openPipeline({
    agent: { agent_id: "agent-1", team_id: "red", org_id: "acme" },
    spool,
    clients: { violation: () => {}, approvalDecided: () => {} },
    metrics,
    timers: SYSTEM_TIMERS,
    newId: () => crypto.randomUUID(),
  });
  const args = payload(256);
  const origin = {
    source: "sdk",
    connection: {
      id: 1,
      sdk_version: "0.4.0",
      handshake: "public_id",
      applies_redactions: false,
    },
  } as const;
  const events = Math.min(40_000, Math.max(iterations, reporters * 200));
  const latencies: number[] = [];
  let left = events;
  const start = performance.now();
  await Promise.all(Array.from({ length: reporters }, async () => {
    while (left-- > 0) {
      const begun = performance.now();
      await pipeline.report(eventWith(args.slice()), origin);
      latencies.push(performance.now() - begun);
    }
  }));
  const spent_ms = performance.now() - start;
  const who = reporters === 1 ? "one reporter" : `${reporters} reporters`;
  row(`an event redacted and durable, ${who}`, events / spent_ms * 1_000, latencies);
  await pipeline.close();
  await spool.close();
}

const root = Deno.makeTempDirSync({ prefix: "events-bench-" });
try {
  for (const [name, bytes] of [["256 B", 256], ["4 KiB", 4_096], ["60 KiB", 61_440]] as const) {
    measureRedaction(name, bytes);
  }
  for (const reporters of [1, 16, 64, 256]) await measureDurable(root, reporters);
} finally {
  Deno.removeSync(root, { recursive: true });
}
Deno.stdout.writeSync(new TextEncoder().encode(lines.join("\n") + "\n"));
