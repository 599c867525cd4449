/**
 * Records as rows and back. What comes back is checked: a row that breaks its shape is damage, and
 * is refused by name instead of being guessed at.
 *
 * @module
 */
import type { SQLInputValue, SQLOutputValue } from "node:sqlite";
import { StoreError } from "./failure.ts";
import { SQLITE_LIMITS } from "./limits.ts";
import type { Mutation } from "./records.ts";
import {
  type AgentRecord,
  type AgentState,
  type Enforcement,
  OPERATOR_ROLES,
  type OperatorRecord,
  type StoredRecord,
  SUSPENSION_CAUSES,
  TENANCY_PROOFS,
} from "./records.ts";

/** Parameters of a prepared statement, by column. */
export type Parameters = Record<string, SQLInputValue>;

/** One row as the driver gives it. */
export type Row = Record<string, SQLOutputValue>;

/** Columns of `agents`, in the order of the schema. */
export const AGENT_COLUMNS: readonly string[] = [
  "key",
  "org_id",
  "team_id",
  "agent_id",
  "name",
  "framework",
  "version",
  "risk_tier",
  "governance_level",
  "tool_names",
  "public_key",
  "metadata",
  "registered_at_ms",
  "last_heartbeat_ms",
  "parent_key",
  "orphaned",
  "root_key",
  "depth",
  "delegation_reason",
  "spawned_by_tool",
  "status",
  "status_cause",
  "status_reason",
  "status_since_ms",
  "enforcement_mode",
  "enforcement_expires_at_ms",
  "enforcement_reason",
  "token_hash",
  "token_expires_at_ms",
  "tenancy",
  "enrolment_id",
];

/** Columns of `operators`, in the order of the schema. */
export const OPERATOR_COLUMNS: readonly string[] = [
  "name",
  "role",
  "org_id",
  "team_id",
  "status",
  "expires_at_ms",
  "token_hash",
  "created_at_ms",
  "created_by",
];

/**
 * Refuses text that would not come back as it went in: SQLite's text ends at the first U+0000, so
 * two different names could become one, and a lone surrogate becomes U+FFFD.
 *
 * @throws {StoreError} `constraint`, naming the field.
 */
export function refuseLossyText(mutation: Mutation): void {
  if (mutation.kind === "put_record" && mutation.value.length > SQLITE_LIMITS.record_chars) {
    throw new StoreError(
      "constraint",
      `cannot store record \`${mutation.key}\` of \`${mutation.collection}\`: ` +
        `\`${mutation.value.length}\` characters, at most \`${SQLITE_LIMITS.record_chars}\``,
    );
  }
  const fields = mutation.kind === "put_agent"
    ? agentParameters(mutation.agent)
    : mutation.kind === "put_operator"
    ? operatorParameters(mutation.operator)
    : mutation;
  for (const [field, value] of Object.entries(fields)) {
    if (typeof value !== "string" || (value.isWellFormed() && !value.includes("\u0000"))) continue;
    throw new StoreError(
      "constraint",
      `cannot store \`${field}\`: it holds a null character or half a surrogate pair, which the ` +
        `database would not give back; remove it`,
    );
  }
}

/** The row of an agent. */
export function agentParameters(agent: AgentRecord): Parameters {
  const { state, enforcement } = agent;
  const observing = enforcement.mode === "observe" ? enforcement : undefined;
  return {
    key: agent.key,
    org_id: agent.org_id,
    team_id: agent.team_id,
    agent_id: agent.agent_id,
    name: agent.name,
    framework: agent.framework,
    version: agent.version,
    risk_tier: agent.risk_tier ?? null,
    governance_level: agent.governance_level,
    tool_names: JSON.stringify(agent.tool_names),
    public_key: agent.public_key,
    metadata: JSON.stringify(agent.metadata),
    registered_at_ms: agent.registered_at_ms,
    last_heartbeat_ms: agent.last_heartbeat_ms ?? null,
    parent_key: agent.parent_key ?? null,
    orphaned: agent.orphaned ? 1 : 0,
    root_key: agent.root_key,
    depth: agent.depth,
    delegation_reason: agent.delegation_reason ?? null,
    spawned_by_tool: agent.spawned_by_tool ?? null,
    status: state.status,
    status_cause: state.status === "suspended" ? state.cause : null,
    status_reason: state.status === "active" ? null : state.reason,
    status_since_ms: state.status === "active" ? null : state.since_ms,
    enforcement_mode: enforcement.mode,
    enforcement_expires_at_ms: observing?.expires_at_ms ?? null,
    enforcement_reason: observing?.reason ?? null,
    token_hash: agent.token_hash ?? null,
    token_expires_at_ms: agent.token_expires_at_ms ?? null,
    tenancy: agent.tenancy,
    enrolment_id: agent.enrolment_id ?? null,
  };
}

/**
 * The agent of a row.
 *
 * @throws {StoreError} `corrupt`, naming the column and the agent's key.
 */
