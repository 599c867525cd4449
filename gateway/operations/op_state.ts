/**
 * The life of one operation (contract `policy-and-gateway` §12): Pending → Running →
 * Paused / Completing → Terminated.
 *
 * @module
 */

/** Where an operation stands. */
export type OpState = "pending" | "running" | "paused" | "completing" | "terminated";

/** States, in the order of a life. */
export const OP_STATES: readonly OpState[] = [
  "pending",
  "running",
  "paused",
  "completing",
  "terminated",
];

const NEXT: Readonly<Record<OpState, readonly OpState[]>> = {
  pending: ["running", "terminated"],
  running: ["paused", "completing", "terminated"],
  paused: ["running", "terminated"],
  completing: ["terminated"],
  // Terminating what has ended changes nothing and is no mistake.
  terminated: ["terminated"],
};

/** Whether an operation may go from one state to another. */
export function mayBecome(from: OpState, to: OpState): boolean {
  return NEXT[from].includes(to);
}
