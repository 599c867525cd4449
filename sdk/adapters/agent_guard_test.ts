import { Decision } from "@agent-assembly/proto/common";
import { create } from "@bufbuild/protobuf";
import {
  type CheckActionRequest,
  CheckActionResponseSchema,
  RedactInstructionsSchema,
} from "@agent-assembly/proto/policy";
import assert from "node:assert/strict";
import type { CheckClient } from "../check_client.ts";
import { CredentialLeakBlockedError, InvalidActError, PolicyViolationError } from "../errors.ts";
import { governWith } from "../govern.ts";
import { guardOf } from "./agent_guard.ts";
import type { Guard } from "./guard.ts";

const KEY = "AKIAIOSFODNN7EXAMPLE";
const LABEL = "[REDACTED:AwsAccessKey]";

/** A guard whose gateway gives one answer until it is asked about a redacted text, and what it was shown. */
function guarded(
  first: Decision,
  { kinds = [], meanwhile }: { kinds?: readonly string[]; meanwhile?: () => void } = {},
): { guard: Guard; shown: string[] } {
  const shown: string[] = [];
  const client: CheckClient = {
    transport: "test",
    check_capable: true,
    check(question) {
      shown.push(textOf(question));
      meanwhile?.();
      const again = first === Decision.REDACT && shown.at(-1)?.includes("[REDACTED");
      const decision = again ? Decision.ALLOW : first;
      const rules = kinds.map((kind) => ({ fieldPath: kind, replacement: "[REDACTED]" }));
      const redact = create(RedactInstructionsSchema, { rules });
      const reason = "tool denied by policy";
      return Promise.resolve({
        response: create(CheckActionResponseSchema, { decision, reason, redact }),
      });
    },
    settle: () => Promise.reject(new Error("nothing waits")),
    report: () => Promise.resolve(),
    flush: () => Promise.resolve(true),
    heartbeat: () => Promise.resolve(undefined),
    close: () => Promise.resolve(),
  };
  return { guard: guardOf(governWith({ agent: { agent_id: "agent" }, client })), shown };
}

function textOf({ context }: CheckActionRequest): string {
  const action = context?.action;
  const bytes = action?.case === "toolCall"
    ? action.value.argsJson
    : action?.case === "toolResult"
    ? action.value.resultJson
    : new TextEncoder().encode(JSON.stringify(action?.value));
  return new TextDecoder().decode(bytes);
}

Deno.test("an allowed call gets its own arguments back, whatever they are", async () => {
  const { guard, shown } = guarded(Decision.ALLOW);
  const plain = { text: "a", rest: undefined, list: [1, null] };
  assert.equal(await guard.beforeTool({ tool: "note", args: plain }), plain);
  const made = {
    at: new Date(0),
    tags: new Set(["x"]),
    by: new Map([["k", 1n]]),
    to: new URL("https://example.com/a"),
    bytes: new TextEncoder().encode("hello"),
  };
  assert.equal(await guard.beforeTool({ tool: "note", args: made }), made);
  assert.deepEqual(JSON.parse(shown[1] ?? ""), {
    at: "1970-01-01T00:00:00.000Z",
    tags: ["x"],
    by: [["k", "1"]],
    to: "https://example.com/a",
    bytes: "aGVsbG8=",
  });
});

Deno.test("redacted arguments are a copy with labels; the original is left alone", async () => {
  const { guard } = guarded(Decision.REDACT, { kinds: ["$.AwsAccessKey"] });
  const args = { text: `use ${KEY}`, tags: ["a"] };
  const allowed = await guard.beforeTool({ tool: "note", args });
  assert.deepEqual(allowed, { text: `use ${LABEL}`, tags: ["a"] });
  assert.equal(args.text, `use ${KEY}`);
});

Deno.test("a secret in arguments that are no plain data refuses the call", async () => {
  const { guard, shown } = guarded(Decision.REDACT, { kinds: ["$.AwsAccessKey"] });
  const args = { env: new Map([["key", KEY]]) };
  await assert.rejects(guard.beforeTool({ tool: "note", args }), CredentialLeakBlockedError);
  assert.ok(shown[0]?.includes(KEY), "the policy was shown what is in the map");
});

Deno.test("arguments that change while the answer is waited for are not what runs", async () => {
  const args = { path: "notes.txt" };
  const { guard } = guarded(Decision.ALLOW, { meanwhile: () => args.path = "/etc/passwd" });
  assert.deepEqual(await guard.beforeTool({ tool: "read", args }), { path: "notes.txt" });
});

Deno.test("a result that is no plain data is redacted as what the model would read of it", async () => {
  const { guard, shown } = guarded(Decision.REDACT, { kinds: ["$.AwsAccessKey"] });
  class Settings {
    readonly service = "till";
    readonly #key = KEY;
    toJSON(): unknown {
      return { key: this.#key };
    }
  }
  const result = await guard.afterTool({ tool: "read", result: new Settings() });
  assert.deepEqual(result, { service: "till", toJSON: { key: LABEL } });
  assert.ok(shown[0]?.includes(KEY));
});

Deno.test("a result that is withheld whole is not mistaken for one that was allowed", async () => {
  const { guard } = guarded(Decision.REDACT, { kinds: ["$"] });
  assert.equal(await guard.afterTool({ tool: "read", result: "many secrets" }), "[REDACTED]");
});

Deno.test("what cannot be judged does not happen: functions, circles, too much", async () => {
  const { guard, shown } = guarded(Decision.ALLOW);
  const circle: Record<string, unknown> = {};
  Object.assign(circle, { self: circle, again: circle });
  const cases = [{ run: () => {} }, circle, { bytes: new Uint8Array(2_000_000) }];
  for (const args of cases) {
    await assert.rejects(guard.beforeTool({ tool: "note", args }), InvalidActError);
    await assert.rejects(guard.afterTool({ tool: "note", result: args }), InvalidActError);
  }
  assert.deepEqual(shown, []);
  assert.equal(await guard.afterTool({ tool: "note", result: undefined }), undefined);
});

Deno.test("a refused call and a refused model reject with the SDK's own errors", async () => {
  const { guard, shown } = guarded(Decision.DENY);
  await assert.rejects(guard.beforeTool({ tool: "drop", args: {} }), PolicyViolationError);
  const call = { model: "demo-model", prompt_tokens: 12 };
  await assert.rejects(guard.beforeModel(call), PolicyViolationError);
  assert.match(shown[1] ?? "", /"model":"demo-model","promptTokens":12/);
});

Deno.test("whoever gives a call up ends the waiting", async () => {
  const { guard } = guarded(Decision.ALLOW);
  const signal = AbortSignal.abort(new Error("never mind"));
  await assert.rejects(guard.beforeTool({ tool: "note", args: {}, signal }), /never mind/);
});
