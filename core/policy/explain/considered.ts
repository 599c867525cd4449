/**
 * What was looked at on the way to a verdict, stage by stage, in the order of the decision and
 * with the same predicates. It ends with the step that refused.
 *
 * @module
 */
import type { Action } from "../../action.ts";
import { type Considered, type Decision, type RuleRef, type Stage, STAGES } from "../../verdict.ts";
import { BUDGET_LIMITS, spentAgainst } from "../budget.ts";
import { capabilityOf } from "../capability.ts";
import type { Cascade } from "../cascade.ts";
import { toolEntry } from "../compiled_document.ts";
import type { Facts } from "../decide.ts";
import { actionRule } from "../detection.ts";
import { pathProblem, verbOf } from "../filesystem.ts";
import { understandHost } from "../network.ts";
import { scheduleState } from "../schedule.ts";
import { chargesOf } from "../rate_rules.ts";
import { ruleAt } from "../stage.ts";
import type { Principal } from "../../principal.ts";
import type { RateLimitOwner } from "../document.ts";
import { usd } from "./moment_edits.ts";
import type { Quote } from "./quote.ts";

/** What the steps of one stage are told from. */
export interface Account {
  readonly cascade: Cascade;
  readonly action: Action;
  readonly facts: Facts;
  readonly decision: Decision;
  readonly quote: Quote;
}

type Step = Omit<Considered, "stage">;

/** All steps of a decision that had governing documents; at most one per rule looked at. */
export function* consideredSteps(account: Account): Generator<Considered> {
  for (const stage of STAGES) {
    let told = false;
    for (const step of STEPS[stage](account)) {
      told = true;
      yield { stage, ...step };
      if (step.result === "deny") return;
    }
    if (!told) yield { stage, result: "not_applicable", detail: "no rule speaks of this" };
  }
}

const STEPS: {
  readonly [stage in Stage]: (account: Account) => Iterable<Step>;
} = {
  configuration: configurationSteps,
  status: statusSteps,
  schedule: scheduleSteps,
  network: networkSteps,
  capability: capabilitySteps,
  filesystem: filesystemSteps,
  tool: toolSteps,
  rate_limit: rateSteps,
  approval: approvalSteps,
  scan: scanSteps,
  budget: budgetSteps,
};

function step(result: Considered["result"], detail: string, rule?: RuleRef): Step {
  return { result, detail, ...(rule && { rule }) };
}

/** Files named in one line; a cascade of thousands is counted. */
const FILES_NAMED = 8;

function* configurationSteps({ cascade }: Account): Generator<Step> {
  const names = cascade.documents.slice(0, FILES_NAMED).map(({ document }) => {
    const { scope } = document;
    return `\`${document.file}\` (${
      scope.tier === "global" ? "global" : `${scope.tier}:${scope.id}`
    })`;
  });
  const more = cascade.documents.length - names.length;
  yield step("pass", `governed by ${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`);
}

function* statusSteps({ facts }: Account): Generator<Step> {
  const { status } = facts.principal;
  yield step(status === "active" ? "pass" : "deny", `the agent is ${status}`);
}

function* scheduleSteps({ cascade, facts }: Account): Generator<Step> {
  for (const { document } of cascade.schedules) {
    const hours = document.schedule?.active_hours;
    if (hours === undefined) continue;
    const state = scheduleState(hours, facts.now_ms);
    const detail = state === "unknown_zone"
      ? `time zone \`${hours.timezone}\` is not known`
      : `${state} at ${
        new Date(facts.now_ms).toISOString()
      }: ${hours.start} to ${hours.end} ${hours.timezone}`;
    const rule = ruleAt(document, hours.at, "schedule.active_hours");
    yield step(state === "open" ? "pass" : "deny", detail, rule);
  }
}

function* networkSteps({ cascade, action, quote }: Account): Generator<Step> {
  if (action.kind !== "network_request") return;
  const understood = understandHost(action.url);
  const host = understood.kind === "host"
    ? `host ${quote.text(understood.host)}`
    : understood.kind === "none"
    ? "no host, because the URL has no `://`; only the entry `*` can match"
    : `no host: ${understood.why}`;
  for (const { document, hosts } of cascade.networks) {
    if (hosts === undefined || document.network === undefined) continue;
    const permitted = hosts.permits(understood);
    const count = document.network.allowlist.length;
    const rule = ruleAt(document, document.network.at, "network.allowlist");
    const detail = `understood ${host}; ${permitted ? "matches" : "matches none of"} ` +
      `the allowlist (${count} ${count === 1 ? "entry" : "entries"})`;
    yield step(permitted ? "pass" : "deny", detail, rule);
  }
}

function* capabilitySteps({ cascade, action, quote }: Account): Generator<Step> {
  const capability = capabilityOf(action);
  if (capability === undefined) return;
  const needed = `needs ${quote.text(capability)}`;
  const verdict = cascade.capabilities.check(capability);
  if (verdict.verdict === "denied") {
    const { document } = verdict.by;
    const at = document.capabilities?.deny.indexOf(verdict.token) ?? 0;
    const rule = ruleAt(document, verdict.token, `capabilities.deny[${at}]`);
    yield step("deny", `${needed}; \`${verdict.token.text}\` is denied`, rule);
    return;
  }
  for (const { document, allowed_capabilities } of cascade.capabilities.lists) {
    if (document.capabilities === undefined) continue;
    const listed = allowed_capabilities?.has(capability) === true;
    const rule = ruleAt(document, document.capabilities.at, "capabilities.allow");
    yield step(
      listed ? "pass" : "deny",
      `${needed}; ${listed ? "" : "not "}on the allow list`,
      rule,
    );
  }
}

