/**
 * Edits for refusals by the moment: status, schedule, rate, approval, sensitive data and budget.
 * Waiting and mending the request come before loosening a policy.
 *
 * @module
 */
import { scannableText, withScannableText } from "../../action.ts";
import type { Decision } from "../../verdict.ts";
import type { Finding } from "../../scanner/finding.ts";
import { redact } from "../../scanner/mod.ts";
import { BUDGET_LIMITS, type BudgetLimit, spentAgainst } from "../budget.ts";
import { MESSAGE_TOOL, toolEntry } from "../compiled_document.ts";
import { compilePolicySet } from "../compile.ts";
import type { ToolRule } from "../document.ts";
import { type BoundCharge, chargesOf } from "../rate_rules.ts";
import { nextOpenings, scheduleState } from "../schedule.ts";
import { ruleAt } from "../stage.ts";
import type { Quote } from "./quote.ts";
import { documentEdit, type Edit, type Place, waitUntil, type World } from "./world.ts";

/** Have the agent brought back by an operator. */
export function statusEdits(world: World): Edit[] {
  const { status } = world.facts.principal;
  const text = status === "deregistered"
    ? "have an operator register the agent again"
    : status === "stale"
    ? "have the agent send a heartbeat, or an operator resume it"
    : "have an operator resume the agent";
  return [{
    change: { text, who: "operator" },
    apply: (tried) => {
      const principal = { ...tried.facts.principal, status: "active" as const };
      return { ...tried, facts: { ...tried.facts, principal } };
    },
  }];
}

/** Wait until every document is open; else open the one that refused. */
export function scheduleEdits(world: World, place: Place): Edit[] {
  const { document } = place;
  const hours = document.schedule?.active_hours;
  if (hours === undefined) return [];
  if (scheduleState(hours, world.facts.now_ms) === "unknown_zone") {
    const path = "schedule.active_hours.timezone";
    const text = `set \`${path}\` to a name of the IANA time zone database, e.g. \`UTC\``;
    const change = { text, rule: ruleAt(document, hours.at, path), yaml: '"UTC"' };
    return [documentEdit(place, change, (edited) => ({
      ...edited,
      schedule: { at: hours.at, active_hours: { ...hours, timezone: "UTC" } },
    }))];
  }
  const edits: Edit[] = [];
  const opening_ms = commonOpening(world);
  if (opening_ms !== undefined) {
    const text = `wait until ${new Date(opening_ms).toISOString()}, when active hours ` +
      `(${hours.start} to ${hours.end} ${hours.timezone}) begin`;
    const change = { text, who: "agent" };
    edits.push({ change, apply: (tried) => waitUntil(tried, opening_ms) });
  }
  const change = {
    text: "remove `schedule.active_hours`, or widen it to include the present time",
    rule: ruleAt(document, hours.at, "schedule.active_hours"),
  };
  edits.push(documentEdit(place, change, (edited) => ({ ...edited, schedule: { at: hours.at } })));
  return edits;
}

/** The earliest coming instant at which every document of the world is open. */
function commonOpening(world: World): number | undefined {
  const windows = world.documents.flatMap((document) => document.schedule?.active_hours ?? []);
  return windows
    .flatMap((hours) => nextOpenings(hours, world.facts.now_ms))
    .sort((a, b) => a - b)
    .find((at_ms) => windows.every((hours) => scheduleState(hours, at_ms) === "open"));
}

