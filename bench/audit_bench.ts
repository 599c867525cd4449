/**
 * How many entries a second the audit log makes durable, and how many a second are verified.
 *
 * `deno run --allow-read --allow-write bench/audit_bench.ts [seconds]` prints a table, then JSON.
 * Entries are what a decision writes: about 350 bytes of payload, 950 bytes a line. Each
 * durable figure includes sanitising, chain, tiles, checkpoints and fdatasync.
 *
 * @module
 */
import { type EntryDraft, hash16 } from "../core/audit/entry.ts";
import { verifyChainJsonl, verifyLog } from "../core/audit/verify/mod.ts";
import { AuditLog } from "../gateway/audit/log.ts";
import { directoryReader } from "../gateway/audit/reading.ts";

interface Row {
  readonly measure: string;
  readonly per_second: number;
  readonly p50_us?: number;
  readonly p99_us?: number;
}

const seconds = Number(Deno.args[0] ?? 2);
const root = Deno.makeTempDirSync({ prefix: "audit-bench-" });
const directory = `${root}/audit`;
const rows: Row[] = [];

function entry(i: number): EntryDraft {
  return {
    event_type: "ToolCallIntercepted",
    timestamp_ns: BigInt(Date.now()) * 1_000_000n,
    agent_id: AGENTS[i % AGENTS.length] ?? new Uint8Array(16),
    session_id: SESSIONS[i % SESSIONS.length] ?? new Uint8Array(16),
    payload: JSON.stringify({
      action_type: 1,
      decision: 1,
      verdict: "allow",
      latency_ms: 0,
      latency_us: 180 + i % 50,
      reason: "",
      policy_rule: null,
      policy_doc_id: POLICY,
      agent_id_claimed: `agent-${i % 50}`,
      agent_identity_assurance: "bound",
      trace_id: `trace-${i % 1000}`,
      span_id: `span-${i}`,
    }),
    org_id: "acme",
    policy_doc_id: POLICY,
  };
}

const AGENTS = Array.from({ length: 50 }, (_, i) => hash16(`agent-${i}`));
const SESSIONS = Array.from({ length: 1_000 }, (_, i) => hash16(`trace-${i}`));
const POLICY = `sha256:${"ab".repeat(32)}`;

async function measureAppends(log: AuditLog, in_flight: number): Promise<Row> {
  const latencies: number[] = [];
  const until = performance.now() + seconds * 1_000;
  let count = 0;
  const start = performance.now();
  await Promise.all(Array.from({ length: in_flight }, async () => {
    for (let before = performance.now(); before < until;) {
      await log.append(entry(count++));
      const after = performance.now();
      if (count % 16 === 0) latencies.push(after - before);
      before = after;
    }
  }));
  const elapsed_s = (performance.now() - start) / 1_000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 1_000);
  return {
    measure: `durable appends, ${in_flight} in flight`,
    per_second: Math.round(count / elapsed_s),
    p50_us: at(0.5),
    p99_us: at(0.99),
  };
}

async function measureVerify(measure: string, entries: number, run: () => Promise<boolean>) {
  const start = performance.now();
  if (!await run()) throw new Error(`${measure}: the log does not verify`);
  const per_second = Math.round(entries / ((performance.now() - start) / 1_000));
  rows.push({ measure, per_second });
}

try {
  const signing_key_file = `${root}/key.pem`;
  const { log } = await AuditLog.open({ directory, signing_key_file });
  await measureAppends(log, 64);
  for (const in_flight of [1, 16, 256]) rows.push(await measureAppends(log, in_flight));
  await log.close();
  const { verifier_key, entries } = log.status();
  const reader = directoryReader(directory);
  await measureVerify(
    "verify the whole log",
    Number(entries),
    async () => (await verifyLog(reader, { verifier_key })).ok,
  );
  await measureVerify(
    "verify the chain alone",
    Number(entries),
    async () =>
      (await verifyChainJsonl(await Deno.readFile(`${directory}/gateway-default.jsonl`))).ok,
  );
  const start = performance.now();
  const again = await AuditLog.open({ directory, signing_key_file, full_verification: true });
  await again.log.close();
  rows.push({
    measure: "open with full verification",
    per_second: Math.round(Number(entries) / ((performance.now() - start) / 1_000)),
  });
} finally {
  Deno.removeSync(root, { recursive: true });
}

const table = rows.map(({ measure, per_second, p50_us, p99_us }) =>
  `${measure.padEnd(32)}${String(per_second).padStart(10)}/s` +
  (p50_us === undefined ? "" : `   p50 ${p50_us} us   p99 ${p99_us} us`)
);
await Deno.stdout.write(new TextEncoder().encode(`${table.join("\n")}\n${JSON.stringify(rows)}\n`));