function* filesystemSteps({ cascade, action, quote }: Account): Generator<Step> {
  if (action.kind !== "file_access") return;
  const verb = verbOf(action.mode);
  const problem = pathProblem(action.path);
  const path = `path ${quote.text(action.path)}${problem === undefined ? "" : ` ${problem}`}`;
  for (const by of cascade.documents) {
    const scope = by[verb];
    const at = by.document.filesystem?.[verb]?.at;
    if (scope === undefined || at === undefined) continue;
    const inside = scope.contains(action.path);
    const rule = ruleAt(by.document, at, `filesystem.${verb}.allow`);
    yield step(
      inside ? "pass" : "deny",
      `${path}; ${inside ? "inside" : "outside"} the list`,
      rule,
    );
  }
}

function* toolSteps({ cascade, action }: Account): Generator<Step> {
  if (action.kind !== "tool_call") return;
  for (const { document } of cascade.documents) {
    const entry = toolEntry(document, action.tool);
    if (entry === undefined) continue;
    const { name, rule } = entry;
    const cited = rule.allow_at === undefined
      ? ruleAt(document, rule.at, `tools.${name}`)
      : ruleAt(document, rule.allow_at, `tools.${name}.allow`);
    const said = rule.allow_at === undefined
      ? `has no \`allow\`, and the default is ${rule.allow}`
      : `says \`allow: ${rule.allow}\``;
    yield step(rule.allow ? "pass" : "deny", `entry \`${name}\` ${said}`, cited);
  }
}

function* rateSteps({ cascade, action, facts }: Account): Generator<Step> {
  const { principal } = facts;
  const plan = action.kind === "tool_call" ? cascade.tool(action.tool) : undefined;
  for (const { charge, rule, per } of chargesOf(plan, cascade.rates, action, principal)) {
    const { limit, window_ms } = charge;
    const tokens = limit >= 1 ? facts.rateTokens(charge) : 0;
    const left = Math.max(0, Math.floor(tokens));
    const detail = `${left} of ${limit} calls ${windowText(window_ms)} left in the bucket ${
      bucketOwner(per, principal)
    }`;
    yield step(tokens >= 1 ? "pass" : "deny", detail, rule);
  }
}

function bucketOwner(per: RateLimitOwner | "tool", principal: Principal): string {
  if (per === "global") return "of the gateway";
  if (per === "org" && principal.org_id !== undefined) return "of the organisation";
  if ((per === "team" || per === "tool") && principal.team_id !== undefined) return "of the team";
  return principal.registry_key === undefined ? "shared by unregistered agents" : "of the agent";
}

function windowText(window_ms: number): string {
  return window_ms === 3_600_000 ? "an hour" : `in ${window_ms / 1_000} s`;
}

function* approvalSteps({ cascade, action, facts, quote }: Account): Generator<Step> {
  const conditions = action.kind === "tool_call"
    ? cascade.tool(action.tool).conditions
    : action.kind === "send_message"
    ? cascade.on_message
    : [];
  const input = { action, agent: facts.principal.context };
  for (const { condition, rule } of conditions) {
    const fires = condition.fires(input);
    const clauses = condition.explain(input)
      .map(({ clause, holds, seen }) =>
        `\`${clause}\` ${holds ? "holds" : "does not hold"} (${quote.plain(seen)})`
      );
    const detail = [`the condition ${fires ? "fires" : "does not fire"}`, ...clauses].join("; ");
    yield step(fires ? "require_approval" : "pass", detail, rule);
  }
}

function* scanSteps({ cascade, decision }: Account): Generator<Step> {
  const { findings, redacted } = decision;
  if (decision.stage === "scan" && decision.outcome === "deny") {
    yield step("deny", `${decision.reason}${countOf(findings.length)}`, decision.rule);
    return;
  }
  const { rule } = actionRule(cascade.detection);
  if (redacted !== undefined) {
    yield step("redact", `sensitive data replaced${countOf(findings.length)}`, rule);
  } else {
    const found = findings.length === 0 ? "no sensitive data" : "sensitive data reported only";
    yield step("pass", `${found}${countOf(findings.length)}`, rule);
  }
}

function countOf(findings: number): string {
  return findings === 0 ? "" : ` (${findings} ${findings === 1 ? "finding" : "findings"})`;
}

function* budgetSteps({ cascade, facts, decision }: Account): Generator<Step> {
  for (const { document } of cascade.budgets) {
    for (const limit of BUDGET_LIMITS) {
      const { budget } = document;
      const stated = budget?.[limit.key];
      if (budget === undefined || stated === undefined) continue;
      const spent = spentAgainst(facts.spend, limit, budget);
      const path = `budget.${limit.yaml_key}`;
      const rule = ruleAt(document, stated, path);
      const refused = decision.stage === "budget" && decision.rule?.path === path &&
        decision.rule.file === document.file && decision.outcome === "deny";
      const figure = spent === undefined ? "spend unknown" : `${usd(spent)} USD spent`;
      const detail = `${figure} of ${usd(stated.value)} USD (${limit.owner}, ${limit.window})`;
      yield step(refused ? "deny" : "pass", detail, rule);
    }
  }
}
