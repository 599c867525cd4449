/**
 * `budget`: money limits (contract `policy-and-gateway` §1.5).
 *
 * @module
 */
import type { Budget, NamedLimit } from "../document.ts";
import { parseDuration } from "../duration.ts";
import type { BODY } from "../language.ts";
import type { Located } from "../position.ts";
import type { Problems } from "../problems.ts";
import type { Read, ReadText, ReadValue } from "../read.ts";
import { received } from "../suggest.ts";
import { plain } from "./located.ts";
import { checkTimeZone } from "./schedule.ts";

type Section = Read<typeof BODY.keys.budget>;
type Limits = NonNullable<Section["value"]["limits"]>;
type Limit = Limits["value"] extends ReadonlyMap<string, infer L> ? L : never;

const NANOS_PER_MS = 1_000_000n;

/** The budget of a document. */
export function readBudget(section: Section, problems: Problems): Budget {
  const read = section.value;
  for (const prefix of ["", "team_", "org_", "global_"] as const) {
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
    ...limit("global_daily_limit_micro_usd", read.global_daily_limit_usd),
    ...limit("global_monthly_limit_micro_usd", read.global_monthly_limit_usd),
    ...(read.timezone === undefined ? {} : { timezone: read.timezone.value }),
    action_on_exceed: read.action_on_exceed?.value ?? "deny",
    ...(window_ms === undefined ? {} : { window_ms }),
    ...(read.limits === undefined ? {} : { limits: readLimits(read.limits, problems) }),
    ...(read.assumed_output_tokens === undefined
      ? {}
      : { assumed_output_tokens: read.assumed_output_tokens.value }),
    ...(read.agent_settlement === undefined
      ? {}
      : { agent_settlement: read.agent_settlement.value }),
  };
}

/** The named limits. A map: names such as `__proto__` are names like any other. */
function readLimits(section: Limits, problems: Problems): ReadonlyMap<string, NamedLimit> {
  const limits = new Map<string, NamedLimit>();
  for (const [name, entry] of section.value) limits.set(name, readLimit(entry, problems));
  return limits;
}

function readLimit({ value, path, key_at }: Limit, problems: Problems): NamedLimit {
  const { usd, tokens, calls, wall_seconds, days } = value;
  if ((usd ?? tokens ?? calls ?? wall_seconds) === undefined) {
    problems.error(path, "limits nothing: add `usd`, `tokens`, `calls` or `wall_seconds`", key_at);
  }
  const window = value.window?.value ?? "daily";
  if (window === "rolling" && days === undefined) {
    problems.error(path, "a rolling window needs `days`: add it", key_at);
  }
  if (window !== "rolling" && days !== undefined) {
    problems.error(days.path, "only a window that is `rolling` has `days`: remove it", days);
  }
  return {
    at: key_at,
    per: value.per?.value ?? "agent",
    window,
    ...(days === undefined ? {} : { days: days.value }),
    ...(usd === undefined ? {} : { micro_usd: plain(usd) }),
    ...(tokens === undefined ? {} : { tokens: plain(tokens) }),
    ...(calls === undefined ? {} : { calls: plain(calls) }),
    ...(wall_seconds === undefined
      ? {}
      : { wall_ms: { ...plain(wall_seconds), value: wall_seconds.value * 1_000 } }),
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
