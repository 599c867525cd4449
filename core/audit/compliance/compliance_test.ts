import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { filesOf, sampleDraft, sampleLines, sampleSigner } from "../_sample_log.ts";
import { parseTreeHead } from "../checkpoint.ts";
import { type EntryDraft, EVENT_TYPES, hash16 } from "../entry.ts";
import { cefHeader, cefLine, cefValue } from "./cef.ts";
import { csvCell } from "./csv.ts";
import { catalogue, FRAMEWORKS } from "./controls.ts";
import {
  COMPLIANCE_FORMATS,
  ComplianceExport,
  type ComplianceFormat,
  ComplianceMismatch,
  type Framework,
} from "./mod.ts";

const GENERATED_MS = Date.UTC(2026, 5, 1);

interface Exported {
  readonly body: string;
  readonly foot: string;
  readonly manifest: Record<string, unknown>;
}

interface Asked {
  readonly framework?: Framework;
  readonly format?: ComplianceFormat;
  readonly from_ms?: number;
  readonly to_ms?: number;
}

function termsOf(
  lines: readonly string[],
  { framework = "eu-ai-act", format = "jsonl", ...range }: Asked,
) {
  const { signer, verifier_key } = sampleSigner();
  const note = new TextDecoder().decode(filesOf(lines, signer).get("log/checkpoint"));
  const { origin, size, root } = parseTreeHead(note.slice(0, note.indexOf("\n\n") + 1));
  const checkpoint = { note, origin, size, root_hex: root.toHex(), verifier_key };
  return {
    framework,
    format,
    ...range,
    generator: "aasm test",
    generated_at_ms: GENERATED_MS,
    checkpoint,
  };
}

function exportOf(lines: readonly string[], asked: Asked = {}): Exported {
  const made = new ComplianceExport(termsOf(lines, asked));
  const encoder = new TextEncoder();
  const body = made.head() + lines.map((line) => made.add(encoder.encode(line))).join("");
  const foot = made.foot();
  return { body, foot, manifest: manifestOf(foot, asked.format ?? "jsonl") };
}

/** The manifest as a reader of each form finds it. */
function manifestOf(foot: string, format: ComplianceFormat): Record<string, unknown> {
  switch (format) {
    case "csv":
      return JSON.parse(csvCells(foot)[2] ?? "");
    case "json":
      return JSON.parse(foot.slice(foot.indexOf('"manifest":') + 11, foot.lastIndexOf("}")));
    case "jsonl":
      return JSON.parse(foot).manifest;
    case "ocsf":
      return JSON.parse(foot).unmapped.manifest;
    case "cef":
      return JSON.parse(cefValues(foot).get("msg") ?? "");
  }
}

/** Cells of one CSV line whose cells are all quoted. */
function csvCells(line: string): string[] {
  return [...line.matchAll(/"((?:[^"]|"")*)"(?:,|\r\n)/g)].map(([, cell = ""]) =>
    cell.replaceAll('""', '"')
  );
}

/** The extension as ArcSight's rules read it: a key starts after a space, unescaped `=` ends it. */
function cefValues(line: string): Map<string, string> {
  const extension = line.replace(/^(?:(?:\\.|[^\\|])*\|){7}/, "").replace(/\n$/, "");
  const values = new Map<string, string>();
  const keys = [...extension.matchAll(/(?:^| )([A-Za-z0-9]+)=/g)].filter(({ index }) =>
    !/\\$/.test(extension.slice(0, index))
  );
  for (const [at, match] of keys.entries()) {
    const end = keys[at + 1]?.index ?? extension.length;
    const raw = extension.slice(match.index + match[0].length, end);
    const value = raw.replaceAll(
      /\\([\\=nr])/g,
      (_, c: string) => c === "n" ? "\n" : c === "r" ? "\r" : c,
    );
    values.set(match[1] ?? "", value);
  }
  return values;
}

function draft(change: Partial<EntryDraft>, payload: Record<string, unknown> = {}): EntryDraft {
  return {
    event_type: "ToolCallIntercepted",
    timestamp_ns: 1_767_225_600_000_000_000n,
    agent_id: hash16("agent-1"),
    session_id: hash16("trace-1"),
    payload: JSON.stringify(payload),
    ...change,
  };
}

const SAMPLE = sampleLines(Array.from({ length: 60 }, (_, i) => sampleDraft(i)));

