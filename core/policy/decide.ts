/**
 * The one decision function: (policy set, action, facts) → decision (design law 3; contract
 * `policy-and-gateway` §4).
 *
 * Every path runs the same stages in the same order; the first refusal ends the walk. Pure and
 * total: what goes wrong inside is a refusal with its own name.
 *
 * @module
 */
import { type Action, scannableText } from "../action.ts";
import type { Principal } from "../principal.ts";
import type { Decision, RateCharge } from "../verdict.ts";
import { budgetDenial, type Spend } from "./budget.ts";
import { capabilityOf } from "./capability.ts";
import type { Cascade } from "./cascade.ts";
import type { PolicySet } from "./compile.ts";
import { actionRule, detect, type Detection } from "./detection.ts";
import type { LookupEvidence } from "./expression/condition.ts";
import { verbOf } from "./filesystem.ts";
import { understandHost } from "./network.ts";
import { type BoundCharge, chargesOf } from "./rate_rules.ts";
import { scheduleState } from "./schedule.ts";
import { type Denial, ruleAt } from "./stage.ts";
import type { BoundCondition, ToolPlan } from "./tool.ts";

/** Everything a decision may depend on besides policy and action. */
export interface Facts {
  /** Milliseconds since the Unix epoch. */
  readonly now_ms: number;
  readonly principal: Principal;
  /** Tokens available now; at least 1 passes. Only looks: the caller takes the token afterwards. */
  readonly rateTokens: (charge: RateCharge) => number;
  readonly spend: Spend;
}

/** Denial when there is no policy at all; the merge of nothing is a refusal (contract §3.3). */
export const NO_POLICY = "no policy — fail-closed";

/** Denial when a directory has documents but none governs the agent. */
export const NO_APPLICABLE_POLICY = "no policy applies to this agent";

/** Denial when the engine itself fails. */
export const ENGINE_FAULT = "policy engine fault";

/** Shared so that the common path allocates nothing; frozen because it is shared. */
const NOTHING: never[] = Object.freeze([]) as unknown as never[];

/**
 * Decides. Never throws and changes nothing: asking twice gives the same answer.
 *
 * @returns A denial when no policy is configured, none applies, or anything fails inside.
 */
export function decide(policy: PolicySet, action: Action, facts: Facts): Decision {
  try {
    return walk(policy, action, facts);
  } catch {
    return denied({ stage: "configuration", reason: ENGINE_FAULT });
  }
}

function walk(policy: PolicySet, action: Action, facts: Facts): Decision {
  const { principal } = facts;
  if (policy.state !== "configured") return denied({ stage: "configuration", reason: NO_POLICY });
  assertShape(action);
  const cascade = policy.index.cascade(principal, action);
  if (cascade === undefined) {
    return denied({ stage: "configuration", reason: NO_APPLICABLE_POLICY });
  }
  const plan = action.kind === "tool_call" ? cascade.tool(action.tool) : undefined;
  const charges = chargesOf(plan, cascade.rates, action, principal);
  const refusal = statusDenial(principal) ??
    scheduleDenial(cascade, facts.now_ms) ??
    networkDenial(cascade, action) ??
    capabilityDenial(cascade, action) ??
    filesystemDenial(cascade, action) ??
    toolDenial(plan) ??
    rateDenial(charges, facts);
  if (refusal !== undefined) return denied(refusal);

  const conditions = plan?.conditions ??
    (action.kind === "send_message" ? cascade.on_message : NOTHING);
  const evidence: LookupEvidence[] = conditions.length === 0 ? NOTHING : [];
  const approval = firing(conditions, action, principal, evidence);
  const detection = detect(cascade.detection, scannableText(action), cascade.scanner);
  const late = detection.denial ??
    budgetDenial(cascade.budgets, action, principal, facts.spend);
  if (late !== undefined) return denied(late, detection, evidence);
  return passed(cascade, action, { approval, detection, evidence, charges });
}

/** Refuses any principal that is not active (§13.1 #6). */
function statusDenial(principal: Principal): Denial | undefined {
  switch (principal.status) {
    case "active":
      return undefined;
    case "suspended":
    case "deregistered":
    case "stale":
      return { stage: "status", reason: `agent ${principal.status}` };
    default:
      return { stage: "status", reason: "agent status unknown" };
  }
}

/** Refuses outside any document's opening hours. */
function scheduleDenial(cascade: Cascade, now_ms: number): Denial | undefined {
  for (const by of cascade.schedules) {
    const hours = by.document.schedule?.active_hours;
    if (hours === undefined) continue;
    const state = scheduleState(hours, now_ms);
    if (state === "open") continue;
    const reason = state === "closed"
      ? "outside active hours"
      : `invalid schedule timezone: ${hours.timezone}`;
    const rule = ruleAt(by.document, hours.at, "schedule.active_hours");
    return { stage: "schedule", reason, by, rule };
  }
  return undefined;
}

/** Refuses a host that any document's allowlist lacks: each is tested on its own. */
function networkDenial(cascade: Cascade, action: Action): Denial | undefined {
  if (action.kind !== "network_request" || cascade.networks.length === 0) return undefined;
  const understood = understandHost(action.url);
  for (const by of cascade.networks) {
    if (by.hosts === undefined || by.hosts.permits(understood)) continue;
    const at = by.document.network?.at ?? { line: 1, column: 1 };
    const rule = ruleAt(by.document, at, "network.allowlist");
    return { stage: "network", reason: "host not in network allowlist", by, rule };
  }
  return undefined;
}