/** Wait for a token; a limit of zero never has one and must be raised. */
export function rateEdits(world: World, place: Place, path: string, quote: Quote): Edit[] {
  const { action, facts } = world;
  const { document } = place;
  const refusing = applicableCharges(world).find(({ by, rule }) =>
    rule.path === path && by.document.file === document.file
  );
  if (refusing === undefined) return [];
  const { charge, rule } = refusing;
  if (!(charge.limit >= 1)) {
    const key = path.endsWith(".limit_per_hour") ? path : `${path}.limit`;
    const text = `raise \`${key}\` from ${charge.limit} to at least 1`;
    const change = { text, rule: { ...rule, path: key }, yaml: "1" };
    return [documentEdit(place, change, (edited) => withRaisedLimit(edited, path))];
  }
  const tokens = Math.max(0, facts.rateTokens(charge));
  const wait_s = Math.ceil((1 - tokens) * charge.window_ms / 1_000 / charge.limit);
  const what = action.kind === "tool_call" ? `call of ${quote.text(action.tool)}` : "such action";
  // A second more, should rounding have left the token a hair short of whole.
  return [wait_s, wait_s + 1].map((seconds) => ({
    change: {
      text: `wait ${seconds} s, when the next ${what} is due under \`${path}\` (${charge.limit})`,
      rule,
      who: "agent",
    },
    apply: (tried) => waitUntil(tried, tried.facts.now_ms + seconds * 1_000),
  }));
}

function applicableCharges({ mode, documents, action, facts }: World): readonly BoundCharge[] {
  const { principal } = facts;
  const cascade = compilePolicySet(documents, { mode }).index.cascade(principal, action);
  if (cascade === undefined) return [];
  const plan = action.kind === "tool_call" ? cascade.tool(action.tool) : undefined;
  return chargesOf(plan, cascade.rates, action, principal);
}

/** The document with one limit at 1: a tool's, or one of `rate_limits`. */
function withRaisedLimit(document: Place["document"], path: string): Place["document"] {
  const tool = /^tools\.(.*)\.limit_per_hour$/su.exec(path)?.[1];
  const present = tool === undefined ? undefined : document.tools.get(tool);
  if (tool !== undefined && present?.limit_per_hour !== undefined) {
    const raised = { ...present, limit_per_hour: { ...present.limit_per_hour, value: 1 } };
    return { ...document, tools: new Map(document.tools).set(tool, raised) };
  }
  const rate_limits = document.rate_limits?.map((rule, at) =>
    path === `rate_limits[${at}]` ? { ...rule, limit: { ...rule.limit, value: 1 } } : rule
  );
  return rate_limits === undefined ? document : { ...document, rate_limits };
}

/** Take the condition away from this tool alone; the text also says how to satisfy it. */
export function approvalEdits(world: World, place: Place, quote: Quote): Edit[] {
  const { action } = world;
  const { document } = place;
  const tool = action.kind === "send_message"
    ? MESSAGE_TOOL
    : action.kind === "tool_call"
    ? action.tool
    : undefined;
  const entry = tool === undefined ? undefined : toolEntry(document, tool);
  const condition = entry?.rule.requires_approval_if;
  if (tool === undefined || entry === undefined || condition === undefined) return [];
  const own = entry.name === tool;
  const path = own ? `tools.${tool}.requires_approval_if` : `tools.${quote.plain(tool)}`;
  const remedy = own
    ? `remove \`${path}\``
    : `add an entry for ${quote.text(tool)} to \`tools\` without the condition of \`*\``;
  const wanted = condition.explain({ action, agent: world.facts.principal.context })
    .filter((clause) => clause.urges)
    .map(({ clause, seen, negated }) =>
      `\`${clause}\` (${quote.plain(seen)})${negated ? " hold" : " not hold"}`
    );
  const change = {
    text: wanted.length === 0 ? remedy : `${remedy}, or make ${wanted.join(" and ")}`,
    rule: ruleAt(document, own ? condition.at : entry.rule.at, path),
    ...(!own && {
      yaml: JSON.stringify({
        allow: entry.rule.allow,
        limit_per_hour: entry.rule.limit_per_hour?.value,
      }),
    }),
  };
  return [documentEdit(place, change, (edited) => {
    const present: ToolRule | undefined = own ? edited.tools.get(tool) : entry.rule;
    if (present === undefined) return edited;
    const { requires_approval_if: _removed, ...rule } = present;
    return { ...edited, tools: new Map(edited.tools).set(tool, rule) };
  })];
}

