/**
 * A registration as it was asked for, checked and turned into a record. Pure.
 *
 * @module
 */
import { LIMITS } from "../../core/limits.ts";
import type { RiskTier } from "../../core/principal.ts";
import type { AgentRecord, AgentState, TenancyProof } from "../../storage/sqlite/records.ts";
import type { AgentTriple } from "../identity/keys.ts";
import { ENFORCE } from "./enforcement.ts";
import { RegistryError } from "./failure.ts";
import { REGISTRY_LIMITS } from "./limits.ts";
import type { Placement } from "./lineage.ts";

/** What an agent says about itself. Its key has been proven before. */
export interface Registration extends AgentTriple {
  /** Ed25519 public key, 64 hex. */
  readonly public_key: string;
  readonly name: string;
  readonly framework: string;
  readonly version: string;
  /** Absent when the agent declared none. */
  readonly risk_tier?: RiskTier;
  readonly tool_names: readonly string[];
  /** Kept, never interpreted. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Agent id of the parent, in the same organisation and team. */
  readonly parent_agent_id?: string;
  readonly delegation_reason?: string;
  readonly spawned_by_tool?: string;
}

/**
 * Checks lengths and counts.
 *
 * @throws {RegistryError} `invalid_field`, naming the field and its bound.
 */
export function checkFields(registration: Registration): void {
  checkText("org_id", registration.org_id, LIMITS.identifier_bytes);
  checkText("team_id", registration.team_id, LIMITS.identifier_bytes);
  checkText("agent_id", registration.agent_id, LIMITS.identifier_bytes);
  checkText("parent_agent_id", registration.parent_agent_id ?? "", LIMITS.identifier_bytes);
  for (
    const field of [
      "name",
      "framework",
      "version",
      "delegation_reason",
      "spawned_by_tool",
    ] as const
  ) {
    const text = registration[field] ?? "";
    checkText(field, text, REGISTRY_LIMITS.field_bytes);
    // Null bytes end a text in the store; elsewhere they only hide what follows.
    if (text.includes("\u0000")) throw invalid(field, "holds a null character");
  }
  const { tool_names, metadata } = registration;
  checkCount("tool_names", tool_names.length, REGISTRY_LIMITS.tool_names);
  const entries = Object.entries(metadata);
  checkCount("metadata", entries.length, REGISTRY_LIMITS.metadata_entries);
  const bytes = [...tool_names, ...entries.flat()].reduce((sum, text) => sum + utf8(text), 0);
  if (bytes > REGISTRY_LIMITS.declaration_bytes) {
    throw invalid(
      "metadata",
      `and tool_names are \`${bytes}\` bytes together, at most ` +
        `${REGISTRY_LIMITS.declaration_bytes} are kept`,
    );
  }
}

/**
 * Refuses control characters in organisation and team, which would read differently in a log.
 *
 * @throws {RegistryError} `control_character`.
 */
export function checkTenant({ org_id, team_id }: AgentTriple): void {
  for (const [field, text] of [["org_id", org_id], ["team_id", team_id]] as const) {
    if (!/\p{Cc}/u.test(text)) continue;
    throw new RegistryError(
      "control_character",
      `${field}: holds a control character; send printable text`,
    );
  }
}

/** What the gateway adds to a registration: place, credential, and whose word the tenant is. */
export interface Issued extends Placement {
  readonly key: string;
  readonly token_hash: string;
  readonly token_expires_at_ms?: number;
  /** Enrolment that names organisation and team; absent when the agent said them itself. */
  readonly enrolment_id?: string;
}

/**
 * The record of a new agent. A child of a suspended parent is born suspended: otherwise an agent
 * could escape its suspension by spawning.
 *
 * @param redact Removes credentials from free text (design law 5).
 */
export function recordOf(
  registration: Registration,
  placed: Issued,
  now_ms: number,
  redact: (text: string) => string,
): AgentRecord {
  const { risk_tier, delegation_reason, spawned_by_tool } = registration;
  const parent = placed.parent?.record;
  return {
    key: placed.key,
    org_id: registration.org_id,
    team_id: registration.team_id,
    agent_id: registration.agent_id,
    name: redact(registration.name),
    framework: redact(registration.framework),
    version: redact(registration.version),
    ...(risk_tier === undefined ? {} : { risk_tier }),
    governance_level: 0,
    tool_names: registration.tool_names.map(redact),
    public_key: registration.public_key.toLowerCase(),
    metadata: Object.fromEntries(
      Object.entries(registration.metadata).map(([key, value]) => [redact(key), redact(value)]),
    ),
    registered_at_ms: now_ms,
    ...(parent === undefined ? {} : { parent_key: parent.key }),
    orphaned: false,
    root_key: placed.root_key,
    depth: placed.depth,
    ...(delegation_reason === undefined ? {} : { delegation_reason: redact(delegation_reason) }),
    ...(spawned_by_tool === undefined ? {} : { spawned_by_tool: redact(spawned_by_tool) }),
    state: stateBelow(parent, now_ms),
    // Only ENFORCE is honoured as a claim, and it is the default (contract `wire` §9 #25).
    enforcement: ENFORCE,
    token_hash: placed.token_hash,
    ...(placed.token_expires_at_ms === undefined
      ? {}
      : { token_expires_at_ms: placed.token_expires_at_ms }),
    tenancy: tenancyOf(registration, placed.enrolment_id),
    ...(placed.enrolment_id === undefined ? {} : { enrolment_id: placed.enrolment_id }),
  };
}

function tenancyOf(
  { org_id, team_id }: AgentTriple,
  enrolment_id: string | undefined,
): TenancyProof {
  if (enrolment_id !== undefined) return "enrolled";
  return org_id === "" && team_id === "" ? "none" : "asserted";
}

function stateBelow(parent: AgentRecord | undefined, now_ms: number): AgentState {
  if (parent === undefined || parent.state.status === "active") return { status: "active" };
  const reason = `parent suspended: ${parent.agent_id}`;
  return { status: "suspended", cause: "parent_suspended", reason, since_ms: now_ms };
}

function checkText(field: string, text: string, limit_bytes: number): void {
  const bytes = utf8(text);
  if (bytes > limit_bytes) throw invalid(field, `is \`${bytes}\` bytes, at most ${limit_bytes}`);
}

function checkCount(field: string, count: number, limit: number): void {
  if (count > limit) throw invalid(field, `has \`${count}\` entries, at most ${limit}`);
}

function invalid(field: string, message: string): RegistryError {
  return new RegistryError("invalid_field", `${field}: ${message}`);
}

function utf8(text: string): number {
  return new TextEncoder().encode(text).length;
}
