/**
 * YAML text to located data: the only file that knows the YAML library.
 *
 * The library is driven token by token so that every bound holds while the text is read, not
 * after: hostile nesting, endless documents and floods of syntax errors stop early. Aliases share
 * the anchored node, so an alias bomb costs nothing, and an alias inside its own anchor is refused.
 *
 * @module
 */
import { Composer, type Document, isAlias, isMap, isScalar, isSeq, Lexer, Parser } from "yaml";
import { LIMITS } from "../limits.ts";
import type { Position } from "./position.ts";
import { DOCUMENT_FIELD, type Problems } from "./problems.ts";
import type { SourceNode } from "./source_node.ts";
import { YamlNodes } from "./yaml_nodes.ts";

/** Syntax errors reported for one file. Later ones are mostly echoes of the first. */
const SYNTAX_ERRORS_MAX = 20;

/** Tokens between documents that mean nothing. */
const LAYOUT: ReadonlySet<string> = new Set(["space", "newline", "comment", "byte-order-mark"]);

/** What the composer takes: a token of the library's concrete syntax tree. */
type Token = Parser["stack"][number];

/** Thrown to leave the library early; never leaves this file. */
class Stopped extends Error {
  override readonly name = "Stopped";
}

/**
 * Parses one YAML document.
 *
 * @returns The root node; `undefined` when the text holds no document, or when it could not be
 *   parsed and `problems` says why.
 */
export function parseYaml(text: string, problems: Problems): SourceNode | undefined {
  const locate = locatorOf(text);
  const fail = (message: string, offset: number) =>
    problems.error(DOCUMENT_FIELD, `YAML parse error: ${message}`, locate(offset));
  const document = withoutEnvironment(() => compose(text, fail));
  if (document === undefined) return undefined;
  if (document.contents === null) return undefined;
  if (
    isAlias(document.contents) || isScalar(document.contents) || isMap(document.contents) ||
    isSeq(document.contents)
  ) {
    return new YamlNodes(text, locate, problems).convert(document.contents);
  }
  return undefined;
}

/**
 * Runs `body` with an empty `process.env`. The library looks up two debug switches there
 * (`LOG_TOKENS`, `LOG_STREAM`) for every token: loading a policy would otherwise need permission
 * to read the environment. `body` is synchronous, so nobody else sees the substitute.
 */
function withoutEnvironment<T>(body: () => T): T {
  // By name, not by import: a browser has none, and the library's build for it asks for none.
  const process: unknown = Reflect.get(globalThis, "process");
  if (typeof process !== "object" || process === null) return body();
  const environment: unknown = Reflect.get(process, "env");
  Reflect.set(process, "env", {});
  try {
    return body();
  } finally {
    Reflect.set(process, "env", environment);
  }
}

/** The one document of the text without syntax errors, else `undefined` and at least one `fail`. */
function compose(
  text: string,
  fail: (message: string, offset: number) => void,
): Document | undefined {
  const tokens = tokenize(text, fail);
  if (tokens === undefined) return undefined;
  const composer = new Composer({
    version: "1.2",
    schema: "core",
    merge: false,
    // Checked while converting, in linear time and with both places.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "silent",
  });
  let count = 0;
  composer["onError"] = (source: unknown, _code: string, message: string) => {
    count += 1;
    if (count > SYNTAX_ERRORS_MAX) throw new Stopped();
    fail(message, offsetOf(source));
  };
  const documents: Document[] = [];
  try {
    for (const document of composer.compose(tokens, true, text.length)) {
      documents.push(document as Document);
    }
  } catch (error) {
    // The library is not expected to throw; if it does, the text is refused all the same.
    if (!(error instanceof Stopped)) fail("the text cannot be parsed", 0);
    return undefined;
  }
  return count === 0 ? documents[0] : undefined;
}

/** The library's tokens of the text, within every bound; `undefined` after a `fail`. */
function tokenize(
  text: string,
  fail: (message: string, offset: number) => void,
): Token[] | undefined {
  const parser = new Parser();
  const tokens: Token[] = [];
  let lexemes = 0;
  let documents = 0;
  let errors = 0;
  const accept = (token: Token): boolean => {
    if (token.type === "document" && ++documents > 1) {
      fail("more than one document in the file: write one file per policy", token.offset);
      return false;
    }
    if (token.type === "directive" && !/^%YAML 1\.[12]\s*$/.test(token.source)) {
      fail("directives are not part of the policy language: remove the line", token.offset);
      return false;
    }
    if (token.type === "error") {
      fail(token.message, token.offset);
      if (++errors >= SYNTAX_ERRORS_MAX) return false;
    } else if (!LAYOUT.has(token.type)) tokens.push(token);
    return true;
  };
  for (const lexeme of new Lexer().lex(text)) {
    if (++lexemes > LIMITS.policy_nodes) {
      fail(`more than ${LIMITS.policy_nodes} tokens: split the policy`, parser.offset);
      return undefined;
    }
    if (parser.stack.length > LIMITS.policy_depth) {
      fail(`nested deeper than ${LIMITS.policy_depth} levels`, parser.offset);
      return undefined;
    }
    for (const token of parser.next(lexeme)) if (!accept(token)) return undefined;
  }
  for (const token of parser.end()) if (!accept(token)) return undefined;
  return errors === 0 ? tokens : undefined;
}

/**
 * Positions of offsets in a text. The library's own line counter drifts after some errors, so the
 * lines are counted here; an offset outside the text counts as its nearest end.
 */
function locatorOf(text: string): (offset: number) => Position {
  const starts = [0];
  for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", end + 1)) {
    starts.push(end + 1);
  }
  return (offset) => {
    const at = Math.min(Math.max(offset, 0), text.length);
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] ?? Infinity) <= at) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: at - (starts[low] ?? 0) + 1 };
  };
}

/** The library names places as an offset, a range or a token. */
function offsetOf(source: unknown): number {
  if (typeof source === "number") return source;
  if (Array.isArray(source)) return typeof source[0] === "number" ? source[0] : 0;
  if (typeof source === "object" && source !== null && "offset" in source) {
    return typeof source.offset === "number" ? source.offset : 0;
  }
  return 0;
}
