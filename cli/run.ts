/**
 * One run of `aasm`: parse, dispatch, and turn every failure into one clear line and an exit code.
 *
 * @module
 */
import { type Command, parseArguments } from "./arguments/parse.ts";
import { inspectAgent, listAgents, resumeAgent, suspendAgent } from "./commands/agent.ts";
import { changeAgent, rotateToken } from "./commands/agent_change.ts";
import { createEnrolment, listEnrolments, revokeEnrolment } from "./commands/enrol.ts";
import { listCycles, listEdges, showAgents } from "./commands/topology.ts";
import {
  approveApproval,
  forwardApproval,
  getApproval,
  listApprovals,
  rejectApproval,
  revokeApproval,
  watchApprovals,
} from "./commands/approvals.ts";
import {
  acknowledgeAlert,
  getAlert,
  listAlerts,
  resolveAlert,
  silenceAlert,
  watchAlerts,
} from "./commands/alerts.ts";
import { deleteAlertRule, listAlertRules, setAlertRule } from "./commands/alert_rules.ts";
import { listDetectors, resetBaseline, showBaseline } from "./commands/baseline.ts";
import {
  forecastBudgets,
  showBudgetTree,
  showPricing,
  summarizeBudgets,
  summarizeCosts,
} from "./commands/budget.ts";
import { listAudit, tailAudit } from "./commands/audit.ts";
import { exportAudit } from "./commands/audit_export.ts";
import { exportCompliance } from "./commands/compliance_export.ts";
import { proveEntry, showCheckpoint } from "./commands/audit_proof.ts";
import { verifyAudit, verifyChain } from "./commands/audit_verify.ts";
import { checkAction } from "./commands/check.ts";
import { analyzePolicies } from "./commands/policy_analyze.ts";
import { learnFromFacts, replayPolicy, simulatePolicy } from "./commands/policy_replay.ts";
import { giveOrder, haltAll, listOps } from "./commands/ops.ts";
import { setEnforcementMode } from "./commands/enforcement_mode.ts";
import {
  createKey,
  createOperator,
  listKeys,
  listOperators,
  listRoles,
  revokeKey,
  revokeOperator,
  rotateKey,
  rotateOwnToken,
  whoAmI,
} from "./commands/iam.ts";
import {
  applyPolicy,
  confirmProposal,
  importBundle,
  listProposals,
  rejectProposal,
  rollbackPolicy,
} from "./commands/policy_change.ts";
import {
  diffPolicies,
  exportBundle,
  getPolicyVersion,
  listPolicyVersions,
  verifyBundle,
} from "./commands/policy_history.ts";
import { explainPolicy, printPolicySchema, validatePolicies } from "./commands/policy.ts";
import { testPolicies } from "./commands/policy_tests.ts";
import {
  deleteSecret,
  listSecrets,
  rotateSecretsKey,
  scanFile,
  setSecret,
} from "./commands/secrets.ts";
import { printDenoFlags } from "./commands/deno_flags.ts";
import { runDeno } from "./commands/run_deno.ts";
import { showStatus } from "./commands/status.ts";
import { showVersion } from "./commands/version.ts";
import { CommandError, ExitCode } from "./exit_code.ts";
import { type Input, NO_INPUT } from "./input.ts";
import { painter } from "./render/color.ts";
import { printable, printableLines } from "./render/printable.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/** What a run needs of the process around it. */
export interface Host {
  /** @param no_color The flag. */
  readonly terminal: (no_color: boolean) => Terminal;
  /** Who types. @default nobody */
  readonly input?: Input;
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal;
  readonly now_ms: () => number;
}

/** Exit code of a program that an interrupt ended, by the shells' custom: 128 + SIGINT. */
export const INTERRUPTED_EXIT_CODE = 130;

/**
 * Runs one command line.
 *
 * @returns The process's exit code. Never rejects.
 */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const plain = host.terminal(argv.includes("--no-color"));
  const parsed = parseArguments(argv, {
    colors: plain.colors,
    ...(plain.width === undefined ? {} : { width: plain.width }),
  });
  if (parsed.kind === "print") {
    plain.out(`${parsed.text}\n`);
    return ExitCode.OK;
  }
  if (parsed.kind === "refuse") {
    const help = ["aasm", ...commandWords(argv), "--help"].join(" ");
    const message = `${parsed.message}\ntry \`${help}\``;
    return report(new CommandError(message, ExitCode.USAGE), plain);
  }
  const { run: command, ...flags } = parsed.invocation;
  const terminal = host.terminal(flags.no_color);
  const { signal, now_ms, input = NO_INPUT } = host;
  const session: Session = { flags, terminal, input, signal, now_ms };
  try {
    return await dispatch(command, session);
  } catch (error) {
    return host.signal.aborted ? INTERRUPTED_EXIT_CODE : report(error, terminal);
  }
}

