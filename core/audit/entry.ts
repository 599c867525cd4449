/**
 * One audit entry: what it holds, which values are legal, and how long each may be
 * (contract `wire` §5.1, §5.2).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { LIMITS } from "../limits.ts";

/** Event type names; the index is the number that is hashed. Append-only (wire §5.1). */
export const EVENT_TYPES = [
  "ToolCallIntercepted",
  "PolicyViolation",
  "CredentialLeakBlocked",
  "ApprovalRequested",
  "ApprovalGranted",
  "ApprovalDenied",
  "BudgetLimitApproached",
  "BudgetLimitExceeded",
  "ApprovalTimedOut",
  "ApprovalRouted",
  "ApprovalEscalated",
  "AgentForceDeregistered",
  "MessageBlocked",
  "ToolDispatched",
  "A2ACallIntercepted",
  "A2AImpersonationAttempted",
  "SandboxStarted",
  "SandboxFilesystemBlocked",
  "SandboxCpuTimeout",
  "SandboxOomKilled",
  "SandboxTerminated",
  "SandboxHostFnRateLimited",
  "GovernanceMutation",
] as const;

/** One event type name. */
export type EventType = (typeof EVENT_TYPES)[number];

const EVENT_NUMBERS: ReadonlyMap<string, number> = new Map(
  EVENT_TYPES.map((name, number) => [name, number]),
);

/** Bytes of an agent or session id. */
export const ID_BYTES = 16;
/** Bytes of an entry hash. */
export const HASH_BYTES = 32;
const U64_MAX = (1n << 64n) - 1n;
const U32_MAX = 0xffff_ffff;

/** Where a credential was found; never the credential itself. */
export interface CredentialFinding {
  readonly kind: string;
  /** Byte offset in the scanned text, unsigned 64-bit. */
  readonly offset: bigint | number;
  /** Label that replaced it, `[REDACTED:<Kind>]`. */
  readonly matched: string;
}

/** What a caller wants recorded. An absent key and an empty value are different (wire §5.3). */
export interface EntryDraft {
  event_type: EventType;
  /** Nanoseconds since the Unix epoch, unsigned 64-bit. */
  timestamp_ns: bigint;
  /** 16 bytes; zeros when unattributed. */
  agent_id: Uint8Array;
  /** 16 bytes. */
  session_id: Uint8Array;
  /** JSON text. */
  payload: string;
  root_agent_id?: Uint8Array;
  parent_agent_id?: Uint8Array;
  team_id?: string;
  org_id?: string;
  delegation_reason?: string;
  spawned_by_tool?: string;
  depth?: number;
  credential_findings?: readonly CredentialFinding[];
  redacted_payload?: string;
  policy_doc_id?: string;
}

/** A recorded entry: a draft with its place in the chain. */
export interface AuditEntry extends EntryDraft {
  seq: bigint;
  /** 32 bytes; zeros for the first entry. */
  previous_hash: Uint8Array;
  /** 32 bytes. */
  entry_hash: Uint8Array;
}

/** A value that cannot be part of an audit entry. */
export class AuditEntryError extends Error {
  override readonly name = "AuditEntryError";
  /** @param field The entry's field. @param reason What is wrong with it, and what was expected. */
  constructor(readonly field: string, reason: string) {
    super(`cannot record audit entry: field \`${field}\` ${reason}`);
  }
}

/** Number of an event type; `undefined` for a name the contract does not know. */
export function eventTypeNumber(name: string): number | undefined {
  return EVENT_NUMBERS.get(name);
}

/** Narrows a text to an event type name. */
export function isEventType(name: string): name is EventType {
  return EVENT_NUMBERS.has(name);
}

const GROUPS: Readonly<Record<string, readonly EventType[]>> = {
  violation: [
    "PolicyViolation",
    "CredentialLeakBlocked",
    "MessageBlocked",
    "A2AImpersonationAttempted",
    "SandboxFilesystemBlocked",
  ],
  approval: [
    "ApprovalRequested",
    "ApprovalGranted",
    "ApprovalDenied",
    "ApprovalTimedOut",
    "ApprovalRouted",
    "ApprovalEscalated",
  ],
  budget: ["BudgetLimitApproached", "BudgetLimitExceeded"],
};

/**
 * Event types meant by a filter word: a type name, or a group `violation`, `approval`, `budget`
 * (policy-and-gateway §10.2).
 *
 * @returns `undefined` when the word is neither.
 */
