/**
 * Colours by meaning. Without colours every function returns its text unchanged.
 *
 * @module
 */

/** What a colour says. */
export type Tone = "good" | "bad" | "caution" | "quiet" | "strong";

const CODES: Readonly<Record<Tone, readonly [open: number, close: number]>> = {
  good: [32, 39],
  bad: [31, 39],
  caution: [33, 39],
  quiet: [2, 22],
  strong: [1, 22],
};

/** Paints printable text in a tone. */
export type Paint = (tone: Tone | undefined, text: string) => string;

/** The painter for a terminal. */
export function painter(colors: boolean): Paint {
  if (!colors) return (_tone, text) => text;
  return (tone, text) => {
    if (tone === undefined) return text;
    const [open, close] = CODES[tone];
    return `\u001b[${open}m${text}\u001b[${close}m`;
  };
}

const TONES: Readonly<Record<string, Tone>> = {
  allow: "good",
  active: "good",
  enforced: "good",
  enforcing: "good",
  durable: "good",
  deny: "bad",
  suspended: "bad",
  deregistered: "bad",
  stale: "caution",
  failed: "bad",
  critical: "bad",
  warning: "caution",
  unconfigured: "bad",
  degraded: "caution",
  permissive: "caution",
  unavailable: "caution",
  not_built: "quiet",
  redact: "caution",
  pending: "caution",
  approved: "good",
  rejected: "bad",
  expired: "bad",
  revoked: "bad",
};

/** The tone of a state or verdict word; plain when the word says neither good nor bad. */
export function toneOf(word: string): Tone | undefined {
  return Object.hasOwn(TONES, word) ? TONES[word] : undefined;
}
