/**
 * The value types of the command line: addresses, files, times, numbers.
 *
 * @module
 */
import { type Message, message, text as plain } from "@optique/core/message";
import { isNonEmptyString } from "@optique/core/nonempty";
import type { ValueParser } from "@optique/core/valueparser";

/** Where the gateway listens. `text` is the address as given. */
export type GatewayAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly text: string }
  | { readonly kind: "unix"; readonly path: string; readonly text: string };

interface ValueDescription<T> {
  readonly metavar: string;
  readonly placeholder: T;
  readonly format: (value: T) => string;
  /** The value, or what was expected instead. */
  readonly read: (input: string) => { readonly value: T } | { readonly expected: Message };
  readonly completes?: "file" | "directory" | "any" | readonly string[];
}

function value<T>(description: ValueDescription<T>): ValueParser<"sync", T> {
  const { metavar, placeholder, format, read, completes } = description;
  if (!isNonEmptyString(metavar)) throw new TypeError("a value needs a name in help texts");
  return {
    mode: "sync",
    metavar,
    placeholder,
    format,
    parse(input) {
      const result = read(input);
      if ("value" in result) return { success: true, value: result.value };
      return { success: false, error: message`expected ${result.expected}, received ${input}` };
    },
    *suggest(prefix: string) {
      if (typeof completes === "string") yield { kind: "file", type: completes, pattern: prefix };
      for (const text of typeof completes === "object" ? completes : []) {
        if (text.startsWith(prefix)) yield { kind: "literal", text };
      }
    },
  };
}

/** One of a few words. */
export function oneOf<const W extends string>(
  metavar: string,
  words: readonly [W, ...W[]],
): ValueParser<"sync", W> {
  const parser = value<W>({
    metavar,
    placeholder: words[0],
    format: (word) => word,
    completes: words,
    read(given) {
      const word = words.find((candidate) => candidate === given);
      return word === undefined
        ? { expected: [plain(`one of ${words.join(", ")}`)] }
        : { value: word };
    },
  });
  return { ...parser, choices: words };
}

/** The runtime's permission lists separate paths by commas and cannot quote one. */
function isGrantable(path: string): boolean {
  return path !== "" && !/[,\0]/.test(path);
}

const HOST_PORT = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/;

/** `HOST:PORT`, `[V6]:PORT` or `unix:/path`. */
export function gatewayAddress(): ValueParser<"sync", GatewayAddress> {
  return value<GatewayAddress>({
    metavar: "ADDRESS",
    placeholder: { kind: "tcp", host: "127.0.0.1", port: 50051, text: "127.0.0.1:50051" },
    format: (address) => address.text,
    read(text) {
      if (text.startsWith("unix:")) {
        const path = text.slice("unix:".length);
        if (isGrantable(path)) return { value: { kind: "unix", path, text } };
        return { expected: message`a path without comma after unix:` };
      }
      const match = HOST_PORT.exec(text);
      const port = Number(match?.[2]);
      if (match?.[1] === undefined || port < 1 || port > 65_535) {
        return { expected: message`HOST:PORT or unix:/path` };
      }
      return { value: { kind: "tcp", host: match[1].replace(/^\[|\]$/g, ""), port, text } };
    },
  });
}

/** A path of a file or directory; completed by the shell. */
export function path(
  metavar: string,
  completes: "file" | "directory" | "any" = "file",
): ValueParser<"sync", string> {
  return value({
    metavar,
    placeholder: ".",
    format: (text) => text,
    completes,
    read: (text) =>
      isGrantable(text) ? { value: text } : { expected: message`a path without comma` },
  });
}

/** Any text, even an empty one. */
export function text(metavar: string): ValueParser<"sync", string> {
  return value({
    metavar,
    placeholder: "text",
    format: (given) => given,
    read: (given) => ({ value: given }),
  });
}

/** A text that says something. */
export function name(metavar: string): ValueParser<"sync", string> {
  return value({
    metavar,
    placeholder: "name",
    format: (given) => given,
    read: (given) =>
      given.trim() === "" ? { expected: message`a text that is not blank` } : { value: given },
  });
}

