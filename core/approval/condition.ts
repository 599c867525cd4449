/**
 * What an approver may attach to a yes. A condition is enforced or refused, never only written down
 * (contract `policy-and-gateway` §13.3 #47).
 *
 * | Text | The same bytes may run |
 * |---|---|
 * | `once` (nothing said means this) | one time, within `APPROVAL_LIMITS.grant_ms` |
 * | `until <time>` | any number of times up to `APPROVAL_LIMITS.until_uses`, before that time |
 * | `exception <uses> until <time>` | that many times, before that time |
 *
 * Times are RFC 3339 with a zone.
 *
 * @module
 */
import { APPROVAL_LIMITS } from "./limits.ts";

/** How often and how long a grant may be used. */
export interface GrantTerms {
  /** One of the three forms, canonical; never blank. */
  readonly condition: string;
  /** At least 1. */
  readonly max_uses: number;
  /** Milliseconds since the epoch; the grant is void from then on. */
  readonly valid_until_ms: number;
}

/** Terms, or what is wrong with the text. */
export type ReadTerms =
  | { readonly ok: true; readonly terms: GrantTerms }
  | { readonly ok: false; readonly message: string };

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/;
const EXPECTED =
  "expected `once`, `until 2026-01-31T09:00:00Z` or `exception 5 until 2026-01-31T09:00:00Z`";

/**
 * Reads the conditions of one decision; blanks are dropped, several that say the same are one.
 *
 * @param texts As the approver gave them.
 * @param now_ms The moment of the decision.
 */
export function readConditions(texts: readonly string[], now_ms: number): ReadTerms {
  const given = [...new Set(texts.map((text) => text.trim()).filter((text) => text !== ""))];
  if (texts.length > APPROVAL_LIMITS.conditions) {
    return refused(`${texts.length} are given, at most ${APPROVAL_LIMITS.conditions}`);
  }
  const [text = "once", another] = given;
  if (another !== undefined) {
    return refused(`\`${short(text)}\` and \`${short(another)}\` are given together: give one`);
  }
  if (text.length > APPROVAL_LIMITS.condition_chars) {
    return refused(`one is longer than ${APPROVAL_LIMITS.condition_chars} characters`);
  }
  const words = text.split(/\s+/);
  const [form, ...rest] = words;
  if (form === "once" && rest.length === 0) return { ok: true, terms: onceFrom(now_ms) };
  if (form === "until" && rest.length === 1) {
    return timeBoxed("until", APPROVAL_LIMITS.until_uses, rest[0] ?? "", now_ms);
  }
  if (form === "exception" && rest.length === 3 && rest[1] === "until") {
    const uses = /^\d{1,6}$/.test(rest[0] ?? "") ? Number(rest[0]) : NaN;
    if (!(uses >= 1 && uses <= APPROVAL_LIMITS.exception_uses)) {
      return refused(
        `\`${short(text)}\`: uses must be 1 to ${APPROVAL_LIMITS.exception_uses}`,
      );
    }
    return timeBoxed(`exception ${uses} until`, uses, rest[2] ?? "", now_ms);
  }
  return refused(`\`${short(text)}\` cannot be enforced: ${EXPECTED}`);
}

/** The terms of a plain yes. */
export function onceFrom(now_ms: number): GrantTerms {
  return { condition: "once", max_uses: 1, valid_until_ms: now_ms + APPROVAL_LIMITS.grant_ms };
}

/** The terms several approvers agree on: the least of each. */
export function strictest(all: readonly GrantTerms[], now_ms: number): GrantTerms {
  const [first, ...rest] = all;
  if (first === undefined) return onceFrom(now_ms);
  return rest.reduce((least, terms) => {
    const max_uses = Math.min(least.max_uses, terms.max_uses);
    const valid_until_ms = Math.min(least.valid_until_ms, terms.valid_until_ms);
    const condition = [least, terms].find((one) =>
      one.max_uses === max_uses && one.valid_until_ms === valid_until_ms
    )?.condition ?? `exception ${max_uses} until ${new Date(valid_until_ms).toISOString()}`;
    return { condition, max_uses, valid_until_ms };
  }, first);
}

function timeBoxed(words: string, max_uses: number, time: string, now_ms: number): ReadTerms {
  const until_ms = TIME.test(time) ? Date.parse(time) : NaN;
  if (Number.isNaN(until_ms)) return refused(`\`${short(time)}\` is not a time: ${EXPECTED}`);
  if (until_ms <= now_ms) return refused(`\`${short(time)}\` is not in the future`);
  if (until_ms > now_ms + APPROVAL_LIMITS.until_ms) {
    const hours = APPROVAL_LIMITS.until_ms / 3_600_000;
    return refused(`\`${short(time)}\` is more than ${hours} hours ahead: name a nearer time`);
  }
  const condition = `${words} ${new Date(until_ms).toISOString()}`;
  return { ok: true, terms: { condition, max_uses, valid_until_ms: until_ms } };
}

function refused(what: string): ReadTerms {
  return { ok: false, message: `conditions: ${what}` };
}

function short(text: string): string {
  return text.slice(0, 64);
}
