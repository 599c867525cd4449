/**
 * Quoting what an agent sent. An explanation is shown and logged, so every piece of a request in it
 * is scanned first: a secret in a path or a host name must not travel in the text that refuses it
 * (design law 5).
 *
 * @module
 */
import { redact } from "../../scanner/mod.ts";
import type { Scanner } from "../../scanner/finding.ts";

/** Characters of one value that a sentence shows. */
const SENTENCE_CHARS_MAX = 200;

/** Characters of one value that a suggested edit repeats. */
const VALUE_CHARS_MAX = 4_096;

/** Control, format and separator characters: a terminal must not obey a quoted value. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Makes values of a request fit to be shown. */
export class Quote {
  readonly #scanner: () => Scanner;

  /** @param scanner The scanner of the governing documents; what cannot be scanned is not shown. */
  constructor(scanner: () => Scanner) {
    this.#scanner = scanner;
  }

  /** The value in backticks: shortened, redacted, unprintable characters escaped. */
  text(value: string): string {
    return `\`${this.plain(value)}\``;
  }

  /** As {@linkcode text}, without the backticks. */
  plain(value: string): string {
    const cut = value.length > SENTENCE_CHARS_MAX;
    const shown = cut ? value.slice(0, SENTENCE_CHARS_MAX) : value;
    try {
      const scanner = this.#scanner();
      // The whole value is scanned: cutting first could split a secret so that it is not found.
      if (cut && scanner.scan(value).length > 0) return "[REDACTED]";
      const findings = scanner.scan(shown);
      const safe = findings.length === 0 ? shown : redact(shown, findings);
      const printable = safe.replace(
        UNPRINTABLE,
        (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
      );
      return cut ? `${printable}…` : printable;
    } catch {
      return "[NOT SHOWN: could not be scanned]";
    }
  }

  /** The value as it is when it may be shown whole, else `undefined`. */
  exact(value: string): string | undefined {
    if (value.length > VALUE_CHARS_MAX || value.search(UNPRINTABLE) >= 0) return undefined;
    try {
      return this.#scanner().scan(value).length === 0 ? value : undefined;
    } catch {
      return undefined;
    }
  }

  /** A value as YAML for a change; nothing when it may not be shown. */
  yaml(value: string): { readonly yaml?: string } {
    const exact = this.exact(value);
    return exact === undefined ? {} : { yaml: JSON.stringify(exact) };
  }
}
