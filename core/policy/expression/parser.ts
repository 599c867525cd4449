/**
 * Recursive-descent parser of `requires_approval_if` (contract `policy-and-gateway` §2.1; grammar
 * in full at load, §13.1 #16-17).
 *
 * ```text
 * expression = conjunction *( "OR" conjunction )
 * conjunction = unit *( "AND" unit )
 * unit = "NOT" unit / "(" expression ")" / clause
 * clause = field operator literal
 * ```
 *
 * @module
 */
import { LIMITS } from "../../limits.ts";
import { didYouMean, nearest, received } from "../suggest.ts";
import { type Field, FIELD_NAMES, fieldNamed } from "./fields.ts";
import { type ExpressionProblem, type Token, tokenize } from "./lexer.ts";
import { classify } from "./literal.ts";
import { type Expression, join, type Literal, type Operator, OPERATORS } from "./syntax.ts";

/** A tree, or everything that is wrong, in the order of the text. */
export type Parsed =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly problems: readonly ExpressionProblem[] };

/** Problems, and warnings, reported for one expression. */
export const PROBLEMS_MAX = 20;

const WORD_OPERATORS = OPERATORS.filter((operator) => /^[a-z]/.test(operator));

/** Parses an expression. Never throws; depth and length are bounded. */
export function parse(text: string): Parsed {
  if (text.trim() === "") {
    return refuse([{
      offset: 0,
      length: text.length,
      message: "CEL expression must not be empty",
    }]);
  }
  if (text.length > LIMITS.expression_chars) {
    return refuse([{
      offset: 0,
      length: text.length,
      message: `expression has \`${text.length}\` characters, more than the limit of ` +
        `${LIMITS.expression_chars}`,
    }]);
  }
  const problems: ExpressionProblem[] = [];
  const tokens = tokenize(text, problems);
  const expression = new Parser(tokens, problems).parse();
  if (problems.length === 0 && expression !== undefined) return { ok: true, expression };
  return refuse(problems);
}

function refuse(problems: readonly ExpressionProblem[]): Parsed {
  const in_order = problems.toSorted((a, b) => a.offset - b.offset).slice(0, PROBLEMS_MAX);
  return { ok: false, problems: in_order };
}

