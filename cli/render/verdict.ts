/**
 * A verdict for a person: the word, the reason, the deciding rule, then the explanation.
 *
 * @module
 */
import type { Explanation } from "../../core/verdict.ts";
import type { Terminal } from "../terminal.ts";
import { painter, type Tone, toneOf } from "./color.ts";
import { explanationText, place } from "./explanation.ts";
import { type Field, fields } from "./fields.ts";
import { printable } from "./printable.ts";

/** Everything that is shown. */
export interface VerdictView {
  /** `allow`, `deny`, `redact`, `pending`, `require_approval`, or a word of a newer gateway. */
  readonly verdict: string;
  readonly reason: string;
  /** Further lines, such as the audit entry. */
  readonly facts: readonly Field[];
  readonly explanation: Explanation | undefined;
  readonly notes: readonly string[];
}

/** The text of a verdict. */
export function verdictText(view: VerdictView, terminal: Terminal): string {
  const paint = painter(terminal.colors);
  const tone: Tone = toneOf(view.verdict) ??
    (view.verdict === "require_approval" ? "caution" : "bad");
  const word = view.verdict.replaceAll("_", " ").toUpperCase();
  const reason = view.reason === "" ? "" : `  ${printable(view.reason)}`;
  const rule = view.explanation?.rule;
  const lines: Field[] = rule === undefined
    ? []
    : [{ name: "rule", value: rule.path }, { name: "at", value: place(rule) }];
  const head = `${paint(tone, word)}${reason}\n${fields([...lines, ...view.facts], terminal)}`;
  const body = view.explanation === undefined ? "" : explanationText(view.explanation, terminal);
  const notes = view.notes.map((note) => `${paint("quiet", `note: ${printable(note)}`)}\n`);
  return head + body + (notes.length === 0 ? "" : `\n${notes.join("")}`);
}
