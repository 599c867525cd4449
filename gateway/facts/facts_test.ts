import assert from "node:assert/strict";
import { llmCall } from "../../core/action.ts";
import { agent, call, directory, exec, facts, NOON_MS } from "../../core/policy/policy_fixture.ts";
import { decide } from "../../core/policy/decide.ts";
import type { Action } from "../../core/action.ts";
import type { DecisionFact } from "../../core/replay/facts.ts";
import { readFacts, type ReadProblem } from "../../core/replay/reading.ts";
import type { Answered } from "../engine/parts.ts";
import { FactsKeyError, loadFactsKey } from "./key.ts";
import { FACTS_LIMITS } from "./limits.ts";
import { FactRecorder, type RecorderOptions } from "./recorder.ts";
import {
  type FactsDisk,
  FactSegments,
  type SegmentsDropped,
  SYSTEM_FACTS_DISK,
} from "./segments.ts";

const KEY = new Uint8Array(32).fill(3);
const SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const POLICY = directory(`
tools: { bash: { allow: false }, pay: { allow: true, requires_approval_if: 'args.amount > 5' } }
data: { sensitive_patterns: ["acct-[0-9]+"] }
`);

function answered(action: Action, difference: Partial<Answered> = {}): Answered {
  const principal = agent();
  const decision = decide(POLICY, action, facts({ principal }));
  return {
    principal,
    record: undefined,
    action,
    now_ms: NOON_MS,
    trace_id: "trace",
    decision,
    wire_decision: decision.outcome === "deny" ? 2 : decision.redacted === undefined ? 1 : 4,
    reason: decision.reason,
    micro_usd: 0,
    shadowed: false,
    ...difference,
  };
}

interface Bench {
  readonly directory: string;
  readonly segments: FactSegments;
  readonly recorder: FactRecorder;
  readonly dropped: SegmentsDropped[];
}