/** One pass over the tokens. A wrong clause is skipped, so that later ones are checked too. */
class Parser {
  #at = 0;
  #depth = 0;
  /** Set when nesting is too deep or too much is wrong: the rest is not looked at. */
  #abandoned = false;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly problems: ExpressionProblem[],
  ) {}

  parse(): Expression | undefined {
    const expression = this.#expression();
    while (!this.#abandoned && this.#peek().type !== "end") {
      const token = this.#peek();
      if (token.type === ")") this.#fail(token, "`)` has no opening `(`");
      else this.#failMissingConnective(token);
      if (token.type !== "word" || fieldNamed(token.value) === undefined) this.#next();
      if (this.#peek().type !== "end") this.#expression();
    }
    return expression;
  }

  #peek(): Token {
    const last = this.tokens.length - 1;
    const token = this.tokens[Math.min(this.#at, last)];
    return token ?? { type: "end", offset: 0, end: 0 };
  }

  #next(): Token {
    const token = this.#peek();
    this.#at += 1;
    return token;
  }

  #fail(token: Token, message: string): undefined {
    if (this.#abandoned) return;
    this.problems.push({ offset: token.offset, length: token.end - token.offset, message });
    if (this.problems.length >= PROBLEMS_MAX) this.#abandoned = true;
  }

  #atWord(word: string): boolean {
    const token = this.#peek();
    return token.type === "word" && token.value === word;
  }

  #expression(): Expression | undefined {
    return this.#joined("OR", () => this.#joined("AND", () => this.#unit()));
  }

  #joined(word: "AND" | "OR", operand: () => Expression | undefined): Expression | undefined {
    const operands = [operand()];
    while (this.#atWord(word) && !this.#abandoned) {
      this.#next();
      operands.push(operand());
    }
    const whole = operands.filter((part) => part !== undefined);
    return whole.length === operands.length
      ? join(word === "AND" ? "and" : "or", whole)
      : undefined;
  }

  #unit(): Expression | undefined {
    const token = this.#peek();
    const opens = token.type === "(" || this.#atWord("NOT");
    if (!opens) return this.#clause();
    if (this.#depth >= LIMITS.expression_depth) {
      this.#fail(token, `nested deeper than ${LIMITS.expression_depth} levels`);
      this.#abandoned = true;
      return undefined;
    }
    this.#depth += 1;
    this.#next();
    const inner = token.type === "(" ? this.#closed(token) : this.#negated();
    this.#depth -= 1;
    return inner;
  }

  #negated(): Expression | undefined {
    const operand = this.#unit();
    return operand === undefined ? undefined : { type: "not", operand };
  }

  #closed(open: Token): Expression | undefined {
    const inner = this.#expression();
    if (this.#abandoned) return undefined;
    if (this.#peek().type === ")") {
      this.#next();
      return inner;
    }
    if (this.#peek().type === "end") return this.#fail(open, "`(` has no closing `)`");
    this.#failMissingConnective(this.#peek());
    for (let nested = 0; this.#peek().type !== "end";) {
      const token = this.#next();
      if (token.type === "(") nested += 1;
      if (token.type === ")" && nested-- === 0) break;
    }
    return undefined;
  }

  #clause(): Expression | undefined {
    const start = this.#peek();
    const field = this.#field();
    if (field === undefined) return this.#skip();
    const operator = this.#operator(field);
    if (operator === undefined) return this.#skip();
    const literal = this.#literal(field);
    if (literal === undefined) return this.#skip();
    const end = this.tokens[this.#at - 1]?.end ?? start.end;
    return { type: "clause", field, operator, literal, offset: start.offset, end };
  }

  /** Leaves a wrong clause: on to the next connective or closing parenthesis. */
  #skip(): undefined {
    let open = 0;
    for (; this.#peek().type !== "end"; this.#next()) {
      const token = this.#peek();
      if (open === 0 && (token.type === ")" || this.#atWord("AND") || this.#atWord("OR"))) return;
      if (token.type === "(") open += 1;
      if (token.type === ")") open -= 1;
      if (token.type === "word") this.#checkSkipped(token);
    }
  }

  /** A level that does not exist is worth a word even inside a clause that is wrong already. */
  #checkSkipped(token: Token & { readonly type: "word" | "string" }): void {
    if (!/^L\d+$/.test(token.value)) return;
    const literal = classify(token.value);
    if (typeof literal === "string") this.#fail(token, literal);
  }

  #field(): Field | undefined {
    const token = this.#peek();
    if (token.type === "end" || token.type === ")") {
      const before = this.tokens[this.#at - 1];
      if (before?.type === "word") {
        return this.#fail(before, `\`${before.value}\` has no clause after it: remove it`);
      }
      return this.#fail(token, "expected a clause: `field operator literal`");
    }
    if (token.type !== "word") {
      return this.#fail(token, "a clause starts with a field; the literal stands on the right");
    }
    const field = fieldNamed(token.value);
    if (field !== undefined) {
      this.#next();
      return field;
    }
    return this.#fail(token, this.#explainNoField(token.value));
  }

  #explainNoField(word: string): string {
    if (word === "AND" || word === "OR") {
      return `\`${word}\` has no clause before it: remove it`;
    }
    if (/^(and|or|not)$/i.test(word)) {
      return `\`${word}\` is not an operator: write \`${word.toUpperCase()}\``;
    }
    const literal = classify(word);
    if (typeof literal === "object") {
      return "a clause starts with a field; the literal stands on the right";
    }
    if (literal !== undefined && /^L\d/.test(word)) return literal;
    return unknownVariable(word);
  }

  #operator(field: Field): Operator | undefined {
    const token = this.#peek();
    if (token.type === "sign" || token.type === "word") {
      const operator = OPERATORS.find((known) => known === token.value);
      if (operator !== undefined) {
        this.#next();
        return operator;
      }
    }
    const hint = token.type === "word" ? didYouMean(token.value, WORD_OPERATORS) : "";
    return this.#fail(
      token.type === "end" ? this.tokens[this.#at - 1] ?? token : token,
      `expected an operator after \`${field.name.slice(0, 80)}\`: ${hint}${OPERATORS.join(" ")}`,
    );
  }

  #literal(field: Field): Literal | undefined {
    const token = this.#peek();
    switch (token.type) {
      case "string":
        this.#next();
        return { type: "text", value: token.value };
      case "[":
        return this.#list();
      case "word":
        return this.#wordLiteral(token.value, token, field);
      case "end":
        return this.#fail(
          this.tokens[this.#at - 1] ?? token,
          `expected a literal after the operator of \`${field.name.slice(0, 80)}\``,
        );
      default:
        return this.#fail(token, "expected a literal: a text in double quotes, a number or a list");
    }
  }

  #wordLiteral(word: string, token: Token, field: Field): Literal | undefined {
    const literal = classify(word);
    if (typeof literal === "object") {
      this.#next();
      return literal;
    }
    if (literal !== undefined) {
      this.#next();
      return this.#fail(token, literal);
    }
    if (/^(AND|OR|NOT)$/.test(word)) {
      return this.#fail(
        token,
        `expected a literal after the operator of \`${field.name.slice(0, 80)}\``,
      );
    }
    if (fieldNamed(word) !== undefined) {
      return this.#fail(
        token,
        `${received(word)} is a field: two fields cannot be compared with each other`,
      );
    }
    return this.#fail(token, `${unknownVariable(word)}; a text takes double quotes: "${word}"`);
  }

  #list(): Literal | undefined {
    const open = this.#next();
    const values: string[] = [];
    for (;;) {
      const token = this.#next();
      switch (token.type) {
        case "string":
          values.push(token.value);
          break;
        case ",":
          break;
        case "]":
          return { type: "list", values };
        case "end":
          return this.#fail(open, "`[` has no closing `]`");
        default:
          return this.#fail(token, "a list holds texts in double quotes only");
      }
    }
  }

  #failMissingConnective(token: Token): void {
    const word = token.type === "word" ? token.value : "";
    const hint = /^(and|or)$/i.test(word)
      ? `write \`${word.toUpperCase()}\``
      : "expected `AND` or `OR` between two clauses";
    this.#fail(token, word === "" ? hint : `unexpected ${received(word)}: ${hint}`);
  }
}

function unknownVariable(word: string): string {
  const near = nearest(word, FIELD_NAMES.filter((name) => !name.endsWith("<path>"))) ??
    nearPrefix(word);
  const hint = near === undefined ? "" : `did you mean \`${near}\`? `;
  return `unknown variable ${received(word)}: ${hint}valid names: ${FIELD_NAMES.join(", ")}`;
}

/** `arg.amount` means `args.amount`. */
function nearPrefix(word: string): string | undefined {
  const dot = word.indexOf(".");
  if (dot === -1) return word === "args" ? "args.<path>" : undefined;
  const head = nearest(word.slice(0, dot), ["args", "tool_result"]);
  return head === undefined ? undefined : `${head}.${word.slice(dot + 1, dot + 81)}`;
}
