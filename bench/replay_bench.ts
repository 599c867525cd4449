/**
 * Decisions of a differential replay per second: facts in memory, and facts read from an encrypted
 * segment. One fact is two decisions, one under each policy. Aim: 500,000 decisions a second.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import process from "node:process";
import type { Principal } from "../core/principal.ts";
import { loadPolicy } from "../core/policy/load.ts";
import type { DecisionFact } from "../core/replay/facts.ts";
import { decodeFacts } from "../core/replay/frame.ts";
import { type FactBatch, ReplayRun } from "../core/replay/replay.ts";
import { SegmentReader, SegmentWriter } from "../core/replay/segment.ts";
import type { ReplayPolicy } from "../core/replay/side.ts";

const FACTS = 500_000;
const BATCH = 512;
const AGENTS = 200;
const START_MS = Date.UTC(2026, 0, 5);
const WEEK_MS = 7 * 24 * 3_600_000;
const RUNS = 5;

function policy(cap: number): ReplayPolicy {
  const lines = [
    "budget: { daily_limit_usd: 50, monthly_limit_usd: 500 }",
    'network: { allowlist: ["*.example.com"] }',
    "filesystem: { read: { allow: [/workspace, /usr/share] }, write: { allow: [/workspace] } }",
    "tools:",
    '  "*": { allow: false }',
    "  llm_call: { allow: true }",
  ];
  for (let i = 0; i < 100; i++) {
    const condition = i % 2 === 1 ? `, requires_approval_if: "args.amount > ${cap}"` : "";
    lines.push(`  tool_${i}: { allow: ${i % 3 !== 2}, limit_per_hour: 10000${condition} }`);
  }
  const loaded = loadPolicy("bench.yaml", lines.join("\n"));
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems.slice(0, 3)));
  return { mode: "single_file", documents: [loaded.document] };
}

let seed = 42;
function random(): number {
  seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
  return seed / 0x7fffffff;
}

function principals(): Principal[] {
  return Array.from({ length: AGENTS }, (_, n) => ({
    assurance: "bound",
    agent_id: `agent-${n}`,
    engine_key: n.toString(16).padStart(32, "0"),
    registry_key: n.toString(16).padStart(32, "f"),
    org_id: "acme",
    team_id: `team-${n % 10}`,
    status: "active",
    context: { depth: n % 4, governance_level: 1 },
  }));
}

function factsOf(agents: readonly Principal[]): DecisionFact[] {
  return Array.from({ length: FACTS }, (_, n): DecisionFact => {
    const principal = agents[Math.floor(random() * agents.length)] as Principal;
    const kind = random();
    const at_ms = START_MS + Math.floor(n * WEEK_MS / FACTS);
    const base = {
      at_ms,
      principal,
      recorded: { outcome: "allow", reason: "", shadowed: false },
      micro_usd: 0,
      policy_digests: ["sha256:0"],
    } as const;
    if (kind < 0.6) {
      const tool = `tool_${Math.floor(random() * 110)}`;
      const args = JSON.stringify({ amount: Math.floor(random() * 200), path: "/workspace/a.txt" });
      return { ...base, action: { kind: "tool_call", tool, args } };
    }
    if (kind < 0.7) {
      const llm = { model: "gpt-4o", prompt_tokens: 100 };
      const args = JSON.stringify({ ...llm, contains_pii: false });
      const action = { kind: "tool_call", tool: "llm_call", args, llm } as const;
      return { ...base, action, micro_usd: 1_500 };
    }
    if (kind < 0.85) {
      const path = `/workspace/src/file_${Math.floor(random() * 100)}.ts`;
      return { ...base, action: { kind: "file_access", path, mode: "read" } };
    }
    const url = `https://api${Math.floor(random() * 20)}.example.com:443`;
    return { ...base, action: { kind: "network_request", url, method: "CONNECT" } };
  });
}

function batched(facts: readonly DecisionFact[]): FactBatch[] {
  const batches: FactBatch[] = [];
  for (let at = 0; at < facts.length; at += BATCH) {
    const part = facts.slice(at, at + BATCH);
    batches.push({ facts: part, bytes: new TextEncoder().encode(JSON.stringify(part)) });
  }
  return batches;
}

function measure(name: string, batches: () => Iterable<FactBatch>): void {
  const rates: number[] = [];
  const wall_rates: number[] = [];
  let digest = "";
  let flipped = 0;
  for (let run = 0; run < RUNS; run++) {
    const replay = new ReplayRun({
      since_ms: START_MS,
      until_ms: START_MS + WEEK_MS,
      base: policy(100),
      proposed: policy(90),
    });
    const started_ms = performance.now();
    const used = process.cpuUsage();
    for (const batch of batches()) replay.feed(batch);
    const report = replay.report();
    wall_rates.push(2 * report.facts / ((performance.now() - started_ms) / 1_000));
    const { user, system } = process.cpuUsage(used);
    rates.push(2 * report.facts / ((user + system) / 1_000_000));
    if (digest !== "" && digest !== report.digest) throw new Error("two runs differ");
    digest = report.digest;
    flipped = report.flipped;
  }
  console.log(
    `${name}: ${median(wall_rates)} decisions/s of wall time, ${median(rates)} per second of ` +
      `processor time, garbage collection included (medians of ${RUNS}); ` +
      `${flipped.toLocaleString("en")} flips, digest ${digest.slice(0, 16)} every time`,
  );
}

function median(rates: number[]): string {
  rates.sort((a, b) => a - b);
  return Math.round(rates[Math.floor(rates.length / 2)] ?? 0).toLocaleString("en");
}

const facts = factsOf(principals());
const in_memory = batched(facts);
measure("facts in memory", () => in_memory);

const key = crypto.getRandomValues(new Uint8Array(32));
const writer = new SegmentWriter(key, crypto.getRandomValues(new Uint8Array(32)));
const frames = [
  writer.header,
  ...in_memory.map((batch) => writer.frame(batch.facts)),
  writer.end(),
];
const segment = new Uint8Array(await new Blob(frames).arrayBuffer());
console.log(`segment: ${(segment.length / FACTS).toFixed(0)} bytes a fact`);
measure("facts from an encrypted segment, decrypted and decoded", function* () {
  for (const bytes of new SegmentReader(key, segment).plaintexts()) {
    yield { facts: decodeFacts(bytes), bytes };
  }
});
