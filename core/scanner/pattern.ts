/**
 * The sensitive patterns of a policy (contract `policy-and-gateway` §1.5, §4.7).
 *
 * @module
 */
import { RE2JS, RE2JSException } from "re2js";
import { LIMITS } from "../limits.ts";
import { SCANNER_LIMITS } from "./limits.ts";
import { ScanLimitError } from "./spans.ts";
import { byteOffsets } from "./utf8.ts";

/** Repetition without an upper bound, outside of classes and escapes. */
const UNBOUNDED = /[*+]|\{\d+,\}/;
/** What hides a sign from {@linkcode UNBOUNDED}: quoted text, escapes, classes. */
const LITERAL_PARTS = /\\Q[\s\S]*?(?:\\E|$)|\\[\s\S]|\[\^?\]?(?:\\[\s\S]|\[:[^\]]*:\]|[^\]\\])*\]/g;

/** A pattern ready to search. Made by {@linkcode compilePattern} only. */
export class CompiledPattern {
  readonly #regex: RE2JS;
  readonly #unbounded: boolean;
  /** The pattern as the policy wrote it. */
  readonly source: string;

  /** @private Use {@linkcode compilePattern}, which checks the bounds. */
  constructor(source: string, regex: RE2JS) {
    this.source = source;
    this.#regex = regex;
    this.#unbounded = UNBOUNDED.test(source.replaceAll(LITERAL_PARTS, ""));
  }

  /**
   * Every match, left to right, without overlaps; a match of nothing counts (§4.7).
   *
   * @param ascii Whether the text is ASCII, so that offsets need no mapping.
   * @param report Receives byte offsets, ascending.
   * @throws {ScanLimitError} When the search would take more work than is allowed.
   */
  search(text: string, ascii: boolean, report: (offset: number, end: number) => void): void {
    if (!this.#regex.test(text)) return;
    const matcher = this.#regex.matcher(text);
    const byteOffset = byteOffsets(text, ascii);
    let budget = SCANNER_LIMITS.pattern_search_chars;
    while (matcher.find()) {
      const end = matcher.end();
      report(byteOffset(matcher.start()), byteOffset(end));
      budget -= this.#unbounded ? text.length - end : 0;
      if (budget < 0) {
        throw new ScanLimitError(
          `the work of pattern \`${this.source}\``,
          SCANNER_LIMITS.pattern_search_chars,
        );
      }
    }
  }
}

/** A compiled pattern, or what was expected instead. */
export type PatternResult =
  | { readonly ok: true; readonly pattern: CompiledPattern }
  | { readonly ok: false; readonly message: string };

/**
 * Compiles a pattern of the RE2 dialect, which is searched in linear time.
 *
 * @param source At most `LIMITS.pattern_chars` characters; its program must have at most
 * `LIMITS.pattern_program_instructions` instructions.
 * @returns The pattern, or a message without a full stop that names what was expected.
 */
export function compilePattern(source: string): PatternResult {
  if (source.length === 0) {
    return refuse("expected a regular expression, received an empty one, which matches everywhere");
  }
  if (source.length > LIMITS.pattern_chars) {
    return refuse(
      `expected at most ${LIMITS.pattern_chars} characters, received \`${source.length}\``,
    );
  }
  let regex: RE2JS;
  try {
    regex = RE2JS.compile(source);
  } catch (error) {
    if (!(error instanceof RE2JSException) && !(error instanceof RangeError)) throw error;
    return refuse(
      "expected a regular expression in RE2 syntax (no look-around, no back-references): " +
        error.message.replace(/^error parsing regexp: /, ""),
    );
  }
  const instructions = regex.programSize();
  if (instructions > LIMITS.pattern_program_instructions) {
    return refuse(
      `expected a pattern of at most ${LIMITS.pattern_program_instructions} instructions, ` +
        `received one of \`${instructions}\`; use smaller repeat counts`,
    );
  }
  return { ok: true, pattern: new CompiledPattern(source, regex) };
}

function refuse(message: string): PatternResult {
  return { ok: false, message };
}
