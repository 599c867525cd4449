/**
 * `aasm policy analyze`: local, no gateway is asked.
 *
 * @module
 */
import {
  type Analysis,
  analyzePolicy,
  type Counterexample,
} from "../../core/policy/analyze/mod.ts";
import type { RuleRef } from "../../core/verdict.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { loadPolicyPath } from "../policy_files.ts";
import { painter } from "../render/color.ts";
import { printable } from "../render/printable.ts";
import { type Data, jsonText, writeReport } from "../render/report.ts";
import type { Session } from "../session.ts";
import type { Terminal } from "../terminal.ts";

/** `policy analyze`: 0, or 7 with `--strict` when anything is found. */
export async function analyzePolicies(
  command: CommandNamed<"policy analyze">,
  session: Session,
): Promise<ExitCode> {
  const loaded = await loadPolicyPath(command.path);
  const analysis = analyzePolicy(loaded.documents, loaded.mode);
  writeReport(
    {
      data: {
        findings: analysis.findings.map((finding) => ({
          kind: finding.kind,
          ...placeData(finding.rule),
          because: finding.because === undefined ? null : placeData(finding.because),
          message: finding.message,
          counterexample: counterexampleData(finding.counterexample),
        })),
        undecided: analysis.undecided.map(({ rule, message }) => ({
          ...placeData(rule),
          message,
        })),
        omitted: analysis.omitted,
        documents: loaded.documents.length,
      },
      table: (terminal) => analysisText(analysis, loaded.documents.length, terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return command.strict && analysis.findings.length > 0 ? ExitCode.FOUND : ExitCode.OK;
}

function analysisText(analysis: Analysis, documents: number, terminal: Terminal): string {
  const paint = painter(terminal.colors);
  const lines = analysis.findings.flatMap(({ kind, rule, message, counterexample }) => [
    `${placeText(rule)}: ${paint("bad", kind)}: ${printable(message)}\n`,
    `    try     ${jsonText(counterexampleData(counterexample)["request"] ?? null)}\n`,
    `    gives   ${printable(verdictWords(counterexample))}\n`,
  ]);
  const open = analysis.undecided.map(({ rule, message }) =>
    `${placeText(rule)}: ${paint("caution", "undecided")}: ${printable(message)}\n`
  );
  const omitted = analysis.omitted === 0 ? "" : `, ${analysis.omitted} more not listed`;
  const summary = `${analysis.findings.length} findings, ${analysis.undecided.length} undecided` +
    `${omitted}, in ${documents} ${documents === 1 ? "document" : "documents"}\n`;
  return [...lines, ...open, summary].join("");
}

function placeText({ file, line, column }: RuleRef): string {
  return printable(`${file}:${line}:${column}`);
}

function verdictWords({ outcome, reason, rule, assume }: Counterexample): string {
  const why = reason === "" ? "" : `: ${reason}`;
  const where = rule === undefined ? "" : `, by ${rule.path} at ${rule.file}:${rule.line}`;
  const given = [
    assume?.rate_tokens === undefined ? undefined : `${assume.rate_tokens} tokens left`,
    assume?.spent_micro_usd === undefined
      ? undefined
      : `${assume.spent_micro_usd} micro-dollars spent`,
  ].filter((one) => one !== undefined);
  return `${outcome}${why}${where}${given.length === 0 ? "" : ` (with ${given.join(", ")})`}`;
}

function placeData({ file, line, column, path }: RuleRef): { readonly [key: string]: Data } {
  return { file, line, column, rule: path };
}

function counterexampleData(
  { question, assume, outcome, reason, rule }: Counterexample,
): { readonly [key: string]: Data } {
  return {
    // Made of JSON values alone.
    request: JSON.parse(JSON.stringify(question)) as Data,
    assume: assume === undefined ? null : { ...assume },
    outcome,
    reason,
    rule: rule === undefined ? null : placeData(rule),
  };
}
