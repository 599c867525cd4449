/**
 * What may never be stored is taken out before the write, wherever it hides
 * (contract `policy-and-gateway` §10.3, §13.4 #51).
 *
 * @module
 */
/** Keys whose values never reach the log, compared without case, at any depth. */
export const BANNED_KEYS: ReadonlySet<string> = new Set([
  "prompt",
  "completion",
  "llm_input",
  "llm_output",
  "tool_payload",
  "tool_response",
  "tool_args",
  "tool_result",
  "packet_body",
  "packet_payload",
  "heartbeat_seq",
]);

/** Top-level keys of a raw event that become a row; all others are dropped and counted. */
export const EVENT_KEYS: ReadonlySet<string> = new Set([
  "event_id",
  "ts",
  "timestamp",
  "agent_id",
  "team_id",
  "org_id",
  "session_id",
  "kind",
  "event_type",
  "action",
  "decision",
  "dry_run",
  "shadow_decision",
  "matched_rule_id",
  "policy_version",
  "payload",
]);

/** Key under which a payload names what was left out of it. */
export const OMITTED_KEY = "audit_omitted";
/** Payload of which nothing could be kept. */
export const PAYLOAD_OMITTED = JSON.stringify({ [OMITTED_KEY]: ["payload"] });
const DEPTH_MAX = 64;
const NESTED_TEXT_DEPTH_MAX = 8;
/** A payload longer than this is replaced unread. */
const PAYLOAD_CHARS_MAX = 1_048_576;

// A text without any of these cannot hold a banned key: no such word, no escape that could spell
// one, no letter outside ASCII that folds into one.
const SUSPECT =
  // deno-lint-ignore no-control-regex -- the class is "outside ASCII"
  /prompt|completion|llm_|tool_(?:p|r|args)|packet_|heartbeat_seq|\\u|[^\x00-\x7f]/i;
const BANNED_MEMBER = new RegExp(`["'\\\\](?:${[...BANNED_KEYS].join("|")})["'\\\\]+\\s*:`, "i");

/** A payload with nothing in it that may not be stored. */
export interface SanitizedPayload {
  readonly payload: string;
  /** Members removed, at every depth. */
  readonly removed: number;
}

interface Tally {
  removed: number;
}

/**
 * Removes banned members from a payload text, also from texts inside it that are JSON themselves.
 * A text that cannot be parsed but names a banned member cannot be cleaned, so it is left out whole.
 *
 * @returns The same string when it was clean.
 */
export function sanitizePayload(payload: string): SanitizedPayload {
  if (payload.length > PAYLOAD_CHARS_MAX) {
    return { payload: PAYLOAD_OMITTED, removed: 1 };
  }
  if (!SUSPECT.test(payload)) return { payload, removed: 0 };
  const tally: Tally = { removed: 0 };
  const cleaned = sanitizeText(payload, tally, 0);
  if (tally.removed === 0) return { payload, removed: 0 };
  return {
    payload: cleaned ?? PAYLOAD_OMITTED,
    removed: tally.removed,
  };
}

/** A text after cleaning; `undefined` when it must be left out. */
function sanitizeText(text: string, tally: Tally, nesting: number): string | undefined {
  if (!SUSPECT.test(text)) return text;
  const parsed = /^\s*[[{"]/.test(text) ? parseJson(text) : undefined;
  if (parsed === undefined) {
    if (!BANNED_MEMBER.test(text)) return text;
    tally.removed++;
    return undefined;
  }
  if (nesting >= NESTED_TEXT_DEPTH_MAX) {
    tally.removed++;
    return undefined;
  }
  const before = tally.removed;
  const value = sanitizeValue(parsed.value, tally, 0, nesting);
  return tally.removed === before ? text : JSON.stringify(value);
}

const DROPPED = Symbol("dropped");

function sanitizeValue(value: unknown, tally: Tally, depth: number, nesting: number): unknown {
  if (typeof value === "string") {
    const text = sanitizeText(value, tally, nesting + 1);
    return text === undefined ? DROPPED : text;
  }
  if (typeof value !== "object" || value === null || isRawNumber(value)) return value;
  if (depth >= DEPTH_MAX) {
    tally.removed++;
    return DROPPED;
  }
  if (Array.isArray(value)) {
    return value.map((item) => sanitizeValue(item, tally, depth + 1, nesting))
      .filter((item) => item !== DROPPED);
  }
  const kept: [string, unknown][] = [];
  for (const [key, member] of Object.entries(value)) {
    if (isBannedKey(key)) {
      tally.removed++;
      continue;
    }
    const clean = sanitizeValue(member, tally, depth + 1, nesting);
    if (clean !== DROPPED) kept.push([key, clean]);
  }
  return Object.fromEntries(kept);
}

/** Whether a member name may not be stored. */
export function isBannedKey(key: string): boolean {
  return BANNED_KEYS.has(key.normalize("NFKC").trim().toLowerCase());
}

interface RawJson {
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
}
// ECMAScript's JSON source text access; TypeScript's library does not list it yet.
const raw_json = JSON as unknown as RawJson;

function isRawNumber(value: unknown): boolean {
  return raw_json.isRawJSON(value);
}

/** Parses with numbers kept digit for digit, so that cleaning one member changes no other. */
export function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text, keepDigits) };
  } catch {
    return undefined;
  }
}

function keepDigits(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || context?.source === undefined) return value;
  return String(value) === context.source ? value : raw_json.rawJSON(context.source);
}

/** What a raw event becomes. */
export type SanitizedEvent =
  | {
    readonly kind: "row";
    readonly event: Readonly<Record<string, unknown>>;
    /** Top-level keys dropped because they are not in {@linkcode EVENT_KEYS}. */
    readonly dropped_keys: number;
    /** Banned members removed, at every depth. */
    readonly removed_keys: number;
  }
  | { readonly kind: "last_seen"; readonly agent_id: string | undefined }
  | { readonly kind: "refused"; readonly reason: string };

/** Cleans one raw event from outside (§10.3): a heartbeat is a sign of life, not a row. */
export function sanitizeEvent(raw: unknown): SanitizedEvent {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    return { kind: "refused", reason: "event is not an object" };
  }
  const members = new Map(Object.entries(raw));
  if (members.get("kind") === "heartbeat") {
    const agent_id = members.get("agent_id");
    return { kind: "last_seen", agent_id: typeof agent_id === "string" ? agent_id : undefined };
  }
  const tally: Tally = { removed: 0 };
  let dropped_keys = 0;
  const kept: [string, unknown][] = [];
  for (const [key, value] of members) {
    if (isBannedKey(key)) {
      tally.removed++;
    } else if (!EVENT_KEYS.has(key)) {
      dropped_keys++;
    } else {
      const clean = sanitizeValue(value, tally, 0, 0);
      if (clean !== DROPPED) kept.push([key, clean]);
    }
  }
  return {
    kind: "row",
    event: Object.fromEntries(kept),
    dropped_keys,
    removed_keys: tally.removed,
  };
}
