/**
 * Every bound of the SDK in one place. `docs/limits.md` lists them with what happens at each.
 *
 * @module
 */

/** Named limits of the SDK; units are the last word of each name. */
export const SDK_LIMITS = {
  /** One act's arguments or a tool's answer as JSON, UTF-16 units. Longer: refused before it is asked. */
  act_text_chars: 1_000_000,
  /** Nesting of one act's arguments. Deeper: refused before it is asked. */
  act_depth: 100,
  /** Time for one answer, in milliseconds, unless an option says otherwise. At it: no answer, so a denial. */
  answer_timeout_ms: 5_000,
  /** Wait for a person's word, in milliseconds, unless an option says otherwise. At it: a denial. */
  approval_timeout_ms: 300_000,
  /** Longest wait for a person's word an option may ask for, in milliseconds. More: a configuration error. */
  approval_timeout_max_ms: 86_400_000,
  /** Text of a reason, rule or change that an error repeats, UTF-16 units. The rest is left out. */
  error_text_chars: 512,
  /** Changes that one refusal lists. Further ones are left out. */
  changes_listed: 5,
  /** Acts that wait for an answer at once. More: refused with `overloaded`. */
  acts_in_flight: 4_096,
  /** Causes of one thrown error that are judged with it. More: only its judged message is shown. */
  thrown_parts: 16,
  /** Properties and causes of one thrown error as JSON, UTF-16 units. More: only its judged message is shown. */
  thrown_chars: 100_000,
  /** Redirects one governed `fetch` follows, each asked about. More: an error. */
  fetch_redirects: 20,
} as const;