/** Refuses what a capability list denies or an allow list lacks. */
function capabilityDenial(cascade: Cascade, action: Action): Denial | undefined {
  if (cascade.capabilities.silent) return undefined;
  const capability = capabilityOf(action);
  if (capability === undefined) return undefined;
  const verdict = cascade.capabilities.check(capability);
  if (verdict.verdict === "pass") return undefined;
  const { by } = verdict;
  if (verdict.verdict === "denied") {
    const at = by.document.capabilities?.deny.indexOf(verdict.token) ?? 0;
    const rule = ruleAt(by.document, verdict.token, `capabilities.deny[${at}]`);
    return { stage: "capability", reason: "capability denied by policy", by, rule };
  }
  const at = by.document.capabilities?.at ?? { line: 1, column: 1 };
  const rule = ruleAt(by.document, at, "capabilities.allow");
  return { stage: "capability", reason: "capability not in allow list", by, rule };
}

/** Refuses a path outside a stated verb's subtrees (§13.1 #22). */
function filesystemDenial(cascade: Cascade, action: Action): Denial | undefined {
  if (action.kind !== "file_access") return undefined;
  const verb = verbOf(action.mode);
  const merged = cascade.paths(verb);
  if (merged === undefined || merged.contains(action.path)) return undefined;
  const by = cascade.documents.find((document) => document[verb]?.contains(action.path) === false);
  const at = by?.document.filesystem?.[verb]?.at;
  if (by === undefined || at === undefined) throw new Error("a merged scope lacks its document");
  const rule = ruleAt(by.document, at, `filesystem.${verb}.allow`);
  return { stage: "filesystem", reason: "path not in filesystem allowlist", by, rule };
}

/** Refuses a tool that an entry does not permit. */
function toolDenial(plan: ToolPlan | undefined): Denial | undefined {
  return plan?.denied && { stage: "tool", reason: "tool denied by policy", ...plan.denied };
}

/** Refuses when any bucket has no whole token; a limit of zero never has one. */
function rateDenial(charges: readonly BoundCharge[], facts: Facts): Denial | undefined {
  for (const { charge, by, rule } of charges) {
    if (charge.limit >= 1 && facts.rateTokens(charge) >= 1) continue;
    return { stage: "rate_limit", reason: "rate limit exceeded", by, rule };
  }
  return undefined;
}

/** The narrowest condition that fires; all are asked, so that all evidence is gathered. */
function firing(
  conditions: readonly BoundCondition[],
  action: Action,
  principal: Principal,
  evidence: LookupEvidence[],
): BoundCondition | undefined {
  let last: BoundCondition | undefined;
  if (conditions.length === 0) return last;
  const input = { action, agent: principal.context };
  for (const bound of conditions) {
    if (bound.condition.fires(input, evidence)) last = bound;
  }
  return last;
}

interface Passed {
  readonly approval: BoundCondition | undefined;
  readonly detection: Detection;
  readonly evidence: readonly LookupEvidence[];
  readonly charges: readonly BoundCharge[];
}

function passed(cascade: Cascade, action: Action, found: Passed): Decision {
  const { approval, detection, evidence } = found;
  const { findings, redacted } = detection;
  const narrowed = approval === undefined && cascade.capabilities.lists.length > 0 &&
    action.kind !== "send_message";
  const plain = narrowed ? cascade.allow_narrowed : cascade.allow;
  const charges = found.charges.length === 0
    ? undefined
    : found.charges.map((bound) => bound.charge);
  if (approval === undefined && findings.length === 0 && evidence.length === 0) {
    return charges === undefined ? plain : { ...plain, charges };
  }
  const kept = {
    ...plain,
    findings,
    evidence,
    ...(redacted !== undefined && { redacted }),
    ...(charges && { charges }),
  };
  if (approval !== undefined) {
    return {
      ...kept,
      outcome: "require_approval",
      stage: "approval",
      rule: approval.rule,
      approval_timeout_secs: approval.by.document.approval_timeout_secs,
      policy_doc_id: approval.by.document.digest,
    };
  }
  if (redacted === undefined) return kept;
  const { rule } = actionRule(cascade.detection);
  return { ...kept, stage: "scan", ...(rule && { rule }) };
}

function denied(
  denial: Denial,
  detection?: Detection,
  evidence: readonly LookupEvidence[] = NOTHING,
): Decision {
  const { stage, reason, by, rule, suspend } = denial;
  return {
    outcome: "deny",
    reason,
    stage,
    ...(rule && { rule }),
    findings: detection?.findings ?? NOTHING,
    narrowed: false,
    deny_action: suspend === true ? "suspend_agent" : "none",
    ...(by && { policy_doc_id: by.document.digest }),
    evidence,
  };
}

/** Texts must be texts: a look-up by anything else would find no rule, and no rule allows. */
function assertShape(action: Action): void {
  if (!hasShape(action)) throw new TypeError("an action of a wrong shape");
}

function hasShape(action: Action): boolean {
  switch (action.kind) {
    case "tool_call":
      return typeof action.tool === "string" && typeof action.args === "string";
    case "tool_result":
      return typeof action.tool === "string" && typeof action.result === "string";
    case "file_access":
      return typeof action.path === "string" && FILE_MODES.has(action.mode);
    case "network_request":
      return typeof action.url === "string" && typeof action.method === "string";
    case "process_exec":
      return typeof action.command === "string";
    case "send_message":
      return true;
    default:
      return false;
  }
}

const FILE_MODES: ReadonlySet<unknown> = new Set(["read", "write", "append", "delete"]);
