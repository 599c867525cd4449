/**
 * What a client says of its own version, against what it signed (contract `interception` §1.6).
 *
 * @module
 */

/** Verdict on a client's identity; the word is the metric's and the record's. */
export type SdkVerdict = "missing" | "forged" | "downgraded" | "unverifiable" | "ok";

/** What is known of one event's client. */
export interface SdkClaim {
  /** Version the event says; absent when it says none. */
  readonly claimed: string | undefined;
  /** Version signed in the handshake; absent when none was. */
  readonly verified: string | undefined;
  /** Lowest version that is accepted; absent when any is. */
  readonly minimum?: string;
}

/**
 * The verdict, in the contract's order. A client that says no version in its event but signed one in
 * the handshake is known by what it signed: the reference's client never sets the label, and every
 * event of it would be suspect otherwise (trap R8).
 */
export function sdkVerdict({ claimed, verified, minimum }: SdkClaim): SdkVerdict {
  const observed = claimed ?? verified;
  if (observed === undefined) return "missing";
  if (verified !== undefined && versionOf(observed) !== versionOf(verified)) return "forged";
  if (minimum !== undefined) {
    const order = compareVersions(observed, minimum);
    if (order === undefined || order < 0) return "downgraded";
  }
  return verified === undefined ? "unverifiable" : "ok";
}

/** Whether an event with this verdict, or with these forged marks, is told as tampering. */
export function isTamperSuspected(verdict: SdkVerdict, forged_trust_markers: number): boolean {
  return forged_trust_markers > 0 || verdict === "missing" || verdict === "downgraded" ||
    verdict === "forged";
}

/**
 * Compares dotted numbers; missing parts are 0, build words after `+` do not count.
 *
 * @returns `undefined` when a part is no number.
 */
export function compareVersions(a: string, b: string): number | undefined {
  const left = partsOf(a);
  const right = partsOf(b);
  if (left === undefined || right === undefined) return undefined;
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/** Without build words: what a client can do is said there, not which version it is. */
function versionOf(text: string): string {
  return text.split("+", 1)[0] ?? "";
}

function partsOf(version: string): number[] | undefined {
  const parts = versionOf(version).split(".");
  if (!parts.every((part) => /^\d{1,9}$/.test(part))) return undefined;
  return parts.map(Number);
}
