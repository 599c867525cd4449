/**
 * Every bound of approvals in the domain, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const APPROVAL_LIMITS = {
  /** Nesting of a value in canonical JSON. Deeper: the call cannot be bound and is refused. */
  canonical_depth: 64,
  /** How long a grant with the condition `once` waits for its call, in milliseconds; then it expires. */
  grant_ms: 900_000,
  /** Furthest moment an `until` condition may name, in milliseconds from the decision. Further: refused. */
  until_ms: 86_400_000,
  /** Uses of an `until` grant. At it the grant is spent, whatever the time. */
  until_uses: 10_000,
  /** Uses an `exception` may state. More: refused. */
  exception_uses: 1_000,
  /** Approvers a quorum may ask for. More: the routing file is refused. */
  quorum_approvers: 16,
  /** Names in one list of approvers. More: the routing file is refused. */
  approver_names: 256,
  /** Rows of the routing file. More: the file is refused. */
  routing_rows: 10_000,
  /** Length of one name in the routing file or in a forward, in UTF-16 units. Longer: refused. */
  name_chars: 256,
  /** A reason, in UTF-16 units; the rest is cut. */
  reason_chars: 1_024,
  /** Conditions of one decision, blanks aside. More: refused. */
  conditions: 8,
  /** Length of one condition, in UTF-16 units. Longer: refused. */
  condition_chars: 128,
  /** Longest time a request may wait, in milliseconds; a policy that says more gets this. */
  timeout_ms: 7 * 86_400_000,
  /** Forwards of one request. More: refused. */
  forwards: 32,
  /** Escalation of a request whose routing names no timer, in milliseconds, if that is before half its timeout. */
  escalation_default_ms: 1_800_000,
} as const;
