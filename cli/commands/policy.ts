/**
 * `aasm policy validate | explain | schema`: local, no gateway is asked.
 *
 * @module
 */
import { compilePolicySet } from "../../core/policy/compile.ts";
import { decide } from "../../core/policy/decide.ts";
import { explain } from "../../core/policy/explain.ts";
import { policyJsonSchema } from "../../core/policy/json_schema.ts";
import { actionFromWire } from "../../proto/mapping.ts";
import { actionMessage } from "../action_message.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { freshFacts, LOCAL_ASSUMPTIONS } from "../local_facts.ts";
import {
  type CheckedPolicy,
  checkPolicyFile,
  listPolicyFiles,
  loadPolicyPath,
} from "../policy_files.ts";
import { principalOf } from "../principal.ts";
import { painter } from "../render/color.ts";
import { explanationData } from "../render/explanation.ts";
import { printable } from "../render/printable.ts";
import { type Report, writeReport } from "../render/report.ts";
import { verdictText, type VerdictView } from "../render/verdict.ts";
import type { Session } from "../session.ts";
import type { Terminal } from "../terminal.ts";
import { resultContent } from "./result_content.ts";

/** `policy validate`: every file, every problem; 1 when any file is invalid. */
export async function validatePolicies(
  command: CommandNamed<"policy validate">,
  session: Session,
): Promise<ExitCode> {
  const checked: CheckedPolicy[] = [];
  const warnings: string[] = [];
  for (const path of command.paths) {
    const listing = await listPolicyFiles(path);
    warnings.push(...listing.warnings);
    if (listing.paths.length === 0) warnings.push(`${path}: holds no policy file`);
    for (const file of listing.paths) checked.push(await checkPolicyFile(file));
  }
  writeReport(validationReport(checked, warnings), session.flags.output, session.terminal);
  const all_valid = checked.length > 0 && checked.every((one) => one.valid);
  return all_valid ? ExitCode.OK : ExitCode.FAILURE;
}

function validationReport(
  checked: readonly CheckedPolicy[],
  warnings: readonly string[],
): Report {
  const table = (terminal: Terminal) => {
    const paint = painter(terminal.colors);
    const lines = checked.flatMap((one) => {
      if (!one.valid) return one.problems.map((line) => paint("bad", `error: ${printable(line)}`));
      const notes = one.warnings.map((line) => paint("caution", `warning: ${printable(line)}`));
      return [
        ...notes,
        `${paint("good", "valid")}: ${printable(one.path)}  ${one.document.digest}`,
      ];
    });
    const notes = warnings.map((line) => paint("caution", `warning: ${printable(line)}`));
    return [...notes, ...lines].map((line) => `${line}\n`).join("");
  };
  const data = {
    valid: checked.length > 0 && checked.every((one) => one.valid),
    files: checked.map((one) =>
      one.valid
        ? { file: one.path, valid: true, digest: one.document.digest, warnings: one.warnings }
        : { file: one.path, valid: false, problems: one.problems }
    ),
    warnings,
  };
  return { data, table };
}

/** `policy explain`: one local decision; 0 allow or redact, 3 deny, 4 approval. */
export async function explainPolicy(
  command: CommandNamed<"policy explain">,
  session: Session,
): Promise<ExitCode> {
  const loaded = await loadPolicyPath(command.path);
  const policy = compilePolicySet(loaded.documents, { mode: loaded.mode });
  const { context } = actionMessage(command.action, await resultContent(command.action));
  const mapped = actionFromWire(context);
  if (!mapped.ok) throw new CommandError(`${mapped.field}: ${mapped.message}`, ExitCode.USAGE);
  const facts = freshFacts(principalOf(command), command.at ?? session.now_ms());
  const decision = decide(policy, mapped.action, facts);
  const explanation = explain(policy, mapped.action, facts, decision);
  const view: VerdictView = {
    verdict: explanation.outcome,
    reason: explanation.reason,
    facts: [],
    explanation,
    notes: [...loaded.warnings, ...policy.warnings, LOCAL_ASSUMPTIONS],
  };
  writeReport(
    {
      data: { ...asObject(explanationData(explanation)), notes: view.notes },
      table: (terminal) => verdictText(view, terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return exitCodeOf(explanation.outcome);
}

function asObject(data: Report["data"]): { readonly [key: string]: Report["data"] } {
  return typeof data === "object" && data !== null && !Array.isArray(data)
    ? data as { readonly [key: string]: Report["data"] }
    : {};
}

function exitCodeOf(outcome: "allow" | "deny" | "redact" | "require_approval"): ExitCode {
  if (outcome === "deny") return ExitCode.DENIED;
  return outcome === "require_approval" ? ExitCode.PENDING : ExitCode.OK;
}

/** `policy schema`: JSON Schema on standard output, whatever `--output` says. */
export function printPolicySchema(session: Session): ExitCode {
  session.terminal.out(`${JSON.stringify(policyJsonSchema(), null, 2)}\n`);
  return ExitCode.OK;
}
