/**
 * A raw event from outside on its way to becoming a row: known keys only, nothing banned
 * (contract `policy-and-gateway` §10.3).
 *
 * @module
 */
import { isBannedKey } from "./never_store.ts";
import { sanitizeMember } from "./sanitize.ts";

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

/** Cleans one raw event from outside: a heartbeat is a sign of life, not a row. */
export function sanitizeEvent(raw: unknown): SanitizedEvent {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    return { kind: "refused", reason: "event is not an object" };
  }
  const members = new Map(Object.entries(raw));
  if (members.get("kind") === "heartbeat") {
    const agent_id = members.get("agent_id");
    return { kind: "last_seen", agent_id: typeof agent_id === "string" ? agent_id : undefined };
  }
  let removed_keys = 0;
  let dropped_keys = 0;
  const kept: [string, unknown][] = [];
  for (const [key, value] of members) {
    if (isBannedKey(key)) {
      removed_keys++;
    } else if (!EVENT_KEYS.has(key)) {
      dropped_keys++;
    } else {
      const clean = sanitizeMember(value);
      removed_keys += clean.removed;
      if ("value" in clean) kept.push([key, clean.value]);
    }
  }
  return { kind: "row", event: Object.fromEntries(kept), dropped_keys, removed_keys };
}