/** Take the secret out of the request; else let it through redacted. */
export function scanEdits(
  world: World,
  place: Place | undefined,
  decision: Decision,
): Edit[] {
  const { findings } = decision;
  const edits: Edit[] = [];
  const text = scannableText(world.action);
  if (findings.length > 0 && text !== undefined) {
    const cleaned = redact(text, findings);
    const change = { text: `remove the sensitive data: ${listKinds(findings)}`, who: "agent" };
    edits.push({
      change,
      apply: (tried) => ({ ...tried, action: withScannableText(tried.action, cleaned) }),
    });
  }
  const data = place?.document.data;
  if (place === undefined || data === undefined) return edits;
  const pack_at = data.locale_packs.findIndex((_, at) =>
    decision.rule?.path === `data.locale_packs[${at}]`
  );
  const pack = data.locale_packs[pack_at];
  if (pack !== undefined) {
    const path = `data.locale_packs[${pack_at}]`;
    const change = {
      text: `remove \`${pack.value}\` from \`data.locale_packs\`, or run a build that contains it`,
      rule: ruleAt(place.document, pack, path),
    };
    edits.push(documentEdit(place, change, (edited) => {
      if (edited.data === undefined) return edited;
      const locale_packs = edited.data.locale_packs.filter(({ value }) => value !== pack.value);
      return { ...edited, data: { ...edited.data, locale_packs } };
    }));
  } else if (findings.length > 0) {
    const path = "data.credential_action";
    const change = {
      text: `set \`${path}\` to \`redact_only\``,
      rule: ruleAt(place.document, data.credential_action_at ?? data.at, path),
      yaml: '"redact_only"',
    };
    edits.push(documentEdit(place, change, (edited) => {
      if (edited.data === undefined) return edited;
      return { ...edited, data: { ...edited.data, credential_action: "redact_only" } };
    }));
  }
  return edits;
}

function listKinds(findings: readonly Finding[]): string {
  const counts = new Map<string, number>();
  for (const finding of findings) {
    const kind = finding.source === "locale" ? finding.category : finding.kind;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => `${count} × ${kind}`).join(", ");
}

/** Raise an exceeded limit just above the spend; take away one that nobody can test. */
export function budgetEdits(world: World, place: Place, path: string): Edit[] {
  const { document } = place;
  const limit = BUDGET_LIMITS.find(({ yaml_key }) => path === `budget.${yaml_key}`);
  const { budget } = document;
  const stated = limit && budget?.[limit.key];
  if (limit === undefined || budget === undefined || stated === undefined) return [];
  const rule = ruleAt(document, stated, path);
  const spent = spentAgainst(world.facts.spend, limit, budget);
  if (spent === undefined) {
    const text = `connect a budget ledger, or remove \`${path}\``;
    return [documentEdit(place, { text, rule }, (edited) => withLimit(edited, limit, undefined))];
  }
  const above = Math.floor(spent) + 1;
  if (!Number.isSafeInteger(above)) return [];
  const change = {
    text: `raise \`${path}\` above the ${usd(spent)} USD already spent in this window, or wait ` +
      `for the ${limit.window} window to end`,
    rule,
    yaml: usd(above),
  };
  return [documentEdit(place, change, (edited) => withLimit(edited, limit, above))];
}

function withLimit(
  document: Place["document"],
  limit: BudgetLimit,
  value: number | undefined,
): Place["document"] {
  const { budget } = document;
  if (budget === undefined) return document;
  const { [limit.key]: stated, ...rest } = budget;
  if (value === undefined || stated === undefined) return { ...document, budget: rest };
  return { ...document, budget: { ...rest, [limit.key]: { ...stated, value } } };
}

/** Micro-dollars as a decimal of dollars. */
export function usd(micro_usd: number): string {
  const whole = Math.floor(micro_usd / 1_000_000);
  const rest = Math.round(micro_usd - whole * 1_000_000);
  return rest === 0
    ? String(whole)
    : `${whole}.${String(rest).padStart(6, "0")}`.replace(/0+$/, "");
}