Deno.test("every entry is exported with its index and at least one requirement, in every form", () => {
  for (const framework of FRAMEWORKS) {
    for (const format of COMPLIANCE_FORMATS) {
      const { body, manifest } = exportOf(SAMPLE, { framework, format });
      assert.equal(manifest["exported"], 60, format);
      assert.deepEqual([manifest["first_index"], manifest["last_index"]], ["0", "59"]);
      const lines = body.split(/\r?\n/).filter((line) => line !== "");
      assert.equal(lines.length, 60 + (format === "csv" || format === "json" ? 1 : 0), format);
    }
  }
  const { body } = exportOf(SAMPLE, { framework: "soc2" });
  for (const [index, line] of body.trimEnd().split("\n").entries()) {
    const { audit_index, controls } = JSON.parse(line);
    assert.equal(audit_index, String(index));
    assert.ok(controls.length > 0, line);
  }
});

Deno.test("the manifest hashes the bytes before it and carries what a stranger verifies with", () => {
  for (const format of COMPLIANCE_FORMATS) {
    const { body, manifest } = exportOf(SAMPLE, { format });
    assert.equal(manifest["body_sha256"], createHash("sha256").update(body).digest("hex"), format);
    const log = manifest["log"] as Record<string, unknown>;
    assert.equal(log["verifier_key"], sampleSigner().verifier_key);
    assert.match(String(log["checkpoint"]), /^example\.test\/log\n60\n[\s\S]*\n\u2014 /u);
    assert.equal(log["size"], 60);
    assert.ok((manifest["not_evidenced"] as string[]).length > 4);
  }
});

Deno.test("an entry left out, changed, moved or added is not signed: there is no manifest", () => {
  const encoder = new TextEncoder();
  const swapped = SAMPLE.with(0, SAMPLE[1] ?? "").with(1, SAMPLE[0] ?? "");
  const changed = SAMPLE.with(5, (SAMPLE[5] ?? "").replace("step", "stop"));
  for (const lines of [SAMPLE.slice(0, -1), swapped, changed, [...SAMPLE, SAMPLE[0] ?? ""]]) {
    const made = new ComplianceExport(termsOf(SAMPLE, {}));
    for (const line of lines) made.add(encoder.encode(line));
    assert.throws(() => made.foot(), ComplianceMismatch);
  }
});

Deno.test("a time span leaves out what is outside, and still reads the whole log", () => {
  const start_ms = 1_714_222_134_000;
  const spread = sampleLines(
    Array.from(
      { length: 10 },
      (_, i) => draft({ timestamp_ns: BigInt(start_ms + i) * 1_000_000n }),
    ),
  );
  const { manifest } = exportOf(spread, { from_ms: start_ms + 3, to_ms: start_ms + 7 });
  assert.deepEqual(
    [manifest["exported"], manifest["first_index"], manifest["last_index"]],
    [4, "3", "6"],
  );
  const none = exportOf(spread, { from_ms: start_ms + 99, format: "json" });
  assert.deepEqual([none.manifest["exported"], none.manifest["first_index"]], [0, "-1"]);
  assert.deepEqual(JSON.parse(none.body + none.foot).entries, []);
});

Deno.test("a line that is no entry is shown as that, in every form", () => {
  const lines = [...SAMPLE.slice(0, 2), '{"seq":2,"nonsense":true}'];
  for (const format of COMPLIANCE_FORMATS) {
    const { body, foot, manifest } = exportOf(lines, { format });
    assert.deepEqual([manifest["exported"], manifest["unreadable"]], [2, 1], format);
    assert.match(body, /unreadable/);
    if (format === "json") assert.equal(JSON.parse(body + foot).entries.length, 3);
  }
});

function controlsFor(framework: Framework, entry: EntryDraft): string[] {
  return JSON.parse(exportOf(sampleLines([entry]), { framework }).body).controls;
}