/** JSON text, kept as written. */
export function json(metavar: string): ValueParser<"sync", string> {
  return value({
    metavar,
    placeholder: "{}",
    format: (given) => given,
    read(given) {
      try {
        JSON.parse(given);
        return { value: given };
      } catch {
        return { expected: message`JSON such as ${'{"path": "/tmp"}'}` };
      }
    },
  });
}

/** A whole number within bounds. */
export function integer(metavar: string, min: number, max: number): ValueParser<"sync", number> {
  return value({
    metavar,
    placeholder: min,
    format: String,
    read(given) {
      const number = /^-?\d{1,15}$/.test(given) ? Number(given) : NaN;
      if (number >= min && number <= max) return { value: number };
      return { expected: [plain(`a whole number from ${min} to ${max}`)] };
    },
  });
}

const U64_MAX = 2n ** 64n - 1n;

/** The index of an audit entry. */
export function entryIndex(): ValueParser<"sync", bigint> {
  return value({
    metavar: "INDEX",
    placeholder: 0n,
    format: String,
    read(given) {
      const index = /^\d{1,20}$/.test(given) ? BigInt(given) : -1n;
      if (index >= 0n && index <= U64_MAX) return { value: index };
      return { expected: message`the index of an entry, counted from 0` };
    },
  });
}

const DATE_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/;

/**
 * The epoch milliseconds of an ISO 8601 date (its start, UTC) or of a time with its zone;
 * `undefined` when the text is neither. A time without a zone would mean another moment elsewhere.
 */
export function isoTimeMs(text: string): number | undefined {
  if (!DATE_TIME.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A length of time such as `90s`, `30m`, `12h`, `7d`, in milliseconds; at most ten years. */
export function duration(metavar = "LENGTH"): ValueParser<"sync", number> {
  return value({
    metavar,
    placeholder: 60_000,
    format: (ms) => `${Math.round(ms / 1_000)}s`,
    read(given) {
      const match = /^([1-9]\d{0,8})([smhd])$/.exec(given);
      const ms = Number(match?.[1]) * (UNITS_MS[match?.[2] ?? ""] ?? NaN);
      if (ms <= 3_653 * 86_400_000) return { value: ms };
      return { expected: message`a length of time such as ${"30m"}, ${"12h"} or ${"7d"}` };
    },
  });
}

/** A date or time, as epoch milliseconds. */
export function time(metavar = "TIME"): ValueParser<"sync", number> {
  return value({
    metavar,
    placeholder: 0,
    format: (ms) => new Date(ms).toISOString(),
    read(given) {
      const ms = isoTimeMs(given);
      if (ms !== undefined) return { value: ms };
      return {
        expected:
          message`a date such as ${"2026-01-31"} or a time with its zone such as ${"2026-01-31T09:00:00Z"}`,
      };
    },
  });
}

/** The beginning of a window: a moment, or so long before now. */
export type Since = { readonly at_ms: number } | { readonly ago_ms: number };

const UNIT_MS: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A date, a time, or a length before now such as `7d`, `24h` or `30m`. */
export function since(metavar = "TIME|LENGTH"): ValueParser<"sync", Since> {
  return value<Since>({
    metavar,
    placeholder: { ago_ms: 0 },
    format: (given) =>
      "at_ms" in given
        ? new Date(given.at_ms).toISOString()
        : given.ago_ms % 86_400_000 === 0
        ? `${given.ago_ms / 86_400_000}d`
        : `${given.ago_ms / 60_000}m`,
    read(given) {
      const length = /^(\d{1,6})([mhd])$/.exec(given);
      const unit_ms = UNIT_MS[length?.[2] ?? ""];
      if (unit_ms !== undefined) return { value: { ago_ms: Number(length?.[1]) * unit_ms } };
      const ms = isoTimeMs(given);
      if (ms !== undefined) return { value: { at_ms: ms } };
      return {
        expected: message`a length such as ${"7d"} or ${"24h"}, or a date such as ${"2026-01-31"}`,
      };
    },
  });
}
