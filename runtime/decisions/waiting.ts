/**
 * Waits on a PENDING answer, for those who can wait in one call (the permission broker); a client of
 * the socket is woken by a frame instead, and asks again.
 *
 * @module
 */
import type { policy } from "../../proto/mod.ts";
import type { Timers } from "../timers.ts";
import type { Approvals } from "./approvals.ts";
import { DECISION_LIMITS } from "./limits.ts";

/** What waiting needs. */
export interface WaitingOptions {
  readonly approvals: Approvals;
  readonly timers: Timers;
  /** Fires when nobody waits any more. */
  readonly until: AbortSignal;
  /** Asks the same question again. */
  readonly again: () => Promise<policy.CheckActionResponse>;
}

/**
 * Resolves with the answer that is no longer PENDING, or with why there will be none. Looks now and
 * then even if nobody tells: a gateway may have no stream of decided approvals.
 */
export async function waitForDecision(
  pending: policy.CheckActionResponse,
  { approvals, timers, until, again }: WaitingOptions,
): Promise<policy.CheckActionResponse | "timed_out" | "given_up"> {
  const { approval_remembered_ms, approval_look_ms } = DECISION_LIMITS;
  const deadline_us = timers.monotonic_us() + approval_remembered_ms * 1_000;
  let response = pending;
  while (response.decision === 3) {
    if (timers.monotonic_us() >= deadline_us) return "timed_out";
    if (until.aborted || response.approvalId === "") return "given_up";
    const { decided, stop } = approvals.waitFor(response.approvalId);
    const looked = new AbortController();
    const look = timers.sleep(approval_look_ms, AbortSignal.any([until, looked.signal]));
    await Promise.race([decided, look]);
    looked.abort();
    stop();
    if (!until.aborted) response = await again();
  }
  return response;
}
