/**
 * `budget`: money limits (contract `policy-and-gateway` §1.5).
 *
 * @module
 */
import type { Budget } from "../document.ts";
import { parseDuration } from "../duration.ts";
import type { BODY } from "../language.ts";
import type { Located } from "../position.ts";
import type { Problems } from "../problems.ts";
import type { Read, ReadText, ReadValue } from "../read.ts";
import { received } from "../suggest.ts";
import { checkTimeZone } from "./schedule.ts";

type Section = Read<typeof BODY.keys.budget>;

const NANOS_PER_MS = 1_000_000n;

/** The budget of a document. */
export function readBudget(section: Section, problems: Problems): Budget {
  const read = section.value;
  for (const prefix of ["", "team_", "org_"] as const) {
    const daily = read[`${prefix}daily_limit_usd`];
    const monthly = read[`${prefix}monthly_limit_usd`];
    if (daily === undefined || monthly === undefined || monthly.value >= daily.value) continue;
    problems.error(
      monthly.path,
      `must be >= ${prefix}daily_limit_usd, received \`${dollars(monthly)}\` below \`${
        dollars(daily)
      }\``,
      monthly,
    );
  }
  if (read.timezone !== undefined) checkTimeZone(read.timezone, problems);
  const window_ms = read.window === undefined ? undefined : readWindow(read.window, problems);
  return {
    at: section.key_at,
    ...limit("daily_limit_micro_usd", read.daily_limit_usd),
    ...limit("monthly_limit_micro_usd", read.monthly_limit_usd),
    ...limit("team_daily_limit_micro_usd", read.team_daily_limit_usd),
    ...limit("team_monthly_limit_micro_usd", read.team_monthly_limit_usd),
    ...limit("org_daily_limit_micro_usd", read.org_daily_limit_usd),
    ...limit("org_monthly_limit_micro_usd", read.org_monthly_limit_usd),
    ...(read.timezone === undefined ? {} : { timezone: read.timezone.value }),
    action_on_exceed: read.action_on_exceed?.value ?? "deny",
    ...(window_ms === undefined ? {} : { window_ms }),
  };
}

function limit<K extends string>(
  key: K,
  amount: ReadValue<number> | undefined,
): { readonly [P in K]?: Located<number> } {
  if (amount === undefined) return {};
  const { value, line, column } = amount;
  return { [key]: { value, line, column } } as { readonly [P in K]?: Located<number> };
}

/** Milliseconds of a window, rounded up so that a shorter one is not none; a problem if it is none. */
export function readWindow(text: ReadText, problems: Problems): number | undefined {
  const nanos = parseDuration(text.value);
  if (nanos === undefined) {
    problems.error(
      text.path,
      `not a valid humantime duration, received ${received(text.value)}: ` +
        "write for example `1h`, `30m` or `500ms`",
      text,
    );
    return undefined;
  }
  const window_ms = (nanos + NANOS_PER_MS - 1n) / NANOS_PER_MS;
  if (window_ms > 0n && window_ms <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(window_ms);
  problems.error(
    text.path,
    window_ms > 0n
      ? `too long a duration, received ${received(text.value)}`
      : `must be a positive duration, received ${received(text.value)}`,
    text,
  );
  return undefined;
}

function dollars(amount: Located<number>): string {
  return String(amount.value / 1_000_000);
}