/** The code to exit with; an agent that was run gives its own. */
function dispatch(command: Command, session: Session): Promise<number> | number {
  switch (command.command) {
    case "status":
      return showStatus(command, session);
    case "check":
      return checkAction(command, session);
    case "policy validate":
      return validatePolicies(command, session);
    case "policy explain":
      return explainPolicy(command, session);
    case "policy test":
      return testPolicies(command, session);
    case "policy schema":
      return printPolicySchema(session);
    case "policy analyze":
      return analyzePolicies(command, session);
    case "policy replay":
      return replayPolicy(command, session);
    case "policy simulate":
      return simulatePolicy(command, session);
    case "policy learn":
      return learnFromFacts(command, session);
    case "agent list":
      return listAgents(command, session);
    case "agent inspect":
      return inspectAgent(command, session);
    case "agent suspend":
      return suspendAgent(command, session);
    case "agent resume":
      return resumeAgent(command, session);
    case "agent enforcement-mode":
      return setEnforcementMode(command, session);
    case "iam whoami":
      return whoAmI(session);
    case "iam roles":
      return listRoles(session);
    case "iam operators list":
      return listOperators(session);
    case "iam operators create":
      return createOperator(command, session);
    case "iam operators revoke":
      return revokeOperator(command, session);
    case "iam rotate-token":
      return rotateOwnToken(session);
    case "iam keys list":
      return listKeys(command, session);
    case "iam keys create":
      return createKey(command, session);
    case "iam keys rotate":
      return rotateKey(command, session);
    case "iam keys revoke":
      return revokeKey(command, session);
    case "policy history":
      return listPolicyVersions(command, session);
    case "policy get":
      return getPolicyVersion(command, session);
    case "policy diff":
      return diffPolicies(command, session);
    case "policy apply":
      return applyPolicy(command, session);
    case "policy rollback":
      return rollbackPolicy(command, session);
    case "policy proposals":
      return listProposals(command, session);
    case "policy confirm":
      return confirmProposal(command, session);
    case "policy reject":
      return rejectProposal(command, session);
    case "policy bundle export":
      return exportBundle(command, session);
    case "policy bundle verify":
      return verifyBundle(command, session);
    case "policy bundle import":
      return importBundle(command, session);
    case "agent kill":
    case "agent deregister":
    case "agent revoke-token":
    case "agent set-level":
    case "agent set-tier":
    case "agent reparent":
      return changeAgent(command, session);
    case "agent rotate-token":
      return rotateToken(command, session);
    case "agent enrol create":
      return createEnrolment(command, session);
    case "agent enrol list":
      return listEnrolments(command, session);
    case "agent enrol revoke":
      return revokeEnrolment(command, session);
    case "topology tree":
    case "topology lineage":
    case "topology team":
      return showAgents(command, session);
    case "topology edges":
      return listEdges(command, session);
    case "topology cycles":
      return listCycles(command, session);
    case "approvals list":
      return listApprovals(command, session);
    case "approvals get":
      return getApproval(command, session);
    case "approvals approve":
      return approveApproval(command, session);
    case "approvals reject":
      return rejectApproval(command, session);
    case "approvals forward":
      return forwardApproval(command, session);
    case "approvals revoke":
      return revokeApproval(command, session);
    case "approvals watch":
      return watchApprovals(command, session);
    case "alerts list":
      return listAlerts(command, session);
    case "alerts get":
      return getAlert(command, session);
    case "alerts ack":
      return acknowledgeAlert(command, session);
    case "alerts resolve":
      return resolveAlert(command, session);
    case "alerts silence":
      return silenceAlert(command, session);
    case "alerts watch":
      return watchAlerts(command, session);
    case "alerts detectors":
      return listDetectors(command, session);
    case "alerts baseline":
      return showBaseline(command, session);
    case "alerts reset-baseline":
      return resetBaseline(command, session);
    case "alerts rule list":
      return listAlertRules(session);
    case "alerts rule set":
      return setAlertRule(command, session);
    case "alerts rule delete":
      return deleteAlertRule(command, session);
    case "budget summary":
      return summarizeBudgets(command, session);
    case "budget forecast":
    case "cost forecast":
      return forecastBudgets(command, session);
    case "budget tree":
    case "cost tree":
      return showBudgetTree(command, session);
    case "budget pricing":
      return showPricing(session);
    case "cost summary":
      return summarizeCosts(command, session);
    case "ops list":
      return listOps(command, session);
    case "ops pause":
    case "ops resume":
    case "ops terminate":
    case "ops lift":
      return giveOrder(command, session);
    case "ops halt-all":
      return haltAll(command, session);
    case "secrets set":
      return setSecret(command, session);
    case "secrets list":
      return listSecrets(command, session);
    case "secrets delete":
      return deleteSecret(command, session);
    case "secrets rotate-key":
      return rotateSecretsKey(session);
    case "secrets scan":
      return scanFile(command, session);
    case "audit list":
      return listAudit(command, session);
    case "audit tail":
      return tailAudit(command, session);
    case "audit verify":
      return verifyAudit(command, session);
    case "audit verify-chain":
      return verifyChain(command, session);
    case "audit prove":
      return proveEntry(command, session);
    case "audit checkpoint":
      return showCheckpoint(command, session);
    case "audit compliance-export":
      return exportCompliance(command, session);
    case "audit export":
      return exportAudit(command, session);
    case "run deno":
      return runDeno(command, session);
    case "deno-flags":
      return printDenoFlags(command, session);
    case "version":
      return showVersion(session);
  }
}

/** The leading words that name a command: what `--help` should be asked of. */
function commandWords(argv: readonly string[]): string[] {
  const words: string[] = [];
  for (const word of argv.slice(0, 2)) {
    if (!/^[a-z][a-z-]*$/.test(word)) break;
    const known = parseArguments([...words, word, "--help"]);
    if (known.kind !== "print") break;
    words.push(word);
  }
  return words;
}

function report(error: unknown, terminal: Terminal): ExitCode {
  const paint = painter(terminal.colors);
  const known = error instanceof CommandError ? error : new CommandError(
    `unexpected failure: ${error instanceof Error ? error.message : String(error)}`,
    ExitCode.FAILURE,
    "report it with the command you ran",
  );
  terminal.err(`${paint("bad", "error:")} ${printableLines(known.message)}\n`);
  if (known.next_step !== undefined) terminal.err(`next: ${printable(known.next_step)}\n`);
  return known.exit_code;
}
