/**
 * Frame tags. The same number means different things in the two directions, so that a reader must
 * be told whose frames it reads (contract `wire` §3.3).
 *
 * @module
 */

/** Who wrote the frames. */
export type Sender = "client" | "runtime";

/** What a client sends. */
export const CLIENT_TAG = {
  /** Body `policy.v1.CheckActionRequest`; answered by exactly one `PolicyResponse`, in order. */
  policy_query: 1,
  /** Body `audit.v1.AuditEvent`; not answered. */
  event_report: 2,
  /** Body `event.v1.ApprovalDecision`; taken and ignored. */
  approval_response: 3,
  /** The tag alone: neither length nor body. */
  heartbeat: 4,
  /** Body `ipc.v1.HandshakeProof`; the first frame of every connection. */
  handshake_proof: 5,
} as const;

/** What the runtime sends. */
export const RUNTIME_TAG = {
  /** Body `policy.v1.CheckActionResponse`. */
  policy_response: 1,
  /** Body `event.v1.ApprovalDecision`; not asked for. */
  approval_decision: 2,
  /** No body, but a length of zero. Defined by the reference and sent by nobody. */
  ack: 3,
  /** Body `audit.v1.PolicyViolation`; not asked for. */
  violation_alert: 4,
  /** Body `ipc.v1.HandshakeChallenge`; the first frame of every connection. */
  handshake_challenge: 5,
} as const;

/**
 * Whether a length and a body follow a tag.
 *
 * @returns `undefined` when the sender has no such tag.
 */
export function hasBody(sender: Sender, tag: number): boolean | undefined {
  if (!(tag >= 1 && tag <= 5)) return undefined;
  return !(sender === "client" && tag === CLIENT_TAG.heartbeat);
}