async function withFacts(
  use: (bench: Bench) => Promise<void>,
  options: { disk?: FactsDisk; max_bytes?: number; recorder?: Partial<RecorderOptions> } = {},
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "facts-" });
  const dropped: SegmentsDropped[] = [];
  const segments = await openSegments(directory, dropped, options);
  const recorder = new FactRecorder({
    segments,
    policy: () => POLICY,
    price: () => 0,
    now_ms: () => NOON_MS,
    breathe: () => Promise.resolve(),
    ...options.recorder,
  });
  try {
    await use({ directory, segments, recorder, dropped });
    await segments.closeSegment();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function openSegments(
  directory: string,
  dropped: SegmentsDropped[],
  options: { disk?: FactsDisk; max_bytes?: number } = {},
): Promise<FactSegments> {
  return FactSegments.open({
    directory: `${directory}/facts`,
    key: KEY,
    retention_ms: 7 * DAY_MS,
    ...options,
    onDrop: (one) => {
      dropped.push(one);
      return Promise.resolve();
    },
  });
}

async function readAll(
  segments: FactSegments,
): Promise<{ facts: DecisionFact[]; problems: ReadProblem[] }> {
  const facts: DecisionFact[] = [];
  const problems: ReadProblem[] = [];
  const batches = readFacts({
    source: segments.source(),
    key: KEY,
    from_ms: 0,
    breathe: () => Promise.resolve(),
    onProblem: (problem) => problems.push(problem),
  });
  for await (const batch of batches) facts.push(...batch.facts);
  return { facts, problems };
}

Deno.test("what was answered is read back redacted, with its verdict, rule and price", async () => {
  await withFacts(async ({ recorder, segments, directory }) => {
    recorder.observe(answered(call("search", { note: `key ${SECRET}` })));
    recorder.observe(answered(call("bash", { command: `curl ${SECRET}` })));
    recorder.observe(answered(call("search", { note: "acct-77" })));
    recorder.observe(answered(llmCall("gpt-4o", 5, false), { micro_usd: 900 }));
    await recorder.flush();
    const { facts, problems } = await readAll(segments);
    assert.deepEqual(problems, []);
    assert.deepEqual(facts.map((fact) => fact.recorded.outcome), [
      "redact",
      "deny",
      "redact",
      "allow",
    ]);
    assert.equal(facts[1]?.recorded.rule?.path, "tools.bash.allow");
    assert.deepEqual(facts[0]?.hidden?.pointers, [["note"]]);
    assert.deepEqual([facts[2]?.hidden?.builtin, facts[2]?.hidden?.custom], [false, true]);
    assert.equal(facts[3]?.micro_usd, 900);
    assert.doesNotMatch(JSON.stringify(facts), /ghp_a1B2|acct-77/);
    assert.deepEqual(facts[0]?.policy_digests, [POLICY.documents[0]?.document.digest]);
    // Nothing of it stands on the disk in clear, and nobody else may read it.
    for await (const entry of Deno.readDir(`${directory}/facts`)) {
      const path = `${directory}/facts/${entry.name}`;
      const text = new TextDecoder("latin1").decode(await Deno.readFile(path));
      assert.doesNotMatch(text, /search|bash|gpt-4o|curl/);
      assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
    }
  });
});

Deno.test("a tool, team or agent named like a credential is not kept, and its facts decide nothing", async () => {
  await withFacts(async ({ recorder, segments }) => {
    recorder.observe(answered(call(SECRET)));
    const principal = agent({ team_id: SECRET, agent_id: SECRET });
    recorder.observe(answered(call("search"), { principal }));
    await recorder.flush();
    const { facts } = await readAll(segments);
    assert.deepEqual(facts.map((fact) => fact.hidden?.tool), [true, true]);
    assert.doesNotMatch(JSON.stringify(facts), /ghp_a1B2/);
  });
});

Deno.test("what a person said is kept: granted, refused or waiting", async () => {
  await withFacts(async ({ recorder, segments }) => {
    const pay = call("pay", { amount: 9 });
    const asked = { approval_request_id: "r1" };
    recorder.observe(answered(pay, { ...asked, wire_decision: 1 }));
    recorder.observe(answered(pay, { ...asked, wire_decision: 2, reason: `no: ${SECRET}` }));
    recorder.observe(answered(pay, { ...asked, wire_decision: 3 }));
    await recorder.flush();
    const { facts } = await readAll(segments);
    assert.deepEqual(facts.map(({ approval }) => approval), ["granted", "refused", "pending"]);
    assert.equal(facts[1]?.recorded.reason, "refused otherwise");
  });
});

Deno.test("more answers than can wait are dropped and counted, and none is held up", async () => {
  await withFacts(async ({ recorder }) => {
    const one = answered(exec("id"));
    for (let n = 0; n < FACTS_LIMITS.pending_facts + 5; n++) {
      assert.equal(recorder.observe(one), undefined);
    }
    assert.equal(recorder.counts.dropped, 5);
    await recorder.flush();
    assert.equal(recorder.counts.recorded, FACTS_LIMITS.pending_facts);
  });
});

/** A disk whose writes fail after some bytes, as a full or dying one does. */
function failingDisk(writes_before: number): FactsDisk {
  let writes = 0;
  return {
    ...SYSTEM_FACTS_DISK,
    open: async (path) => {
      const file = await SYSTEM_FACTS_DISK.open(path);
      return {
        ...file,
        append: async (bytes) => {
          if (writes++ !== writes_before) return await file.append(bytes);
          await file.append(bytes.subarray(0, bytes.length >> 1));
          throw new Error("No space left on device (os error 28)");
        },
      };
    },
  };
}

Deno.test("a write that fails midway loses its batch, says so, and spoils nothing before or after", async () => {
  await withFacts(async ({ recorder, segments }) => {
    for (const command of ["one", "two", "three"]) {
      recorder.observe(answered(exec(command)));
      await recorder.flush();
    }
    const { facts, problems } = await readAll(segments);
    const commands = facts.map(({ action }) => action.kind === "process_exec" && action.command);
    assert.deepEqual(commands, ["one", "three"]);
    assert.match(problems[0]?.problem ?? "", /unfinished write/);
    const { lost, recorded, last_error } = recorder.counts;
    assert.deepEqual([lost, recorded, last_error], [1, 2, ""]);
  }, { disk: failingDisk(2) });
});

Deno.test("a crash loses at most the last batch, and the next process never writes into its segment", async () => {
  await withFacts(async ({ recorder, segments, directory }) => {
    recorder.observe(answered(exec("before")));
    await recorder.flush();
    recorder.observe(answered(exec("never written")));
    // The process dies here: nothing is closed.
    const [name] = segments.source().names;
    const before = await Deno.readFile(`${directory}/facts/${name}`);
    const again = await openSegments(directory, []);
    const later = new FactRecorder({
      segments: again,
      policy: () => POLICY,
      price: () => 0,
      // And its clock has stepped back.
      now_ms: () => NOON_MS - HOUR_MS,
      breathe: () => Promise.resolve(),
    });
    later.observe(answered(exec("after")));
    await later.flush();
    await again.closeSegment();
    assert.deepEqual(await Deno.readFile(`${directory}/facts/${name}`), before);
    const { facts } = await readAll(again);
    const commands = facts.map(({ action }) => action.kind === "process_exec" && action.command);
    assert.deepEqual(commands, ["before", "after"]);
  });
});

Deno.test("retention drops whole segments, after it is on record, and never the newest", async () => {
  await withFacts(async ({ segments, dropped, directory }) => {
    await recordOne(segments, NOON_MS);
    await recordOne(segments, NOON_MS + 2 * HOUR_MS);
    await recordOne(segments, NOON_MS + DAY_MS);
    assert.equal(segments.count, 3);
    await segments.drop(NOON_MS + 7 * DAY_MS);
    assert.equal(segments.count, 3);
    await segments.drop(NOON_MS + 7 * DAY_MS + 3 * HOUR_MS);
    assert.deepEqual(dropped.map(({ reason, segments }) => [reason, segments.length]), [[
      "retention",
      1,
    ]]);
    await segments.drop(NOON_MS + 365 * DAY_MS);
    assert.equal(segments.count, 1);
    const left = [...Deno.readDirSync(`${directory}/facts`)].length;
    assert.equal(left, 1);
  });
});

Deno.test("the size bound drops the oldest segments", async () => {
  await withFacts(async ({ segments, dropped }) => {
    for (let hour = 0; hour < 5; hour++) await recordOne(segments, NOON_MS + hour * HOUR_MS);
    const before = segments.count;
    await segments.drop(NOON_MS);
    assert.equal(dropped[0]?.reason, "size");
    assert.ok(segments.count < before && segments.bytes <= 1_500);
  }, { max_bytes: 1_500 });
});

Deno.test("segments stay when their drop cannot be put on record", async () => {
  const directory = await Deno.makeTempDir();
  const segments = await FactSegments.open({
    directory,
    key: KEY,
    retention_ms: 1,
    onDrop: () => Promise.reject(new Error("the log is down")),
  });
  await recordOne(segments, NOON_MS);
  await recordOne(segments, NOON_MS + 2 * HOUR_MS);
  await assert.rejects(segments.drop(NOON_MS + DAY_MS), /the log is down/);
  assert.equal(segments.count, 2);
  await segments.closeSegment();
  await Deno.remove(directory, { recursive: true });
});

async function recordOne(segments: FactSegments, now_ms: number): Promise<void> {
  const recorder = new FactRecorder({
    segments,
    policy: () => POLICY,
    price: () => 0,
    now_ms: () => now_ms,
    breathe: () => Promise.resolve(),
  });
  recorder.observe(answered(exec("id"), { now_ms }));
  await recorder.flush();
}

Deno.test("the facts key is made once, for its owner alone, and one that others can read is refused", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/facts.key`;
  try {
    await assert.rejects(loadFactsKey(path, false), FactsKeyError);
    const key = await loadFactsKey(path, true);
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
    assert.deepEqual(await loadFactsKey(path, true), key);
    await Deno.chmod(path, 0o640);
    await assert.rejects(loadFactsKey(path, true), /mode `640`/);
    await Deno.chmod(path, 0o600);
    await Deno.writeTextFile(path, "deadbeef");
    await assert.rejects(loadFactsKey(path, true), (error) => {
      assert.ok(error instanceof FactsKeyError);
      assert.doesNotMatch(error.message, /deadbeef/);
      return true;
    });
    await Deno.symlink(path, `${directory}/link`);
    await assert.rejects(loadFactsKey(`${directory}/link`, true), /symbolic link/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
