import assert from "node:assert/strict";
import fc from "fast-check";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { LIMITS } from "../core/limits.ts";
import { understandHost } from "../core/policy/network.ts";
import { RISK_TIERS } from "../core/principal.ts";
import { EXPLAINED_STAGES, type Explanation } from "../core/verdict.ts";
import {
  actionFromWire,
  decisionWord,
  enforcementModeFromWire,
  enforcementModeToWire,
  explanationFromWire,
  explanationToWire,
  identifierProblem,
  riskTierFromWire,
  riskTierToWire,
  verdictOf,
} from "./mapping.ts";
import { admin, common, policy } from "./mod.ts";

type Arm = MessageInitShape<typeof policy.ActionContextSchema>["action"];

function map(action: Arm): ReturnType<typeof actionFromWire> {
  return actionFromWire(
    create(policy.ActionContextSchema, action === undefined ? {} : { action }),
  );
}

function mapped(action: Arm): unknown {
  const result = map(action);
  assert(result.ok, JSON.stringify(result));
  return result.action;
}

function urlFor(protocol: string, host: string, port: number): string {
  const action = mapped({ case: "networkCall", value: { protocol, host, port } });
  return (action as { url: string }).url;
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("a request without context, or with an arm nobody set, names the missing field", () => {
  assert.deepEqual(actionFromWire(undefined), {
    ok: false,
    field: "context",
    message: "is missing: say what is about to happen",
  });
  const unset = map(undefined);
  assert.equal(unset.ok, false);
  assert.equal(!unset.ok && unset.field, "context.action");
});

Deno.test("a tool call keeps its name and the text of its arguments, and drops the sender's hints", () => {
  assert.deepEqual(
    mapped({
      case: "toolCall",
      value: {
        toolName: "search",
        toolSource: "mcp",
        argsJson: bytes('{"q": "é"}'),
        targetUrl: "https://x.example",
      },
    }),
    { kind: "tool_call", tool: "search", args: '{"q": "é"}' },
  );
});

Deno.test("arguments that are not UTF-8 are read lossily, so that they are still scanned", () => {
  const argsJson = new Uint8Array([0xef, 0xbb, 0xbf, 0x41, 0xff, 0x42]);
  assert.deepEqual(mapped({ case: "toolCall", value: { toolName: "t", argsJson } }), {
    kind: "tool_call",
    tool: "t",
    args: "\ufeffA\ufffdB",
  });
  assert.deepEqual(
    mapped({ case: "toolResult", value: { toolName: "t", resultJson: argsJson } }),
    { kind: "tool_result", tool: "t", result: "\ufeffA\ufffdB" },
  );
});

Deno.test("a model call is a call of the tool llm_call with three facts, and carries its price key", () => {
  assert.deepEqual(
    mapped({
      case: "llmCall",
      value: { model: 'gpt "x"', promptTokens: -5, containsPii: true },
    }),
    {
      kind: "tool_call",
      tool: "llm_call",
      args: '{"model":"gpt \\"x\\"","prompt_tokens":-5,"contains_pii":true}',
      llm: { model: 'gpt "x"', prompt_tokens: -5 },
    },
  );
});

Deno.test("the five file operations are understood, create is a write, any other is refused by name", () => {
  const modes = ["read", "write", "create", "append", "delete"].map((operation) => {
    const action = mapped({ case: "fileOp", value: { operation, path: "/a b" } });
    return (action as { mode: string }).mode;
  });
  assert.deepEqual(modes, ["read", "write", "write", "append", "delete"]);
  for (const operation of ["", "READ", "read ", "chmod", "constructor"]) {
    const result = map({ case: "fileOp", value: { operation, path: "/" } });
    assert.equal(result.ok, false, operation);
    assert.equal(!result.ok && result.field, "context.file_op.operation");
    assert.match(result.ok ? "" : result.message, /^unknown file operation: expected read, write/);
  }
});

Deno.test("a refused value is shown bounded and without control characters", () => {
  const operation = `\u001b[31m\n${"x".repeat(10_000)}`;
  const result = map({ case: "fileOp", value: { operation, path: "/" } });
  assert(!result.ok);
  assert(result.message.length < 250);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(result.message, /[\u0000-\u001f]/);
});

Deno.test("a program and its arguments are joined by single spaces, unquoted", () => {
  assert.deepEqual(
    mapped({ case: "processExec", value: { command: "sh", args: ["-c", "a  b", ""] } }),
    { kind: "process_exec", command: "sh -c a  b " },
  );
});

Deno.test("a connection becomes protocol://host:port with method CONNECT", () => {
  assert.deepEqual(
    mapped({
      case: "networkCall",
      value: { protocol: "https", host: "api.example.com", port: 443, inAllowlist: true },
    }),
    { kind: "network_request", url: "https://api.example.com:443", method: "CONNECT" },
  );
});

Deno.test("a bare IPv6 host gets its brackets, so that address and port stay apart", () => {
  assert.equal(urlFor("https", "2001:db8::1", 443), "https://[2001:db8::1]:443");
  assert.equal(urlFor("https", "[::1]", 443), "https://[::1]:443");
  assert.deepEqual(understandHost(urlFor("https", "::1", 443)), {
    kind: "host",
    host: "::1",
    is_address: true,
  });
  assert.equal(understandHost(urlFor("https", "1.2.3.4:80:90", 443)).kind, "invalid");
});

Deno.test("no protocol or host text moves the place where the host is read", () => {
  for (
    const [protocol, host] of [
      ["https://good.example/", "evil.example"],
      ["https://good.example?", "evil.example"],
      ["x://good.example#", "evil.example"],
      ["https", "good.example/"],
      ["https", "good.example/.evil.example"],
      ["https", "good.example?.evil.example"],
      ["https", "good.example#.evil.example"],
      ["https", "user@good.example"],
      ["https", "evil.example\\@good.example"],
      ["https", "good.example:80"],
      ["https", "good.example:443/"],
      ["https", "good.example evil.example"],
      ["https", "good.example\t"],
      ["https", "good.example\u0000"],
      ["https", ""],
      ["", "good.example"],
    ] as const
  ) {
    const url = urlFor(protocol, host, 443);
    assert.equal(understandHost(url).kind, "invalid", `${protocol} ${host} -> ${url}`);
  }
});

Deno.test("whatever the host text, a host is only read from it when it is that host", () => {
  const piece = fc.constantFrom(
    "good.example",
    "evil.example",
    "/",
    "?",
    "#",
    "@",
    ":",
    "\\",
    "://",
    "[",
    "]",
    "%2f",
    ".",
    " ",
    "1.2.3.4",
    "::1",
  );
  const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(text, text, (protocol, host) => {
      const understood = understandHost(urlFor(protocol, host, 443));
      if (understood.kind !== "host") return;
      const bare = host.replace(/^\[|\]$/g, "").replace(/\.$/, "");
      // `::11.2.3.4` and `::b02:304` are one address (RFC 5952).
      const expected = bare.includes(":")
        ? new URL(`http://[${bare}]/`).hostname.replace(/^\[|\]$/g, "")
        : bare;
      assert.equal(understood.host.replace(/\.$/, ""), expected);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("an identifier over the bound is named, one at the bound passes", () => {
  const most = "é".repeat(LIMITS.identifier_bytes / 2);
  const request = (agentId: string) => ({ agentId: { orgId: "o", teamId: "t", agentId } });
  const schema = policy.CheckActionRequestSchema;
  assert.equal(identifierProblem(create(schema, request(most))), undefined);
  assert.equal(identifierProblem(create(schema, request(`${most}x`)))?.field, "agent_id.agent_id");
  assert.equal(identifierProblem(create(schema, { traceId: `${most}x` }))?.field, "trace_id");
  assert.equal(identifierProblem(create(schema, { spanId: `${most}x` }))?.field, "span_id");
  assert.equal(
    identifierProblem(create(schema, { callerAgentId: { teamId: `${most}x` } }))?.field,
    "caller_agent_id.team_id",
  );
  assert.equal(identifierProblem(create(schema, {})), undefined);
});

Deno.test("an unknown or absent wire decision is the verdict deny", () => {
  const verdicts = [0, 1, 2, 3, 4, 5, -1].map((decision) => verdictOf(decision, false));
  assert.deepEqual(verdicts, ["deny", "allow", "deny", "pending", "scrub", "deny", "deny"]);
  assert.deepEqual([1, 2, 4, 9].map((decision) => verdictOf(decision, true)), [
    "narrow",
    "deny",
    "scrub",
    "deny",
  ]);
  assert.deepEqual([0, 1, 2, 3, 4, 5].map(decisionWord), [
    "unspecified",
    "allow",
    "deny",
    "pending",
    "redact",
    undefined,
  ]);
});

Deno.test("tiers and modes survive the wire; unspecified and unknown numbers are no value", () => {
  for (const tier of RISK_TIERS) assert.equal(riskTierFromWire(riskTierToWire(tier)), tier);
  assert.deepEqual(RISK_TIERS.map(riskTierToWire), [1, 2, 3, 4]);
  for (const mode of ["enforce", "observe", "disabled"] as const) {
    assert.equal(enforcementModeFromWire(enforcementModeToWire(mode)), mode);
  }
  for (const number of [0, 5, -1, 99]) {
    assert.equal(riskTierFromWire(number), undefined);
    assert.equal(enforcementModeFromWire(number), undefined);
  }
  assert.equal(riskTierToWire(undefined), common.RiskTier.RISK_UNSPECIFIED);
  assert.equal(enforcementModeToWire(undefined), 0);
});

const rule = fc.record({
  file: fc.string(),
  line: fc.nat(),
  column: fc.nat(),
  path: fc.string(),
  policy_doc_id: fc.string(),
});
const text = fc.string({ unit: "grapheme" });
const explanation = fc.record({
  outcome: fc.constantFrom("allow", "deny", "require_approval", "redact"),
  reason: text,
  summary: text,
  rule,
  considered: fc.array(
    fc.record({
      stage: fc.constantFrom(...EXPLAINED_STAGES),
      result: fc.constantFrom("pass", "deny", "require_approval", "redact", "not_applicable"),
      detail: text,
      rule,
    }, { requiredKeys: ["stage", "result", "detail"] }),
  ),
  changes: fc.array(
    fc.record({ text, who: text, yaml: fc.string({ minLength: 1 }), rule }, {
      requiredKeys: ["text", "who"],
    }),
  ),
}, { requiredKeys: ["outcome", "reason", "summary", "considered", "changes"] });

Deno.test("an explanation survives the wire whole", () => {
  fc.assert(
    fc.property(explanation, (original) => {
      const sent = toBinary(
        admin.ExplanationSchema,
        explanationToWire(original as Explanation),
      );
      const returned = explanationFromWire(fromBinary(admin.ExplanationSchema, sent));
      assert(returned.ok);
      // Generated records have no prototype; the comparison is of their content.
      assert.deepEqual(structuredClone(returned.explanation), structuredClone(original));
    }),
  );
});

Deno.test("an explanation with a word this version does not know is refused by field", () => {
  const read = (init: MessageInitShape<typeof admin.ExplanationSchema>) =>
    explanationFromWire(create(admin.ExplanationSchema, init));
  const fields = [
    read({ outcome: "maybe" }),
    read({ outcome: "deny", considered: [{ stage: "mood", result: "pass" }] }),
    read({
      outcome: "deny",
      considered: [{ stage: "tool", result: "pass" }, { stage: "tool", result: "" }],
    }),
  ].map((result) => result.ok ? "" : result.field);
  assert.deepEqual(fields, ["outcome", "considered[0].stage", "considered[1].result"]);
});
