import assert from "node:assert/strict";
import { canonicalBytes, chainProblem, entryHashHex, GENESIS, headAfter, seal } from "./chain.ts";
import { type AuditEntry, checkDraft, type EntryDraft, hash16 } from "./entry.ts";
import { encodeLine, parseLine } from "./line.ts";
import { leafHash } from "./merkle.ts";
import { sampleDraft, sampleLines } from "./_sample_log.ts";

const AGENT = Uint8Array.from({ length: 16 }, (_, i) => i + 0x01);
const SESSION = Uint8Array.from({ length: 16 }, (_, i) => i + 0x11);
const HASH_A = "3cdd3572e477123bd8a4e38e186a85c416118c68abe1ba2390bdd92859a0145e";
const HASH_B = "c4def998d0bf8d3e46e15998e23603f27adfbc643dfb51064ccc5c75c94aaa07";
const HASH_C = "3b0e8ed80e8bd3c50ad8a4fe20a272ba3466ac24481ce7badde9f3dec13ac391";

const A: EntryDraft = {
  event_type: "ToolCallIntercepted",
  timestamp_ns: 1_714_222_134_000_000_000n,
  agent_id: AGENT,
  session_id: SESSION,
  payload: '{"k":"v"}',
};
const B: EntryDraft = {
  event_type: "PolicyViolation",
  timestamp_ns: 1_714_222_135_000_000_000n,
  agent_id: AGENT,
  session_id: SESSION,
  payload: "{}",
  root_agent_id: new Uint8Array(16).fill(0xaa),
  parent_agent_id: new Uint8Array(16).fill(0xbb),
  team_id: "team-é",
  delegation_reason: "why",
  spawned_by_tool: "spawner",
  depth: 2,
  org_id: "acme",
};
const C: EntryDraft = {
  event_type: "CredentialLeakBlocked",
  timestamp_ns: 1_714_222_136_000_000_000n,
  agent_id: AGENT,
  session_id: SESSION,
  payload: "x",
  credential_findings: [{ kind: "AwsAccessKey", offset: 7, matched: "[REDACTED:AwsAccessKey]" }],
  redacted_payload: "a [REDACTED:AwsAccessKey]",
  policy_doc_id: "sha256:00",
};

function hashed(draft: EntryDraft, seq: bigint, previous_hex: string) {
  return { ...draft, seq, previous_hash: Uint8Array.fromHex(previous_hex) };
}

Deno.test("worked vectors A, B and C of the contract have exactly their hashes and lengths", () => {
  const vectors = [
    { entry: hashed(A, 0n, "00".repeat(32)), length: 93, expected: HASH_A },
    { entry: hashed(B, 1n, HASH_A), length: 159, expected: HASH_B },
    { entry: hashed(C, 2n, HASH_B), length: 167, expected: HASH_C },
  ];
  for (const { entry, length, expected } of vectors) {
    assert.equal(canonicalBytes(entry).length, length);
    assert.equal(entryHashHex(entry), expected);
  }
});

Deno.test("sealing A, B and C in turn gives the contract's chain", () => {
  const a = seal(A, GENESIS);
  const b = seal(B, a.next);
  const c = seal(C, b.next);
  assert.deepEqual(
    [a, b, c].map((sealed) => sealed.next.previous_hex),
    [HASH_A, HASH_B, HASH_C],
  );
  assert.equal(c.next.seq, 3n);
});

Deno.test("an empty text and an absent one hash differently", () => {
  const empty = entryHashHex(hashed({ ...A, team_id: "" }, 0n, "00".repeat(32)));
  assert.notEqual(empty, HASH_A);
  assert.equal(canonicalBytes(hashed({ ...A, team_id: "" }, 0n, "00".repeat(32))).length, 97);
});

Deno.test("depth 0 counts as present", () => {
  assert.equal(canonicalBytes(hashed({ ...A, depth: 0 }, 0n, "00".repeat(32))).length, 97);
});

Deno.test("trap 52: what the untagged chain cannot tell apart, the Merkle tree over whole lines does", () => {
  const id = new Uint8Array(16).fill(0xaa);
  const drafts: EntryDraft[] = [{ ...A, root_agent_id: id }, { ...A, parent_agent_id: id }];
  const hashes = drafts.map((draft) => entryHashHex(hashed(draft, 0n, "00".repeat(32))));
  assert.equal(hashes[0], hashes[1], "the reference's form, kept for its verifiers");
  const leaves = drafts.map((draft) => {
    const entry = hashed(draft, 0n, "00".repeat(32));
    const line = encodeLine({ ...entry, entry_hash: Uint8Array.fromHex(hashes[0] ?? "") });
    return leafHash(new TextEncoder().encode(line)).toHex();
  });
  assert.notEqual(leaves[0], leaves[1]);
});

Deno.test("Q1: one changed payload byte is found at that entry", () => {
  const lines = sampleLines(Array.from({ length: 5 }, (_, i) => sampleDraft(i)));
  let head = GENESIS;
  for (const [i, line] of lines.entries()) {
    const entry = parseLine(i === 3 ? line.replace("step 3", "step 4") : line);
    const problem = chainProblem(entry, head);
    if (i === 3) {
      assert.equal(problem, "has an entry_hash that does not match its content");
      return;
    }
    assert.equal(problem, undefined);
    head = headAfter(entry.seq, entry.entry_hash.toHex());
  }
  assert.fail("the changed entry was not found");
});

Deno.test("a wrong seq and a wrong link are told apart", () => {
  const [first = "", second = ""] = sampleLines([sampleDraft(0), sampleDraft(1)]);
  const one = parseLine(first);
  assert.match(chainProblem(parseLine(second), GENESIS) ?? "", /seq `1`, expected `0`/);
  const unlinked: AuditEntry = { ...parseLine(second), previous_hash: new Uint8Array(32) };
  const head = headAfter(one.seq, one.entry_hash.toHex());
  assert.match(chainProblem(unlinked, head) ?? "", /previous_hash/);
});

Deno.test("a payload larger than the hashing buffer hashes whole", () => {
  const payload = JSON.stringify({ text: "é".repeat(30_000) });
  const sealed = seal(checkDraft({ ...A, payload }), GENESIS);
  const entry = parseLine(sealed.line);
  assert.equal(encodeLine(entry), sealed.line);
  assert.equal(chainProblem(entry, GENESIS), undefined);
  assert.equal(canonicalBytes(entry).length, 84 + new TextEncoder().encode(payload).length);
});

Deno.test("hash16 has the contract's check values", () => {
  assert.equal(hash16("agent-1").toHex(), "6ff3b3bd11c44cac620c43d5b65377bd");
  assert.equal(hash16("").toHex(), "e3b0c44298fc1c149afbf4c8996fb924");
});