Deno.test("requirements are cited for what they ask: decisions, people's part, stops, credentials", () => {
  const governance = (action: string, actor = "operator:ana") =>
    draft({ event_type: "GovernanceMutation" }, { action, actor });
  const killed = controlsFor("eu-ai-act", governance("agent_killed"));
  assert.deepEqual(killed, [
    "Art. 12(1)",
    "Art. 12(2)(a)",
    "Art. 12(2)(c)",
    "Art. 14(4)(e)",
    "Art. 19(1)",
    "Art. 26(6)",
  ]);
  // Stopped by the gateway: nobody intervened.
  assert.ok(
    !controlsFor("eu-ai-act", governance("agent_suspended", "gateway")).includes("Art. 14(4)(e)"),
  );
  assert.ok(
    controlsFor("eu-ai-act", draft({ event_type: "ApprovalDenied" })).includes("Art. 14(4)(d)"),
  );
  const soc2 = (entry: EntryDraft) => controlsFor("soc2", entry);
  assert.deepEqual(soc2(governance("enrolment_created")), ["CC6.2", "CC6.3", "CC7.1"]);
  assert.deepEqual(soc2(governance("gateway_started", "gateway")), ["CC7.1"]);
  assert.deepEqual(soc2(governance("policy_reload_applied", "gateway")), ["CC7.1", "CC8.1"]);
  assert.deepEqual(soc2(governance("agent_killed")), ["CC6.2", "CC6.3", "CC7.1", "CC7.4"]);
  assert.deepEqual(soc2(draft({ event_type: "CredentialLeakBlocked" })), [
    "CC6.1",
    "CC6.7",
    "CC7.2",
    "CC7.3",
  ]);
  assert.deepEqual(soc2(draft({}, { action: "tool_call", decision: 1 })), ["CC6.1", "CC7.2"]);
  assert.deepEqual(soc2(draft({ event_type: "SandboxOomKilled" })), ["CC6.8", "CC7.2", "CC7.3"]);
});

Deno.test("the manifest counts each requirement, those without evidence included", () => {
  const { manifest } = exportOf(sampleLines([draft({})]), { framework: "soc2" });
  const citations = manifest["citations"] as Record<string, number>;
  assert.deepEqual(Object.keys(citations), catalogue("soc2").map(({ id }) => id));
  assert.deepEqual([citations["CC6.1"], citations["CC7.4"]], [1, 0]);
});

Deno.test("only named facts of a payload are exported, never the payload", () => {
  const entry = draft({ redacted_payload: "kept apart" }, {
    action: "tool_call",
    decision: 2,
    reason: "tool denied by policy",
    something_else: "must not appear",
  });
  for (const format of COMPLIANCE_FORMATS) {
    const { body } = exportOf(sampleLines([entry]), { format });
    assert.match(body, /tool denied by policy/);
    assert.doesNotMatch(body, /must not appear|kept apart/, format);
  }
});

// CSV.

Deno.test("no cell is a formula, whatever an agent is called", () => {
  for (
    const start of ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\n=1", "＝1", "＠A"]
  ) {
    assert.ok(csvCell(start).startsWith(`"'`), start);
  }
  for (const plain of ["a=b", "1-2", "", "did:key:z6Mk"]) {
    assert.equal(csvCell(plain), `"${plain}"`);
  }
});

Deno.test("a CSV cell is read back as it was, but for the apostrophe", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 30 }), (text) => {
    const [cell] = csvCells(`${csvCell(text)}\r\n`);
    const clean = text.toWellFormed().replaceAll("\u0000", "\ufffd");
    assert.ok(cell === clean || cell === `'${clean}`);
  }));
});

Deno.test("every CSV row has the same number of cells, the manifest included", () => {
  const evil = draft({ team_id: 'a","b\r\n"' }, {
    agent_id_claimed: '=cmd|" /C calc"!A1',
    reason: "x,y\nz",
  });
  const { body, foot } = exportOf(sampleLines([evil]), { format: "csv" });
  const width = csvCells(body.slice(0, body.indexOf("\r\n") + 2)).length;
  const cells = csvCells(body + foot);
  assert.equal(cells.length, 3 * width);
  assert.ok(cells.includes(`'=cmd|" /C calc"!A1`));
});

// CEF.

Deno.test("CEF escapes the header's pipes and backslashes, and the extension's equals and line breaks", () => {
  assert.equal(cefHeader("a|b\\c=d\ne"), "a\\|b\\\\c=d e");
  assert.equal(cefValue("a|b\\c=d\ne\rf"), "a|b\\\\c\\=d\\ne\\rf");
  const device = { vendor: "v|", product: "p", version: "1" };
  const event = {
    class_id: "c",
    name: "n\\",
    severity: 3,
    extension: [["act", "deny"], ["msg", "x=1 act=allow"], ["empty", ""]] as const,
  };
  assert.equal(
    cefLine(device, event),
    "CEF:0|v\\||p|1|c|n\\\\|3|act=deny msg=x\\=1 act\\=allow\n",
  );
});

Deno.test("no text forges a CEF line, field or key; values come back as they were", () => {
  fc.assert(fc.property(
    fc.string({ unit: fc.constantFrom(..."ab =|\\\n\r\u0000\u001b\u2028é"), maxLength: 30 }),
    (text) => {
      const line = cefLine({ vendor: text, product: text, version: text }, {
        class_id: text,
        name: text,
        severity: 0,
        extension: [["reason", `x${text}x`], ["act", "deny"]],
      });
      assert.equal(line.match(/\n/g)?.length, 1);
      const clean = text.replaceAll(/[^\P{Cc}\r\n]|\u2028/gu, " ");
      const values = cefValues(line);
      assert.deepEqual([...values.keys()], ["reason", "act"]);
      assert.equal(values.get("reason"), `x${clean}x`);
    },
  ));
});

