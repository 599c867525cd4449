import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { DEFAULT_SCANNER } from "../../core/scanner/mod.ts";
import { audit, event as wire_event, policy } from "../../proto/mod.ts";
import { ManualTimers, SeenMetrics } from "../_fixture.ts";
import { arbitraryMessage } from "./_message_arbitrary.ts";
import { argsOf, eventOf, fromClient, PipelineBench, toolEvent } from "./_pipeline_fixture.ts";
import { Enforcer } from "./enforce/enforce.ts";
import { IDENTIFIER_FIELDS, isIdentifier } from "./enforce/identifiers.ts";
import { emptyTally, TextGuard } from "./enforce/text.ts";
import { redactMessage, scannedFields } from "./enforce/walk.ts";
import { PIPELINE_LIMITS } from "./limits.ts";
import { storedBytes } from "./stored_copy.ts";

const KEY = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
const text = new TextEncoder();

function enforcerWith(metrics = new SeenMetrics()): Enforcer {
  return new Enforcer({ metrics, timers: new ManualTimers() });
}

Deno.test("interception 10.6 #101: a label that claims trust is removed, counted and told", async () => {
  await using bench = new PipelineBench();
  const listener = bench.pipeline.subscribe("test");
  const event = eventOf({
    actionType: 2,
    labels: { "aa.trusted": "true", "aa.sdk_version": "0.4.0", note: "kept" },
  });
  await bench.pipeline.report(event, fromClient());
  bench.pipeline.flush();
  assert.deepEqual(event.labels, { "aa.sdk_version": "0.4.0", note: "kept" });
  const items = await listener.next();
  const tamper = items?.find((item) => item.event.detail.case === "violation");
  assert.ok(tamper?.event.detail.case === "violation");
  assert.match(tamper.event.detail.value.reason, /carried `1` forged trust markers/);
  assert.equal(tamper.enrichment.forged_trust_markers, 1);
  const kind = "aa_runtime_sdk_tamper_suspected_total{kind=forged_trust_marker}";
  assert.equal(bench.metrics.count(kind), 1);
  assert.equal(bench.spool.records.length, 2, "the tamper event is on record too");
  assert.deepEqual(bench.violations, [], "who tampers is not told");
});

Deno.test("every forged mark is removed in any spelling, the runtime's own labels too", () => {
  const marks = ["aa.trusted", "AA.Scanned", "aa.allow ", "a\u200ba.bypass", "ａａ.trusted"];
  const event = eventOf({
    labels: Object.fromEntries([...marks, "aa.runtime.source"].map((mark) => [mark, "1"])),
  });
  const { forged_trust_markers } = enforcerWith().enforce(event);
  assert.equal(forged_trust_markers, 6);
  assert.deepEqual(event.labels, {});
});

Deno.test("interception 10.6 #102: args_json of 65,537 bytes is replaced unread, 65,536 are scanned", () => {
  const metrics = new SeenMetrics();
  const enforcer = enforcerWith(metrics);
  const over = toolEvent("a".repeat(65_537));
  const outcome = enforcer.enforce(over);
  assert.equal(argsOf(over), "[REDACTED:OVERSIZED]");
  assert.equal(outcome.is_clean, false);
  assert.equal(outcome.redaction_count, 1);
  assert.equal(metrics.count("aa_runtime_scan_oversized_total"), 1);
  const fits = "a ".repeat(32_768);
  const at = toolEvent(fits);
  assert.equal(enforcer.enforce(at).is_clean, true);
  assert.equal(argsOf(at), fits);
});

Deno.test("an operator's longer limit holds, also beyond what one event is scanned for by default", () => {
  const field_bytes = 2 * PIPELINE_LIMITS.event_scan_bytes;
  const enforcer = new Enforcer({
    field_bytes,
    metrics: new SeenMetrics(),
    timers: new ManualTimers(),
  });
  const event = toolEvent(`${"a word ".repeat(200_000)}${KEY}`);
  assert.ok(event.detail.case === "toolCall" && event.detail.value.argsJson.length < field_bytes);
  enforcer.enforce(event);
  assert.match(argsOf(event), /^a word .*\[REDACTED:GitHubPat\]$/);
});

