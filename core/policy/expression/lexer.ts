/**
 * Expression text to tokens with their places (contract `policy-and-gateway` §2.1-2.3).
 *
 * @module
 */

import { received } from "../suggest.ts";

/** Something wrong in an expression: where, in UTF-16 units of its text, and what. */
export interface ExpressionProblem {
  readonly offset: number;
  readonly length: number;
  readonly message: string;
}

/** The comparison signs. */
export const SIGNS = ["==", "!=", ">=", "<=", ">", "<"] as const;

/** One token. `end` is exclusive; `value` of a string has its escapes resolved. */
export type Token =
  & { readonly offset: number; readonly end: number }
  & (
    | { readonly type: "word" | "string"; readonly value: string }
    | { readonly type: "sign"; readonly value: (typeof SIGNS)[number] }
    | { readonly type: "[" | "]" | "," | "(" | ")" | "end" }
  );

const SPACE = /\p{White_Space}+/uy;
const WORD = /[\p{Alphabetic}\p{N}_.-]+/uy;
const STRING = /"((?:[^"\\]|\\[\s\S])*)"/y;
const SIGN = /==|!=|>=|<=|>|</y;
const MISTAKE = /&&?|\|\|?|=|!|'[^']*'?|./suy;

/**
 * Splits an expression.
 *
 * @param problems Receives what is no token; scanning goes on after it.
 * @returns The tokens, the last of type `end`.
 */
export function tokenize(text: string, problems: ExpressionProblem[]): Token[] {
  const tokens: Token[] = [];
  let offset = 0;
  while (offset < text.length) {
    const start = offset;
    const take = (pattern: RegExp): RegExpExecArray | null => {
      pattern.lastIndex = start;
      const match = pattern.exec(text);
      if (match !== null) offset = start + match[0].length;
      return match;
    };
    if (take(SPACE) !== null) continue;
    const word = take(WORD)?.[0];
    if (word !== undefined) {
      tokens.push({ type: "word", value: word, offset: start, end: offset });
      continue;
    }
    const content = take(STRING)?.[1];
    if (content !== undefined) {
      tokens.push({ type: "string", value: unescape(content), offset: start, end: offset });
      continue;
    }
    const sign = take(SIGN)?.[0];
    const known = SIGNS.find((candidate) => candidate === sign);
    if (known !== undefined) {
      tokens.push({ type: "sign", value: known, offset: start, end: offset });
      continue;
    }
    const char = text[start];
    if (char === "[" || char === "]" || char === "," || char === "(" || char === ")") {
      offset = start + 1;
      tokens.push({ type: char, offset: start, end: offset });
      continue;
    }
    if (char === '"') {
      offset = text.length;
      problems.push({ offset: start, length: offset - start, message: 'text has no closing `"`' });
      tokens.push({ type: "string", value: text.slice(start + 1), offset: start, end: offset });
      continue;
    }
    const mistake = take(MISTAKE)?.[0] ?? "";
    const { message, meant } = explainMistake(mistake);
    problems.push({ offset: start, length: offset - start, message });
    if (meant !== undefined) tokens.push({ ...meant, offset: start, end: offset });
  }
  tokens.push({ type: "end", offset: text.length, end: text.length });
  return tokens;
}

/** `\"` and `\\` are escapes; any other backslash stands for itself. */
function unescape(content: string): string {
  return content.replace(/\\(["\\])/g, "$1");
}

/** What is said about a mistake, and the token it stands for, so that parsing can go on. */
function explainMistake(mistake: string): {
  readonly message: string;
  readonly meant?: { type: "word" | "string"; value: string } | { type: "sign"; value: "==" };
} {
  switch (mistake[0]) {
    case "&":
    case "|": {
      const value = mistake.startsWith("&") ? "AND" : "OR";
      const message = `\`${mistake}\` is not an operator: write \`${value}\``;
      return { message, meant: { type: "word", value } };
    }
    case "=":
      return {
        message: "`=` is not an operator: write `==`",
        meant: { type: "sign", value: "==" },
      };
    case "!":
      return {
        message: "`!` is not an operator: write `!=` to compare, `NOT` to negate",
        meant: { type: "word", value: "NOT" },
      };
    case "'":
      return {
        message: "texts take double quotes, not single ones",
        meant: { type: "string", value: mistake.slice(1) },
      };
    default:
      return { message: `unexpected character ${received(mistake)}` };
  }
}