// OCSF.

interface Ocsf {
  readonly class_uid: number;
  readonly category_uid: number;
  readonly activity_id: number;
  readonly activity_name?: string;
  readonly type_uid: number;
  readonly time: number;
  readonly severity_id: number;
  readonly metadata: Record<string, unknown>;
  readonly [key: string]: unknown;
}

/** What each class requires (schema 1.5.0), beside what every event requires. */
const REQUIRED: Readonly<
  Record<number, { category: number; fields: readonly string[]; activities: number }>
> = {
  0: { category: 0, fields: [], activities: 0 },
  2004: { category: 2, fields: ["finding_info"], activities: 3 },
  3004: { category: 3, fields: ["entity"], activities: 4 },
  6003: { category: 6, fields: ["actor", "api", "src_endpoint"], activities: 4 },
};

function assertOcsf(event: Ocsf): void {
  const rules = REQUIRED[event.class_uid];
  assert.ok(rules !== undefined, `class ${event.class_uid}`);
  assert.equal(event.category_uid, rules.category);
  assert.equal(event.type_uid, event.class_uid * 100 + event.activity_id);
  assert.ok(
    event.activity_id === 99 || (event.activity_id >= 1 && event.activity_id <= rules.activities),
  );
  // The schema asks for the source's word where the id says "other".
  assert.equal(event.activity_id === 99, typeof event.activity_name === "string");
  for (const field of rules.fields) assert.ok(event[field] !== undefined, field);
  assert.ok(Number.isSafeInteger(event.time));
  assert.ok([1, 2, 3, 4, 5].includes(event.severity_id));
  assert.equal(event.metadata["version"], "1.5.0");
  assert.ok(event.metadata["product"] !== undefined);
  if (event["action_id"] !== undefined) {
    assert.deepEqual(event.metadata["profiles"], ["security_control"]);
    assert.ok([0, 1, 2, 3, 4].includes(Number(event["action_id"])));
  }
}

function ocsfOf(entry: EntryDraft): Ocsf {
  return JSON.parse(exportOf(sampleLines([entry]), { format: "ocsf" }).body);
}

Deno.test("every event type becomes an event with the members its OCSF class requires", () => {
  for (const event_type of EVENT_TYPES) {
    for (const decision of [undefined, 1, 2, 3, 4]) {
      assertOcsf(
        ocsfOf(draft({ event_type }, { action: "tool_call", decision, resource: "search" })),
      );
    }
  }
  const { foot } = exportOf(SAMPLE, { format: "ocsf" });
  assertOcsf(JSON.parse(foot));
});

Deno.test("decisions are API activity under the security control profile; attempts are findings", () => {
  const decided = (decision: number, more = {}) => {
    const event = ocsfOf(draft({}, { action: "file_write", decision, ...more }));
    return [event.class_uid, event.activity_id, event["action_id"], event["disposition_id"]];
  };
  assert.deepEqual(decided(1), [6003, 3, 1, 1]);
  assert.deepEqual(decided(2), [6003, 3, 2, 2]);
  assert.deepEqual(decided(3), [6003, 3, 0, 14]);
  assert.deepEqual(decided(4), [6003, 3, 4, 11]);
  assert.deepEqual(decided(1, { dry_run: true }), [6003, 3, 3, 17]);
  const leak = ocsfOf(draft({ event_type: "CredentialLeakBlocked" }));
  assert.deepEqual([leak.class_uid, leak.type_uid, leak["is_alert"]], [2004, 200401, true]);
});

Deno.test("changes are entity management, by who made them", () => {
  const change = (action: string, actor: string) =>
    ocsfOf(draft({ event_type: "GovernanceMutation" }, { action, actor, reason: "why" }));
  const created = change("enrolment_created", "operator:ana");
  assert.deepEqual([created.type_uid, created["comment"]], [300401, "why"]);
  assert.deepEqual(created["actor"], { user: { name: "ana", type_id: 2 } });
  assert.equal(change("agent_deregistered", "gateway").type_uid, 300404);
  assert.equal(change("agent_registered", "agent:a").type_uid, 300401);
  assert.equal(change("risk_tier_set", "operator:ana").type_uid, 300403);
});
