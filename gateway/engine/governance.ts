/**
 * Audit entries for what operators and the gateway itself do (event `GovernanceMutation`).
 *
 * @module
 */
import type { EntryDraft } from "../../core/audit/entry.ts";
import type { Clock } from "../clock.ts";

/** Keys of a governance payload; values are JSON, absent ones become null. */
export type GovernanceFacts = Readonly<Record<string, unknown>>;

/**
 * One entry about the gateway or an operator's act. The payload has `actor` (`gateway` unless
 * given) and `action`, keys in alphabetical order.
 *
 * @param action What happened, e.g. `policy_reload_applied`.
 * @param facts Further payload keys. No secrets.
 * @param clock Server clock.
 */
export function governanceEntry(action: string, facts: GovernanceFacts, clock: Clock): EntryDraft {
  const payload: Record<string, unknown> = { actor: "gateway", ...facts, action };
  const sorted = Object.keys(payload).sort().map((key) => [key, payload[key] ?? null]);
  return {
    event_type: "GovernanceMutation",
    timestamp_ns: clock.now_ns(),
    agent_id: new Uint8Array(16),
    session_id: new Uint8Array(16),
    payload: JSON.stringify(Object.fromEntries(sorted)),
  };
}
