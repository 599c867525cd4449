/**
 * A verdict and its reasons: for a person who must act on it.
 *
 * @module
 */
import type { Explanation, RuleRef } from "../../core/verdict.ts";
import type { Terminal } from "../terminal.ts";
import { painter, toneOf } from "./color.ts";
import { printable, printableLines } from "./printable.ts";
import type { Data } from "./report.ts";
import { cellWidth } from "./table.ts";

/** The longest stage name and a gap. */
const STAGE_CELLS = 15;

/** `file:line:column`. */
export function place(rule: RuleRef): string {
  return `${rule.file}:${rule.line}:${rule.column}`;
}

/** The sections below a verdict: why, what was considered, what would change it. */
export function explanationText(explanation: Explanation, terminal: Terminal): string {
  const paint = painter(terminal.colors);
  const lines: string[] = [];
  const section = (title: string) => lines.push("", paint("strong", title));
  section("why");
  lines.push(`  ${printable(explanation.summary)}`);
  if (explanation.considered.length > 0) {
    section("considered");
    const results = explanation.considered.map((step) => step.result.replaceAll("_", " "));
    const width = Math.max(...results.map(cellWidth));
    for (const [index, step] of explanation.considered.entries()) {
      const result = results[index] ?? "";
      const where = step.rule === undefined
        ? ""
        : `  ${paint("quiet", printable(place(step.rule)))}`;
      lines.push(
        `  ${paint(toneOf(step.result), result)}${" ".repeat(width - cellWidth(result))}  ` +
          `${step.stage.padEnd(STAGE_CELLS)}${printable(step.detail)}${where}`,
      );
    }
  }
  if (explanation.changes.length > 0) {
    section("to allow it");
    for (const change of explanation.changes) {
      const where = change.rule === undefined ? "" : `  ${printable(place(change.rule))}`;
      lines.push(
        `  ${printable(change.text)}${paint("quiet", `${where}  (${printable(change.who)})`)}`,
      );
      if (change.yaml !== undefined) {
        for (const line of printableLines(change.yaml).trimEnd().split("\n")) {
          lines.push(`      ${line}`);
        }
      }
    }
  }
  return `${lines.join("\n")}\n`;
}

/** The same as data. */
export function explanationData(explanation: Explanation): Data {
  return {
    outcome: explanation.outcome,
    reason: explanation.reason,
    summary: explanation.summary,
    rule: ruleData(explanation.rule),
    considered: explanation.considered.map((step) => ({
      stage: step.stage,
      result: step.result,
      detail: step.detail,
      rule: ruleData(step.rule),
    })),
    changes: explanation.changes.map((change) => ({
      text: change.text,
      who: change.who,
      yaml: change.yaml ?? null,
      rule: ruleData(change.rule),
    })),
  };
}

/** A rule reference as data; `null` when no rule decided. */
export function ruleData(rule: RuleRef | undefined): Data {
  if (rule === undefined) return null;
  const { file, line, column, path, policy_doc_id } = rule;
  return { file, line, column, path, policy_doc_id };
}