Deno.test("a text field is measured in bytes, not in characters", () => {
  const event = eventOf({ delegationReason: "統".repeat(21_846), sessionId: "" });
  enforcerWith().enforce(event);
  assert.equal(event.delegationReason, "[REDACTED:OVERSIZED]");
  const fits = eventOf({ delegationReason: "統".repeat(21_845) });
  enforcerWith().enforce(fits);
  assert.equal(fits.delegationReason.length, 21_845);
});

Deno.test("interception 10.6 #103: args_json that is no UTF-8 stays as it is when clean, else goes whole", () => {
  const metrics = new SeenMetrics();
  const clean = new Uint8Array([0xff, 0xfe, 0x00, 0x41, 0x80]);
  const event = toolEvent(clean);
  assert.equal(enforcerWith(metrics).enforce(event).is_clean, true);
  assert.ok(event.detail.case === "toolCall");
  assert.deepEqual(event.detail.value.argsJson, clean);
  const dirty = toolEvent(new Uint8Array([0xff, ...text.encode(` token=${KEY} `), 0x80]));
  assert.equal(enforcerWith(metrics).enforce(dirty).is_clean, false);
  assert.equal(argsOf(dirty), "[REDACTED:UNDECODABLE]");
  assert.equal(metrics.count("aa_runtime_scan_undecodable_total"), 1);
});

Deno.test("stray bytes and UTF-16 do not hide a secret in bytes that are no text", () => {
  const split = new Uint8Array([
    ...text.encode(KEY.slice(0, 9)),
    0xff,
    ...text.encode(KEY.slice(9)),
  ]);
  const wide = new Uint8Array(KEY.length * 2 + 1).fill(0);
  for (let at = 0; at < KEY.length; at++) wide[at * 2] = KEY.charCodeAt(at);
  wide[KEY.length * 2] = 0xff;
  for (const bytes of [split, wide]) {
    const event = toolEvent(bytes);
    enforcerWith().enforce(event);
    assert.equal(argsOf(event), "[REDACTED:UNDECODABLE]");
  }
});

Deno.test("labels: keys and values are redacted, and keys that fall together are numbered", () => {
  const other = KEY.replace("16C7", "17D8");
  const third = KEY.replace("16C7", "18E9");
  const event = eventOf({
    labels: { [KEY]: "first", [other]: "second", [third]: `is ${KEY}`, plain: "kept" },
  });
  const { redaction_count } = enforcerWith().enforce(event);
  assert.deepEqual(event.labels, {
    "[REDACTED:GitHubPat]": "first",
    "[REDACTED:GitHubPat]#2": "second",
    "[REDACTED:GitHubPat]#3": "is [REDACTED:GitHubPat]",
    plain: "kept",
  });
  assert.equal(redaction_count, 4);
});

Deno.test("a secret in the version label is redacted; the version is read before", () => {
  const event = eventOf({ labels: { "aa.sdk_version": KEY } });
  enforcerWith().enforce(event);
  assert.deepEqual(event.labels, { "aa.sdk_version": "[REDACTED:GitHubPat]" });
});

Deno.test("findings are counted by kind, bytes and latency are measured", () => {
  const metrics = new SeenMetrics();
  const event = eventOf({
    detail: { case: "process", value: { command: `curl -H ${KEY}`, args: [KEY, "plain"] } },
  });
  const { scanned_bytes } = enforcerWith(metrics).enforce(event);
  assert.equal(metrics.count("aa_runtime_scan_findings_total{kind=GitHubPat}"), 2);
  assert.equal(scanned_bytes, 8 + KEY.length * 2 + 5);
  assert.deepEqual(metrics.observed.get("aa_runtime_scan_payload_bytes"), [scanned_bytes]);
  assert.equal(metrics.observed.get("aa_runtime_scan_latency_seconds")?.length, 1);
});

