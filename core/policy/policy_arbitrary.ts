/**
 * Random policies, actions and facts for the laws of this folder: few names, so that rules and
 * requests often meet.
 *
 * @module
 */
import fc from "fast-check";
import { type Action, llmCall } from "../action.ts";
import type { Facts } from "./decide.ts";
import { agent, call, facts, NOON_MS, STRANGER } from "./policy_fixture.ts";

/** Scopes that govern the agent of the fixture, and one that does not. */
export const SCOPES: readonly string[] = [
  "global",
  "org:o1",
  "team:t1",
  "team:other",
  "agent:00000000-0000-0000-0000-0000000000a1",
  "tool:bash",
];

const SECRET = "password=hunter2";

function subset(...values: string[]): fc.Arbitrary<string[]> {
  return fc.subarray(values);
}

const TOOL_RULE = fc.record({
  allow: fc.constantFrom(true, true, true, false),
  limit_per_hour: fc.constantFrom(0, 1, 60),
  requires_approval_if: fc.constantFrom('tool == "bash"', "args.amount > 100", "agent.depth > 3"),
}, { requiredKeys: ["allow"] });

const TOOLS = fc.dictionary(fc.constantFrom("bash", "*", "llm_call", "message"), TOOL_RULE, {
  maxKeys: 3,
});

const SECTIONS = fc.record({
  tools: TOOLS,
  network: fc.record({ allowlist: subset("a.example", "*.a.example", "b.example", "*") }),
  capabilities: fc.record({
    allow: subset(
      "file_read",
      "file_write",
      "file_delete",
      "network_outbound",
      "mcp_tool:bash",
      "terminal_exec",
      "mcp_tool:llm_call",
    ),
    deny: subset("file_read", "file_write", "mcp_tool:bash", "terminal_exec"),
  }, { requiredKeys: [] }),
  filesystem: fc.record({
    read: fc.record({ allow: subset("/a", "/a/b", "/b", "/") }),
    write: fc.record({ allow: subset("/a", "/b/c") }),
  }, { requiredKeys: [] }),
  schedule: fc.record({
    active_hours: fc.constantFrom(
      { start: "09:00", end: "17:00", timezone: "UTC" },
      { start: "13:00", end: "23:00", timezone: "Europe/Berlin" },
      { start: "18:00", end: "19:30", timezone: "Asia/Kathmandu" },
    ),
  }),
  data: fc.record({
    credential_action: fc.constantFrom("block", "redact_only", "alert_only", "alert_and_redact"),
    sensitive_patterns: fc.constant(["password=\\w+"]),
  }),
  budget: fc.record({
    daily_limit_usd: fc.constantFrom(1, 5),
    monthly_limit_usd: fc.constantFrom(10, 50),
    team_daily_limit_usd: fc.constant(7),
    action_on_exceed: fc.constantFrom("deny", "suspend"),
  }, { requiredKeys: [] }),
  approval_timeout_secs: fc.constantFrom(60, 600),
  rate_limits: fc.array(
    fc.oneof(
      fc.record({
        per: fc.constantFrom("agent", "team", "org", "global"),
        tool: fc.constantFrom("bash", "b*", "*"),
        limit: fc.constantFrom(0, 1, 60),
        window: fc.constantFrom("1m", "1h"),
      }),
      fc.record({
        per: fc.constantFrom("agent", "team", "org", "global"),
        action: fc.constantFrom("network_request", "process_exec", "send_message"),
        limit: fc.constantFrom(0, 1, 60),
        window: fc.constantFrom("1m", "1h"),
      }),
    ),
    { maxLength: 2 },
  ),
}, { requiredKeys: [] });

/** A valid policy text; JSON is YAML. */
export function policyText(scopes: readonly string[]): fc.Arbitrary<string> {
  return fc.tuple(fc.constantFrom(...scopes), SECTIONS).map(([scope, sections]) =>
    `scope: ${scope}\n${
      Object.entries(sections).map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join("\n")
    }\n`
  );
}

/** An action that the random policies often speak of. */
export function actionOf(): fc.Arbitrary<Action> {
  return fc.oneof(
    fc.tuple(
      fc.constantFrom("bash", "bash", "ls", "message"),
      fc.constantFrom({}, { amount: 500 }, { note: SECRET }, { amount: 500, note: SECRET }),
    ).map(([tool, args]) => call(tool, args)),
    fc.constant(llmCall("gpt-4o", 100, false)),
    fc.record({
      kind: fc.constant("file_access" as const),
      mode: fc.constantFrom("read" as const, "write" as const, "delete" as const),
      path: fc.constantFrom("/a/x", "/a/b/c", "/b", "/c/../a", "/"),
    }),
    fc.record({
      kind: fc.constant("network_request" as const),
      url: fc.constantFrom(
        "https://a.example/",
        "https://x.a.example:443",
        "https://evil.example?x=.a.example",
        "https://u:p@a.example/",
        "a.example",
      ),
      method: fc.constant("CONNECT"),
    }),
    fc.constant<Action>({ kind: "process_exec", command: "id" }),
    fc.constant<Action>({ kind: "tool_result", tool: "bash", result: SECRET }),
    fc.constant<Action>({ kind: "send_message", channel_id: "ops" }),
  );
}

/** Facts: time of day, status, tokens left, spend known or not. */
export function factsOf(): fc.Arbitrary<Facts> {
  return fc.record({
    hours: fc.integer({ min: 0, max: 47 }),
    status: fc.constantFrom(
      "active" as const,
      "active" as const,
      "active" as const,
      "suspended" as const,
    ),
    stranger: fc.constantFrom(false, false, true),
    tokens: fc.constantFrom(0, 0.5, 1, 60),
    spent_usd: fc.constantFrom(0, 2, 20, undefined),
    depth: fc.constantFrom(undefined, 1, 9),
  }).map(({ hours, status, stranger, tokens, spent_usd, depth }) =>
    facts({
      now_ms: NOON_MS + hours * 3_600_000,
      principal: stranger
        ? { ...STRANGER, status }
        : agent({ status, ...(depth !== undefined && { context: { depth } }) }),
      rateTokens: (charge) => Math.min(tokens, charge.limit),
      spend: spent_usd === undefined ? { state: "unavailable" } : {
        state: "known",
        agent_daily_micro_usd: spent_usd * 1_000_000,
        agent_monthly_micro_usd: spent_usd * 1_000_000,
      },
    })
  );
}
