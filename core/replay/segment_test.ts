import assert from "node:assert/strict";
import fc from "fast-check";
import { agent, call, file, NOON_MS } from "../policy/policy_fixture.ts";
import { actionOf } from "../policy/policy_arbitrary.ts";
import type { DecisionFact } from "./facts.ts";
import { BadFrame, decodeFacts, encodeFacts } from "./frame.ts";
import { readFacts, type ReadProblem, segmentName } from "./reading.ts";
import { factOf } from "./replay_fixture.ts";
import { SegmentDamaged, SegmentReader, SegmentWriter } from "./segment.ts";

const KEY = new Uint8Array(32).fill(7);
const SALT = new Uint8Array(32).fill(9);
const OPEN = "tools: { '*': { allow: true } }";
const SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";

function segment(...batches: DecisionFact[][]): Uint8Array<ArrayBuffer> {
  return bytesOf(new SegmentWriter(KEY, SALT), true, batches);
}

function bytesOf(
  writer: SegmentWriter,
  closed: boolean,
  batches: DecisionFact[][],
): Uint8Array<ArrayBuffer> {
  const parts = [writer.header, ...batches.map((batch) => writer.frame(batch))];
  if (closed) parts.push(writer.end());
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

const FACTS: DecisionFact[] = [
  factOf(call("a", { x: 1 }), [OPEN], {
    principal: agent({
      context: { age_s: 12, depth: 1, team_active_agents: { lookup_failed: "down" } },
    }),
  }),
  factOf(call("b", { token: SECRET }), [OPEN], { micro_usd: 12, approval: "granted" }),
  factOf(file("read", "/etc/passwd"), ["filesystem: { read: { allow: [] } }"]),
];

async function read(
  files: Record<string, Uint8Array>,
  key = KEY,
): Promise<{ facts: DecisionFact[]; problems: ReadProblem[] }> {
  const facts: DecisionFact[] = [];
  const problems: ReadProblem[] = [];
  const batches = readFacts({
    source: { names: Object.keys(files), read: (name) => Promise.resolve(files[name] ?? SALT) },
    key,
    from_ms: 0,
    breathe: () => Promise.resolve(),
    onProblem: (problem) => problems.push(problem),
  });
  for await (const batch of batches) facts.push(...batch.facts);
  return { facts, problems };
}

Deno.test("facts come back exactly as they were written", async () => {
  const name = segmentName(NOON_MS, 0);
  const { facts, problems } = await read({ [name]: segment(FACTS.slice(0, 2), FACTS.slice(2)) });
  assert.deepEqual(facts, FACTS);
  assert.deepEqual(problems, []);
});

Deno.test("law: any action survives a frame", () => {
  fc.assert(fc.property(fc.array(actionOf(), { maxLength: 5 }), (actions) => {
    const facts = actions.map((action) => factOf({ ...action }, [OPEN]));
    assert.deepEqual(decodeFacts(encodeFacts(facts)), facts);
  }));
});

Deno.test("neither arguments nor names stand in a segment in clear", () => {
  const text = new TextDecoder("latin1").decode(segment(FACTS));
  for (const word of ["tool_call", "passwd", "ghp_", "a1", "policy"]) {
    assert.ok(!text.includes(word), word);
  }
});

Deno.test("a segment with one changed bit is left out as a whole, named, and the others are read", async () => {
  const good = segmentName(NOON_MS + 1, 1);
  const bad = segmentName(NOON_MS, 0);
  const bytes = segment(FACTS);
  for (const at of [40, bytes.length - 40, 0, 60, 57]) {
    const changed = bytes.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    const { facts, problems } = await read({ [bad]: changed, [good]: segment(FACTS) });
    assert.deepEqual(facts, FACTS, `byte ${at}`);
    assert.equal(problems.length, 1);
    assert.equal(problems[0]?.segment, bad);
    assert.match(problems[0]?.problem ?? "", /left out/);
  }
});

Deno.test("law: a file cut anywhere gives the frames before the cut, or is refused", () => {
  const first = FACTS.slice(0, 1);
  const bytes = segment(first, FACTS.slice(1));
  fc.assert(fc.property(fc.nat(bytes.length), (length) => {
    let facts: DecisionFact[] = [];
    try {
      const reader = new SegmentReader(KEY, bytes.slice(0, length));
      for (const plain of reader.plaintexts()) facts = [...facts, ...decodeFacts(plain)];
      if (reader.end.state === "closed") assert.equal(length, bytes.length);
    } catch (error) {
      assert.ok(error instanceof SegmentDamaged);
    }
    assert.deepEqual(facts, FACTS.slice(0, facts.length));
  }));
});

Deno.test("a torn last frame is named and what is before it is read", async () => {
  const bytes = bytesOf(new SegmentWriter(KEY, SALT), false, [FACTS.slice(0, 1), FACTS.slice(1)]);
  const name = segmentName(NOON_MS, 0);
  const { facts, problems } = await read({ [name]: bytes.slice(0, -5) });
  assert.deepEqual(facts, FACTS.slice(0, 1));
  assert.match(problems[0]?.problem ?? "", /unfinished write/);
});

Deno.test("frames that were swapped, repeated or moved from another segment do not open", () => {
  const writer = new SegmentWriter(KEY, SALT);
  const [one, two] = [writer.frame(FACTS.slice(0, 1)), writer.frame(FACTS.slice(1))];
  const other = new SegmentWriter(KEY, new Uint8Array(32)).frame(FACTS.slice(0, 1));
  const whole = (...frames: Uint8Array[]) =>
    new Uint8Array([writer.header, ...frames].flatMap((part) => [...part]));
  for (const bytes of [whole(two, one), whole(one, one), whole(other)]) {
    const reader = new SegmentReader(KEY, bytes);
    assert.throws(() => [...reader.plaintexts()], /frame [01] does not authenticate/);
  }
});

Deno.test("another key is told from damage", async () => {
  const name = segmentName(NOON_MS, 0);
  const { facts, problems } = await read({ [name]: segment(FACTS) }, new Uint8Array(32));
  assert.deepEqual(facts, []);
  assert.match(problems[0]?.problem ?? "", /written under another key/);
});

Deno.test("a frame of another form is refused by field, without quoting it", () => {
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const whole = JSON.parse(new TextDecoder().decode(encodeFacts(FACTS)));
  const broken = [
    text([]),
    text({ ...whole, facts: [["hush"]] }),
    text({ ...whole, principals: [{ ...whole.principals[0], status: "hush" }] }),
    text({ ...whole, facts: [whole.facts[0].with(0, "hush")] }),
    text({ ...whole, facts: [whole.facts[0].with(3, { kind: "hush" })] }),
    text({ ...whole, facts: [whole.facts[0].with(3, { kind: "tool_call", tool: 1, args: "" })] }),
    text({ ...whole, facts: [whole.facts[0].with(1, 99)] }),
    new Uint8Array([0xff]),
  ];
  for (const bytes of broken) {
    assert.throws(() => decodeFacts(bytes), (error) => {
      assert.ok(error instanceof BadFrame);
      assert.doesNotMatch(error.message, /hush/);
      return true;
    });
  }
});