Deno.test("a scanner that fails lets nothing of the text through", () => {
  const event = toolEvent("anything");
  const metrics = new SeenMetrics();
  const scanner = {
    scan: () => {
      throw new Error("broken");
    },
  };
  new Enforcer({ scanner, metrics, timers: new ManualTimers() }).enforce(event);
  assert.equal(argsOf(event), "[REDACTED]");
  assert.ok(metrics.count("aa_runtime_scan_failures_total") > 0);
});

Deno.test("a span that cannot be right redacts the whole value", () => {
  const event = toolEvent("統編 12345");
  const scanner = {
    scan: () => [{ source: "builtin", kind: "Custom", offset: 1, end: 2 } as const],
  };
  new Enforcer({ scanner, metrics: new SeenMetrics(), timers: new ManualTimers() }).enforce(event);
  assert.equal(argsOf(event), "[REDACTED]");
});

Deno.test("one event's work is bounded: what comes after its budget is replaced unread or left out", () => {
  const long = "word ".repeat(12_000);
  const large = eventOf({
    labels: Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`k${n}`, long])),
  });
  const outcome = enforcerWith().enforce(large);
  assert.ok(outcome.scanned_bytes <= PIPELINE_LIMITS.event_scan_bytes);
  assert.ok(Object.values(large.labels).includes("[REDACTED:OVERSIZED]"));
  const args = Array.from({ length: PIPELINE_LIMITS.event_elements + 500 }, () => "x");
  const many = eventOf({ labels: { a: "b" }, detail: { case: "process", value: { args } } });
  assert.equal(enforcerWith().enforce(many).omitted, 501);
  assert.ok(many.detail.case === "process");
  assert.equal(many.detail.value.args.length, PIPELINE_LIMITS.event_elements);
});

Deno.test("fields that the schema lacks are dropped: nobody could have scanned them", () => {
  const event = eventOf();
  event.$unknown = [{ no: 900, wireType: 2, data: text.encode(KEY) }];
  const { omitted } = enforcerWith().enforce(event);
  assert.equal(omitted, 1);
  assert.equal(event.$unknown, undefined);
});

Deno.test("trap R4: every string and bytes field of an event is scanned, found by the descriptor", () => {
  const fields = scannedFields(audit.AuditEventSchema);
  const reference_skips = [
    "PolicyViolation.reason",
    "PolicyViolation.blocked_action",
    "PolicyViolation.policy_rule",
    "ToolCallDetail.tool_name",
    "AuditEvent.session_id",
    "AuditEvent.delegation_reason",
    "AuditEvent.spawned_by_tool",
    "LLMCallDetail.model",
    "NetworkCallDetail.host",
    "ApprovalEvent.reason",
    "CallStackNode.label",
  ];
  for (const name of reference_skips) assert.ok(fields.has(`assembly.audit.v1.${name}`), name);
  // Every exception is a field that exists, with a reason.
  const known = new Set([
    ...fields,
    ...scannedFields(wire_event.EnvelopedEventSchema),
    ...scannedFields(policy.CheckActionRequestSchema),
  ]);
  for (const [field, reason] of Object.entries(IDENTIFIER_FIELDS)) {
    assert.ok(known.has(field), field);
    assert.ok(reason.length > 10, field);
  }
});

Deno.test("trap R4: free text that becomes a violation's reason is redacted before it is kept or told", async () => {
  await using bench = new PipelineBench();
  const event = eventOf({
    labels: { details: `leaked ${KEY}` },
    delegationReason: `because ${KEY}`,
    sessionId: KEY,
    detail: { case: "violation", value: { blockedAction: "x", reason: `said ${KEY}` } },
  });
  await bench.pipeline.report(event, fromClient());
  assert.equal(bench.violations[0]?.violation.reason, "said [REDACTED:GitHubPat]");
  const stored = new TextDecoder().decode(bench.spool.records[0]?.bytes);
  assert.ok(!stored.includes(KEY));
  assert.equal(stored.split("[REDACTED:GitHubPat]").length - 1, 4);
});