export function agentOf(row: Row): AgentRecord {
  const read = new RowReader("agents", row);
  const last_heartbeat_ms = read.optionalInteger("last_heartbeat_ms");
  const risk_tier = read.optionalOneOf("risk_tier", ["low", "medium", "high", "critical"]);
  const parent_key = read.optionalText("parent_key");
  const delegation_reason = read.optionalText("delegation_reason");
  const spawned_by_tool = read.optionalText("spawned_by_tool");
  const token_hash = read.optionalText("token_hash");
  const token_expires_at_ms = read.optionalInteger("token_expires_at_ms");
  const enrolment_id = read.optionalText("enrolment_id");
  return {
    key: read.text("key"),
    org_id: read.text("org_id"),
    team_id: read.text("team_id"),
    agent_id: read.text("agent_id"),
    name: read.text("name"),
    framework: read.text("framework"),
    version: read.text("version"),
    ...(risk_tier === undefined ? {} : { risk_tier }),
    governance_level: read.oneOf("governance_level", [0, 1, 2, 3]),
    tool_names: read.json("tool_names", isTextList),
    public_key: read.text("public_key"),
    metadata: read.json("metadata", isTextMap),
    registered_at_ms: read.integer("registered_at_ms"),
    ...(last_heartbeat_ms === undefined ? {} : { last_heartbeat_ms }),
    ...(parent_key === undefined ? {} : { parent_key }),
    orphaned: read.oneOf("orphaned", [0, 1]) === 1,
    root_key: read.text("root_key"),
    depth: read.integer("depth"),
    ...(delegation_reason === undefined ? {} : { delegation_reason }),
    ...(spawned_by_tool === undefined ? {} : { spawned_by_tool }),
    state: stateOf(read),
    enforcement: enforcementOf(read),
    ...(token_hash === undefined ? {} : { token_hash }),
    ...(token_expires_at_ms === undefined ? {} : { token_expires_at_ms }),
    tenancy: read.oneOf("tenancy", TENANCY_PROOFS),
    ...(enrolment_id === undefined ? {} : { enrolment_id }),
  };
}

/**
 * The record of a row.
 *
 * @throws {StoreError} `corrupt`, naming the column.
 */
export function recordOf(row: Row): StoredRecord {
  const read = new RowReader("records", row);
  return { key: read.text("key"), value: read.text("value") };
}

/**
 * The operator of a row.
 *
 * @throws {StoreError} `corrupt`, naming the column.
 */
export function operatorOf(row: Row): OperatorRecord {
  const read = new RowReader("operators", row);
  const org_id = read.optionalText("org_id");
  const team_id = read.optionalText("team_id");
  const expires_at_ms = read.optionalInteger("expires_at_ms");
  return {
    name: read.text("name"),
    role: read.oneOf("role", OPERATOR_ROLES),
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
    status: read.oneOf("status", ["active", "revoked"]),
    ...(expires_at_ms === undefined ? {} : { expires_at_ms }),
    token_hash: read.text("token_hash"),
    created_at_ms: read.integer("created_at_ms"),
    created_by: read.text("created_by"),
  };
}

/** The row of an operator. */
export function operatorParameters(operator: OperatorRecord): Parameters {
  return {
    name: operator.name,
    role: operator.role,
    org_id: operator.org_id ?? null,
    team_id: operator.team_id ?? null,
    status: operator.status,
    expires_at_ms: operator.expires_at_ms ?? null,
    token_hash: operator.token_hash,
    created_at_ms: operator.created_at_ms,
    created_by: operator.created_by,
  };
}

function stateOf(read: RowReader): AgentState {
  const status = read.oneOf("status", ["active", "suspended", "deregistered"]);
  if (status === "active") return { status };
  const reason = read.text("status_reason");
  const since_ms = read.integer("status_since_ms");
  if (status === "deregistered") return { status, reason, since_ms };
  return { status, cause: read.oneOf("status_cause", SUSPENSION_CAUSES), reason, since_ms };
}

function enforcementOf(read: RowReader): Enforcement {
  const mode = read.oneOf("enforcement_mode", ["enforce", "observe"]);
  if (mode === "enforce") return { mode };
  return {
    mode,
    expires_at_ms: read.integer("enforcement_expires_at_ms"),
    reason: read.text("enforcement_reason"),
  };
}

class RowReader {
  readonly #table: string;
  readonly #row: Row;

  constructor(table: string, row: Row) {
    this.#table = table;
    this.#row = row;
  }

  text(column: string): string {
    return this.optionalText(column) ?? this.#damaged(column, "text");
  }

  optionalText(column: string): string | undefined {
    const value = this.#row[column];
    if (value === null) return undefined;
    return typeof value === "string" ? value : this.#damaged(column, "text");
  }

  integer(column: string): number {
    return this.optionalInteger(column) ?? this.#damaged(column, "an integer");
  }

  optionalInteger(column: string): number | undefined {
    const value = this.#row[column];
    if (value === null) return undefined;
    if (typeof value === "number" && Number.isSafeInteger(value)) return value;
    return this.#damaged(column, "an integer");
  }

  oneOf<T extends string | number>(column: string, allowed: readonly T[]): T {
    return this.optionalOneOf(column, allowed) ?? this.#damaged(column, allowed.join(", "));
  }

  optionalOneOf<T extends string | number>(column: string, allowed: readonly T[]): T | undefined {
    const value = this.#row[column];
    if (value === null) return undefined;
    return allowed.find((item) => item === value) ?? this.#damaged(column, allowed.join(", "));
  }

  json<T>(column: string, isShape: (value: unknown) => value is T): T {
    const text = this.text(column);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return this.#damaged(column, "JSON");
    }
    return isShape(value) ? value : this.#damaged(column, "JSON of texts");
  }

  #damaged(column: string, expected: string): never {
    const key = String(this.#row["key"] ?? this.#row["name"]);
    throw new StoreError(
      "corrupt",
      `cannot read row \`${key}\` of \`${this.#table}\`: column \`${column}\` is not ` +
        `${expected}; restore a backup or correct the row`,
    );
  }
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isTextMap(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every((item) => typeof item === "string");
}
