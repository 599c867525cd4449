/**
 * Generated records for the tests of this folder.
 *
 * @module
 */
import fc from "fast-check";
import type { AgentRecord, AgentState, Enforcement } from "./records.ts";
import { SUSPENSION_CAUSES } from "./records.ts";

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });
const text = () =>
  fc.string({ unit: "binary", maxLength: 40 }).map((value) => value.replaceAll("\u0000", "\u0001"));
const time = () => fc.integer({ min: 0, max: 4_102_444_800_000 });

const state = (): fc.Arbitrary<AgentState> =>
  fc.oneof(
    fc.constant<AgentState>({ status: "active" }),
    fc.record({
      status: fc.constant("suspended" as const),
      cause: fc.constantFrom(...SUSPENSION_CAUSES),
      reason: text(),
      since_ms: time(),
    }),
  );

const enforcement = (): fc.Arbitrary<Enforcement> =>
  fc.oneof(
    fc.constant<Enforcement>({ mode: "enforce" }),
    fc.record({ mode: fc.constant("observe" as const), expires_at_ms: time(), reason: text() }),
  );

/** Any agent that may be stored. */
export function anyAgent(): fc.Arbitrary<AgentRecord> {
  const always = {
    key: hex(32),
    org_id: text(),
    team_id: text(),
    agent_id: text(),
    name: text(),
    framework: text(),
    version: text(),
    governance_level: fc.constantFrom(0, 1, 2, 3),
    tool_names: fc.array(text(), { maxLength: 4 }),
    public_key: hex(64),
    metadata: fc.dictionary(text().filter((key) => key !== "__proto__"), text(), { maxKeys: 4 }),
    registered_at_ms: time(),
    orphaned: fc.boolean(),
    root_key: hex(32),
    depth: fc.constant(0),
    state: state(),
    enforcement: enforcement(),
    token_hash: hex(64),
    tenancy: fc.constantFrom("none", "asserted"),
  };
  const optional = {
    risk_tier: fc.constantFrom("low", "medium", "high", "critical"),
    last_heartbeat_ms: time(),
    parent_key: hex(32),
    delegation_reason: text(),
    spawned_by_tool: text(),
    token_expires_at_ms: time(),
  };
  return fc.record({ ...always, ...optional }, {
    requiredKeys: Object.keys(always) as (keyof typeof always)[],
  }).map((agent) => structuredClone(agent)) as fc.Arbitrary<AgentRecord>;
}

/** One plain agent; `index` makes its unique values unique. */
export function agentNumber(index: number, change: Partial<AgentRecord> = {}): AgentRecord {
  const key = index.toString(16).padStart(32, "0");
  return {
    key,
    org_id: "acme",
    team_id: "ops",
    agent_id: `did:key:z${index}`,
    name: `agent ${index}`,
    framework: "langgraph",
    version: "1.2.3",
    governance_level: 0,
    tool_names: ["search"],
    public_key: key + key,
    metadata: { env: "staging" },
    registered_at_ms: 1_700_000_000_000,
    orphaned: false,
    root_key: key,
    depth: 0,
    state: { status: "active" },
    enforcement: { mode: "enforce" },
    token_hash: "f".repeat(32) + key,
    tenancy: "asserted",
    ...change,
  };
}