export function eventTypesOf(word: string): readonly EventType[] | undefined {
  if (isEventType(word)) return [word];
  return Object.hasOwn(GROUPS, word) ? GROUPS[word] : undefined;
}

/** First 16 bytes of SHA-256 over the UTF-8 text: the audit form of an id (wire §6.1). */
export function hash16(text: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(text, "utf8").digest().subarray(0, ID_BYTES));
}

/**
 * Checks a draft and returns one that can be recorded: texts are well-formed Unicode (a lone
 * surrogate has no UTF-8 form), absent keys stay absent.
 *
 * Size of payload, redacted payload and findings is not judged here: see `prepare.ts`.
 *
 * @throws {AuditEntryError} Naming the first field that cannot be recorded.
 */
export function checkDraft(draft: EntryDraft): EntryDraft {
  if (!isEventType(draft.event_type)) {
    throw new AuditEntryError(
      "event_type",
      `is \`${draft.event_type}\`, expected a known event type`,
    );
  }
  checkU64("timestamp_ns", draft.timestamp_ns);
  checkId("agent_id", draft.agent_id);
  checkId("session_id", draft.session_id);
  if (typeof draft.payload !== "string") throw new AuditEntryError("payload", "is not a text");
  const checked: EntryDraft = {
    event_type: draft.event_type,
    timestamp_ns: draft.timestamp_ns,
    agent_id: draft.agent_id,
    session_id: draft.session_id,
    payload: draft.payload.isWellFormed() ? draft.payload : draft.payload.toWellFormed(),
  };
  for (const field of ["root_agent_id", "parent_agent_id"] as const) {
    const value = draft[field];
    if (value === undefined) continue;
    checkId(field, value);
    checked[field] = value;
  }
  for (const field of IDENTIFIER_FIELDS) {
    const value = draft[field];
    if (value !== undefined) checked[field] = checkIdentifier(field, value);
  }
  if (draft.depth !== undefined) {
    if (!Number.isInteger(draft.depth) || draft.depth < 0 || draft.depth > U32_MAX) {
      throw new AuditEntryError(
        "depth",
        `is \`${draft.depth}\`, expected an unsigned 32-bit integer`,
      );
    }
    checked.depth = draft.depth;
  }
  const findings = draft.credential_findings;
  if (findings !== undefined && findings.length > 0) {
    checked.credential_findings = findings.map(checkFinding);
  }
  if (draft.redacted_payload !== undefined) {
    checked.redacted_payload = draft.redacted_payload.toWellFormed();
  }
  return checked;
}

const IDENTIFIER_FIELDS = [
  "team_id",
  "org_id",
  "delegation_reason",
  "spawned_by_tool",
  "policy_doc_id",
] as const;

function checkIdentifier(field: string, value: unknown): string {
  if (typeof value !== "string") throw new AuditEntryError(field, "is not a text");
  // UTF-8 is at least as long as UTF-16 in units, so the cheap test decides most cases.
  if (
    value.length > LIMITS.identifier_bytes ||
    (value.length * 3 > LIMITS.identifier_bytes &&
      utf8Length(value) > LIMITS.identifier_bytes)
  ) {
    throw new AuditEntryError(
      field,
      `is longer than ${LIMITS.identifier_bytes} bytes: shorten it where it is registered`,
    );
  }
  return value.isWellFormed() ? value : value.toWellFormed();
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

function checkFinding(finding: CredentialFinding): CredentialFinding {
  const offset = typeof finding.offset === "number" && Number.isSafeInteger(finding.offset)
    ? BigInt(finding.offset)
    : finding.offset;
  checkU64("credential_findings.offset", offset);
  return {
    kind: String(finding.kind).toWellFormed(),
    offset,
    matched: String(finding.matched).toWellFormed(),
  };
}

function checkU64(field: string, value: unknown): void {
  if (typeof value !== "bigint" || value < 0n || value > U64_MAX) {
    throw new AuditEntryError(field, `is \`${value}\`, expected an unsigned 64-bit integer`);
  }
}

function checkId(field: string, value: unknown): void {
  if (!(value instanceof Uint8Array) || value.length !== ID_BYTES) {
    const found = value instanceof Uint8Array ? `${value.length} bytes` : typeof value;
    throw new AuditEntryError(field, `is ${found}, expected ${ID_BYTES} bytes`);
  }
}