Deno.test("trap R5: an event of the kernel, the proxy or the broker is redacted like an agent's", async () => {
  await using bench = new PipelineBench();
  for (const source of ["ebpf", "proxy", "broker"] as const) {
    const event = eventOf({ detail: { case: "fileOp", value: { path: `/tmp/${KEY}` } } });
    await bench.pipeline.report(event, { source, pid: 7 });
    assert.ok(event.detail.case === "fileOp");
    assert.match(event.detail.value.path, /\[REDACTED:GitHubPat\]$/);
  }
});

Deno.test("identifiers keep their shape; anything else in their place is scanned", () => {
  const kept = eventOf({
    eventId: "18f1c0d2a3b4c5d6-00001f90-0001",
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    spanId: "00f067aa0ba902b7",
    sessionId: "1ecdc788-e7e6-5311-82b3-847f4efda0ab",
    rootAgentId: "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
  });
  const before = toBinary(audit.AuditEventSchema, kept);
  enforcerWith().enforce(kept);
  assert.deepEqual(toBinary(audit.AuditEventSchema, kept), before);
  const abused = eventOf({ traceId: KEY, spanId: "4532015112830366", sessionId: `x ${KEY}` });
  enforcerWith().enforce(abused);
  assert.equal(abused.traceId, "[REDACTED:GitHubPat]");
  assert.equal(abused.spanId, "[REDACTED:CreditCardLuhn]");
  assert.equal(isIdentifier("4532015112830366"), false);
});

Deno.test("whatever the event, a key planted in any text or bytes of it is in no copy of it", () => {
  const planted = fc.oneof(
    fc.constant(KEY),
    fc.string({ maxLength: 12 }).map((before) => `${before} ${KEY} tail`),
    fc.string({ unit: "grapheme", maxLength: 8 }),
  );
  const bytes = fc.oneof(
    planted.map((value) => text.encode(value)),
    planted.map((value) => new Uint8Array([0xff, ...text.encode(` ${value} `)])),
  );
  const enforcer = enforcerWith();
  const secret = KEY.slice(4, 24);
  fc.assert(
    fc.property(arbitraryMessage(audit.AuditEventSchema, planted, bytes), (event) => {
      enforcer.enforce(event);
      const enrichment = {
        received_at_ms: 1,
        source: "sdk",
        connection_id: 1,
        sequence: 1,
        claimed_agent_id: event.agentId?.agentId ?? "",
        forged_trust_markers: 0,
      } as const;
      for (
        const copy of [
          toBinary(audit.AuditEventSchema, event),
          storedBytes(event, enrichment, true),
        ]
      ) {
        const shown = new TextDecoder("latin1").decode(copy);
        assert.ok(!shown.includes(secret), shown);
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("the walk knows nothing of events: another message is redacted as well", () => {
  const envelope = create(wire_event.EnvelopedEventSchema, {
    source: KEY,
    payload: {
      case: "alert",
      value: { description: `saw ${KEY}`, context: { [KEY]: KEY }, agentId: { orgId: KEY } },
    },
  });
  const guard = new TextGuard(DEFAULT_SCANNER, 1_000);
  redactMessage(wire_event.EnvelopedEventSchema, envelope, guard, emptyTally(10_000, 10));
  const shown = new TextDecoder().decode(toBinary(wire_event.EnvelopedEventSchema, envelope));
  assert.ok(!shown.includes(KEY.slice(4)), shown);
  assert.equal(shown.split("[REDACTED:GitHubPat]").length - 1, 5);
});
