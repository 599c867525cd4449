import assert from "node:assert/strict";
import fc from "fast-check";
import { GENESIS, seal } from "./chain.ts";
import { checkDraft, type EntryDraft, EVENT_TYPES } from "./entry.ts";
import { AuditLineError, encodeLine, parseLine } from "./line.ts";
import { sampleDraft } from "./_sample_log.ts";

const draft: EntryDraft = {
  event_type: "GovernanceMutation",
  timestamp_ns: 18_446_744_073_709_551_615n,
  agent_id: new Uint8Array(16),
  session_id: Uint8Array.from({ length: 16 }, (_, i) => i),
  payload: '{"a":"\\u0000\\n"}',
  root_agent_id: new Uint8Array(16).fill(255),
  team_id: "t\u2028\u007f\u0001",
  org_id: "",
  depth: 0,
  credential_findings: [{ kind: "Custom", offset: 9_007_199_254_740_993n, matched: "[REDACTED]" }],
  redacted_payload: "r",
  policy_doc_id: "sha256:00",
};

Deno.test("the JSON form is byte for byte the contract's: key order, integer arrays, escapes", () => {
  const entry = {
    ...draft,
    seq: 9_007_199_254_740_993n,
    previous_hash: new Uint8Array(32).fill(1),
    entry_hash: new Uint8Array(32).fill(2),
  };
  const ones = Array(32).fill(1).join(",");
  const twos = Array(32).fill(2).join(",");
  assert.equal(
    encodeLine(entry),
    '{"seq":9007199254740993,"timestamp_ns":18446744073709551615,' +
      '"event_type":"GovernanceMutation","agent_id":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],' +
      '"session_id":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],' +
      `"payload":"{\\"a\\":\\"\\\\u0000\\\\n\\"}","previous_hash":[${ones}],"entry_hash":[${twos}],` +
      `"root_agent_id":[${Array(16).fill(255).join(",")}],"team_id":"t\u2028\u007f\\u0001",` +
      '"org_id":"","depth":0,"credential_findings":[{"kind":"Custom",' +
      '"offset":9007199254740993,"matched":"[REDACTED]"}],"redacted_payload":"r",' +
      '"policy_doc_id":"sha256:00"}',
  );
});

Deno.test("64-bit integers past 2^53 survive reading and writing", () => {
  const { line } = seal(checkDraft(draft), { ...GENESIS, seq: 18_446_744_073_709_551_614n });
  const entry = parseLine(line);
  assert.equal(entry.seq, 18_446_744_073_709_551_614n);
  assert.equal(entry.timestamp_ns, 18_446_744_073_709_551_615n);
  assert.equal(entry.credential_findings?.[0]?.offset, 9_007_199_254_740_993n);
  assert.equal(encodeLine(entry), line);
});

Deno.test("every entry reads back as it was written", () => {
  const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
  const text = fc.string({ unit: "binary", maxLength: 40 });
  const drafts = fc.record({
    event_type: fc.constantFrom(...EVENT_TYPES),
    timestamp_ns: u64,
    agent_id: id,
    session_id: id,
    payload: text,
    root_agent_id: id,
    parent_agent_id: id,
    team_id: text,
    org_id: text,
    delegation_reason: text,
    spawned_by_tool: text,
    depth: fc.integer({ min: 0, max: 0xffff_ffff }),
    credential_findings: fc.array(fc.record({ kind: text, offset: u64, matched: text }), {
      minLength: 1,
      maxLength: 3,
    }),
    redacted_payload: text,
    policy_doc_id: text,
  }, { requiredKeys: ["event_type", "timestamp_ns", "agent_id", "session_id", "payload"] });
  fc.assert(fc.property(drafts, (value) => {
    const checked = checkDraft(value as EntryDraft);
    const { line } = seal(checked, GENESIS);
    assert.doesNotThrow(() => JSON.parse(line));
    const { seq: _seq, previous_hash: _previous, entry_hash: _own, ...read } = parseLine(line);
    assert.deepEqual(read, checked);
  }));
});

Deno.test("a line that is not exactly the form is refused, with the field named", () => {
  const { line } = seal(checkDraft(sampleDraft(3)), GENESIS);
  const cases: [string, string, RegExp][] = [
    ["space", line.replace('"seq":', '"seq": '), /seq/],
    ["trailing space", `${line} `, /form/],
    ["unknown key", line.replace(/}$/, ',"extra":1}'), /form/],
    ["twice", line.replace(/}$/, ',"depth":1}'), /form/],
    ["too large", line.replace('"seq":0', '"seq":18446744073709551616'), /`seq`/],
    ["type name", line.replace("ApprovalRequested", "Approved"), /`event_type`/],
    ["short id", line.replace(/"agent_id":\[\d+,/, '"agent_id":['), /`agent_id`/],
    ["byte 256", line.replace(/"agent_id":\[\d+,/, '"agent_id":[256,'), /`agent_id`/],
    ["depth", line.replace(/"depth":\d/, '"depth":-1'), /`depth`/],
    ["not JSON", line.slice(0, -1), /JSON/],
    ["null", "null", /seq/],
    ["empty", "", /seq/],
  ];
  for (const [name, bad, expected] of cases) {
    assert.throws(() => parseLine(bad), (error: unknown) => {
      assert.ok(error instanceof AuditLineError, name);
      assert.match(error.message, expected, name);
      return true;
    });
  }
  assert.doesNotThrow(() => parseLine(line));
});
