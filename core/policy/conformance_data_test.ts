/** Conformance group D: sensitive data (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import { ScanLimitError } from "../scanner/mod.ts";
import { compilePolicySet } from "./compile.ts";
import { decide } from "./decide.ts";
import { ask, call, compiled, directory, facts, lineOf } from "./policy_fixture.ts";

const KEY = `sk-${"a1B2c3D4e5".repeat(5)}`;
const SECRET = { note: "password=secret" };

/** Single quotes keep the backslash as it is. */
function data(action: string): string {
  return `data: { sensitive_patterns: ['password=\\w+']${action} }`;
}

Deno.test("D1: a key is redacted even when no document speaks of data", () => {
  const decision = decide(directory("{}"), call("x", { key: KEY }), facts());
  assert.equal(lineOf(decision), "redact");
  assert.ok(!decision.redacted?.includes(KEY));
  assert.equal(decision.findings.length > 0, true);
});

Deno.test("D2: a pattern's match is replaced by its label", () => {
  const decision = decide(directory(data("")), call("x", SECRET), facts());
  assert.equal(decision.redacted, '{"note":"[REDACTED:Custom]"}');
});

Deno.test("D3: `block` denies, keeps the findings and gives no text", () => {
  const decision = decide(
    directory(data(", credential_action: block")),
    call("x", SECRET),
    facts(),
  );
  assert.equal(lineOf(decision), "deny: credential detected");
  assert.equal(decision.findings.length, 1);
  assert.equal(decision.redacted, undefined);
  assert.ok(!JSON.stringify(decision).includes("secret"));
});

Deno.test("D4: `alert_only` allows unchanged and keeps the findings", () => {
  const policy = directory(data(", credential_action: alert_only"));
  const decision = decide(policy, call("x", SECRET), facts());
  assert.equal(lineOf(decision), "allow");
  assert.equal(decision.findings.length, 1);
});

Deno.test("D5: `alert_and_redact` redacts and keeps the findings", () => {
  const policy = directory(data(", credential_action: alert_and_redact"));
  const decision = decide(policy, call("x", SECRET), facts());
  assert.equal(lineOf(decision), "redact");
  assert.equal(decision.findings.length, 1);
});

Deno.test("D6: clean arguments have no findings", () => {
  const decision = decide(directory(data("")), call("x", { note: "hello" }), facts());
  assert.equal(lineOf(decision), "allow");
  assert.deepEqual(decision.findings, []);
});

Deno.test("D7: a locale pack this build lacks denies every action, and is named", () => {
  const policy = directory("data: { locale_packs: [xx-YY] }");
  const reason = "deny: sensitive-data detection unavailable: policy names locale pack 'xx-YY', " +
    "which this build does not contain";
  assert.equal(ask(policy, call("x")), reason);
  assert.equal(ask(policy, { kind: "send_message" }), reason);
});

Deno.test("D8: a locale pack's finding is replaced by a plain label", () => {
  const policy = directory("data: { locale_packs: [zh-TW] }");
  const decision = decide(policy, call("x", { id: "A800000005" }), facts());
  assert.equal(decision.redacted, '{"id":"[REDACTED]"}');
});

Deno.test("D9: without the pack the same text is clean", () => {
  assert.equal(ask(directory("{}"), call("x", { id: "A800000005" })), "allow");
});

Deno.test("D10: a wrong check digit is no finding", () => {
  const policy = directory("data: { locale_packs: [zh-TW] }");
  assert.equal(ask(policy, call("x", { id: "A800000006" })), "allow");
});

Deno.test("D11: the strongest action of the cascade is taken", () => {
  const policy = directory(
    data(", credential_action: alert_only"),
    "scope: team:t1\ndata: { credential_action: block }",
  );
  assert.equal(ask(policy, call("x", SECRET)), "deny: credential detected");
});

Deno.test("D12: a detector that fails denies, and its message is not repeated", () => {
  const fail = (): never => {
    throw new Error(`cannot scan ${KEY}`);
  };
  for (const scannerFor of [fail, () => ({ scan: fail })]) {
    const policy = compiled({ scannerFor }, "{}");
    const decision = decide(policy, call("x", { key: KEY }), facts());
    assert.equal(
      lineOf(decision),
      "deny: sensitive-data detection unavailable: the detector failed",
    );
    assert.ok(!JSON.stringify(decision).includes(KEY));
  }
});

Deno.test("more findings than can be kept redact the whole text", () => {
  const finding = (at: number) =>
    ({ source: "builtin", kind: "OpenAiKey", offset: at, end: at + 1 }) as const;
  const many = Array.from({ length: 10_000 }, (_, at) => finding(at));
  const policy = compiled({ scannerFor: () => ({ scan: () => many }) }, "{}");
  const decision = decide(policy, call("x", "k".repeat(20_000)), facts());
  assert.equal(decision.redacted, "[REDACTED]");
  assert.equal(decision.findings.length, 10_000);
});

Deno.test("a text that goes past the scanner's bound is redacted whole, or blocked", () => {
  const scannerFor = () => ({
    scan: (): never => {
      throw new ScanLimitError("findings", 10_000);
    },
  });
  const redacting = compiled({ scannerFor }, "{}");
  assert.equal(decide(redacting, call("x", { key: KEY }), facts()).redacted, "[REDACTED]");
  const blocking = compiled({ scannerFor }, "data: { credential_action: block }");
  assert.equal(ask(blocking, call("x")), "deny: credential detected");
});

Deno.test("a pattern that does not compile denies instead of being left out", () => {
  const [document] = directory("data: { sensitive_patterns: [abc] }").documents;
  assert.ok(document?.document.data);
  const data = {
    ...document.document.data,
    sensitive_patterns: [{ value: "[unclosed", line: 1, column: 1 }],
  };
  const policy = compilePolicySet([{ ...document.document, data }]);
  assert.equal(
    ask(policy, call("x")),
    "deny: sensitive-data detection unavailable: the detector failed",
  );
});
