/**
 * Durations as people write them: `24h`, `1h 30m`, `500ms` (the humantime notation).
 *
 * @module
 */

const NANOS: ReadonlyMap<string, bigint> = new Map(
  ([
    [["nsec", "ns"], 1n],
    [["usec", "us", "µs"], 1_000n],
    [["msec", "ms"], 1_000_000n],
    [["seconds", "second", "secs", "sec", "s"], 1_000_000_000n],
    [["minutes", "minute", "mins", "min", "m"], 60_000_000_000n],
    [["hours", "hour", "hrs", "hr", "h"], 3_600_000_000_000n],
    [["days", "day", "d"], 86_400_000_000_000n],
    [["weeks", "week", "wks", "wk", "w"], 604_800_000_000_000n],
    // 30.44 and 365.25 days, the notation's own definitions.
    [["months", "month", "M"], 2_630_016_000_000_000n],
    [["years", "year", "yrs", "yr", "y"], 31_557_600_000_000_000n],
  ] as const).flatMap(([units, nanos]) => units.map((unit) => [unit, nanos] as const)),
);

/** Digits accepted in one number: more cannot be a duration anyone means. */
const DIGITS_MAX = 20;

/**
 * Reads a duration.
 *
 * @returns Nanoseconds, or `undefined` when the text is not a duration.
 */
export function parseDuration(text: string): bigint | undefined {
  const trimmed = text.trim();
  if (trimmed === "0") return 0n;
  const part = /(\d+)\s*([A-Za-zµ]+)\s*/y;
  let total = 0n;
  let at = 0;
  while (at < trimmed.length) {
    part.lastIndex = at;
    const match = part.exec(trimmed);
    if (match === null) return undefined;
    const [whole, digits = "", unit = ""] = match;
    const nanos = NANOS.get(unit);
    if (nanos === undefined || digits.length > DIGITS_MAX) return undefined;
    total += BigInt(digits) * nanos;
    at += whole.length;
  }
  return at === 0 ? undefined : total;
}

/** Whole seconds of a duration, rounded down; `undefined` when it is none or not countable. */
export function parseDurationSecs(text: string): number | undefined {
  const nanos = parseDuration(text);
  if (nanos === undefined) return undefined;
  const seconds = Number(nanos / 1_000_000_000n);
  return Number.isSafeInteger(seconds) ? seconds : undefined;
}
