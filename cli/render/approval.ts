/**
 * Approvals for people and programs.
 *
 * @module
 */
import type { approvals } from "../../proto/mod.ts";
import type { Terminal } from "../terminal.ts";
import { painter, type Tone, toneOf } from "./color.ts";
import { type Field, fields } from "./fields.ts";
import { momentText, utcText } from "./moment.ts";
import { printable, printableLines } from "./printable.ts";
import type { Data } from "./report.ts";
import { MISSING, table } from "./table.ts";

/** Time left of a pending request, e.g. `4m 20s`; a dash when nobody is waited for. */
export function timeLeft(expires_at_unix_ms: bigint, now_ms: number): string {
  if (expires_at_unix_ms === 0n) return MISSING;
  const left_s = Math.max(0, Math.floor((Number(expires_at_unix_ms) - now_ms) / 1_000));
  if (left_s < 60) return `${left_s}s`;
  if (left_s < 3_600) return `${Math.floor(left_s / 60)}m ${left_s % 60}s`;
  return `${Math.floor(left_s / 3_600)}h ${Math.floor(left_s % 3_600 / 60)}m`;
}

/** Red below a minute, yellow up to three, green above (contract `surface` §3.2). */
export function urgency(expires_at_unix_ms: bigint, now_ms: number): Tone | undefined {
  if (expires_at_unix_ms === 0n) return undefined;
  const left_ms = Number(expires_at_unix_ms) - now_ms;
  return left_ms < 60_000 ? "bad" : left_ms <= 180_000 ? "caution" : "good";
}

/** Dollars of micro-dollars, exactly; a dash for nothing. */
export function usd(micro_usd: bigint): string {
  if (micro_usd === 0n) return MISSING;
  const digits = String(micro_usd).padStart(7, "0");
  return `$${digits.slice(0, -6)}.${digits.slice(-6).replace(/0{1,4}$/, "")}`;
}

/** Requests as rows. */
export function approvalsTable(
  list: readonly approvals.Approval[],
  now_ms: number,
  terminal: Terminal,
): string {
  const tones = new Map(list.map((one) => {
    const left = timeLeft(one.expiresAtUnixMs, now_ms);
    return [left, urgency(one.expiresAtUnixMs, now_ms)];
  }));
  return table(
    [
      { title: "ID" },
      { title: "AGENT" },
      { title: "ACTION" },
      { title: "STATUS", toned: true },
      { title: "TIMEOUT_IN", tone: (cell) => tones.get(cell.trim()) },
      { title: "PRICE", align: "right" },
      { title: "ROUTING" },
    ],
    list.map((one) => [
      one.requestId,
      one.agentId,
      `${one.actionKind} ${one.resource}`.trim(),
      one.status,
      timeLeft(one.expiresAtUnixMs, now_ms),
      usd(one.microUsd),
      one.routingStatus,
    ]),
    terminal,
  );
}

/** One request with what is approved: text, digest, rule, who may decide, what happened. */
export function approvalText(
  answer: approvals.GetApprovalResponse,
  now_ms: number,
  terminal: Terminal,
): string {
  const { approval } = answer;
  if (approval === undefined) return "";
  const strong = (text: string) => painter(terminal.colors)("strong", text);
  const history = [
    ...approval.steps.map((step) => ({
      at: step.atUnixMs,
      text: `${step.action} to ${step.to}${step.by === "" ? "" : ` by ${step.by}`}`,
    })),
    ...approval.votes.map((vote) => ({
      at: vote.atUnixMs,
      text: `${vote.verdict} by ${vote.by}` +
        (vote.condition === "" ? "" : ` (${vote.condition})`) +
        (vote.reason === "" ? "" : `: ${vote.reason}`),
    })),
  ].toSorted((a, b) => Number(a.at - b.at));
  return `${fields(approvalFields(approval, now_ms), terminal)}\n${strong("what would happen")}\n` +
    `${shownText(answer)}\n\n${strong("history")}\n` +
    history.map(({ at, text }) => `${utcText(at)}  ${printable(text)}\n`).join("");
}

/** The redacted text, or in words why there is none. */
function shownText(answer: approvals.GetApprovalResponse): string {
  if (!answer.shownTextHeld) {
    return "(the arguments are not held: the gateway was restarted, or the request has ended; " +
      "they come back when the agent asks again)";
  }
  const cut = answer.shownTextCutChars === 0
    ? ""
    : `\n(${answer.shownTextCutChars} more characters are not shown; the digest covers them)`;
  return `${answer.shownText === "" ? "(no arguments)" : printableLines(answer.shownText)}${cut}`;
}

function approvalFields(one: approvals.Approval, now_ms: number): Field[] {
  const left = timeLeft(one.expiresAtUnixMs, now_ms);
  const tone = urgency(one.expiresAtUnixMs, now_ms);
  const optional = (name: string, value: string): Field[] => value === "" ? [] : [{ name, value }];
  return [
    { name: "request", value: one.requestId },
    { name: "status", value: one.status },
    { name: "agent", value: `${one.agentId} (${one.assurance})` },
    { name: "organisation", value: one.orgId },
    { name: "team", value: one.teamId },
    { name: "action", value: `${one.actionKind} ${one.resource}`.trim() },
    { name: "asked by", value: one.askedBy },
    ...optional("why", one.why),
    { name: "rule", value: one.rule === "" ? "" : `${one.rule} (${one.ruleAt})` },
    { name: "price", value: usd(one.microUsd) },
    { name: "digest", value: one.digest },
    { name: "asked at", value: momentText(one.submittedAtUnixMs, now_ms) },
    { name: "timeout in", value: left, ...(tone === undefined ? {} : { tone }) },
    { name: "routing", value: `${one.routingStatus}: ${one.targets.join(" or ")}` },
    ...(one.escalatesAtUnixMs === 0n ? [] : [{
      name: "escalates",
      value: `${utcText(one.escalatesAtUnixMs)} to ${one.escalatesTo}`,
    }]),
    { name: "agreed", value: `${yesCount(one)} of ${one.quorum}` },
    ...optional("condition", one.condition),
    ...(one.maxUses === 0 ? [] : [
      { name: "used", value: `${one.uses} of ${one.maxUses}` },
      { name: "grant until", value: utcText(one.grantExpiresAtUnixMs) },
    ]),
    ...optional("because", one.reason),
  ];
}

function yesCount({ votes }: approvals.Approval): number {
  return votes.filter((vote) => vote.verdict === "approve").length;
}

/** One change as a line (contract `surface` §3.2). */
export function noticeLine(notice: approvals.ApprovalNotice, terminal: Terminal): string {
  const { change, approval: one } = notice;
  if (one === undefined) return "";
  const word = change === "submitted" || change === "pending" ? "NEW" : change.toUpperCase();
  const last = one.votes.at(-1);
  const parts = [
    `${word} ${one.requestId}`,
    `agent=${one.agentId}`,
    `action=${`${one.actionKind} ${one.resource}`.trim()}`,
    word === "NEW" ? `condition=${one.rule || one.askedBy}` : `status=${one.status}`,
    ...(last === undefined || word === "NEW" ? [] : [`by=${last.by}`]),
    ...(one.reason === "" ? [] : [`reason=${one.reason}`]),
  ];
  const line = parts.map(printable).join(" | ");
  return painter(terminal.colors)(toneOf(word === "NEW" ? "pending" : change), line);
}

/** One request as data. */
export function approvalData(one: approvals.Approval): Data {
  return {
    id: one.requestId,
    status: one.status,
    agent_id: one.agentId,
    agent_key: one.agentKey,
    org_id: one.orgId,
    team_id: one.teamId,
    assurance: one.assurance,
    action_kind: one.actionKind,
    action_type: one.actionType,
    resource: one.resource,
    asked_by: one.askedBy,
    why: one.why,
    rule: one.rule,
    rule_at: one.ruleAt,
    policy_doc_ids: one.policyDocIds,
    micro_usd: one.microUsd,
    digest: one.digest,
    submitted_at_unix_ms: one.submittedAtUnixMs,
    expires_at_unix_ms: one.expiresAtUnixMs,
    routing_status: one.routingStatus,
    targets: one.targets,
    escalates_at_unix_ms: one.escalatesAtUnixMs,
    escalates_to: one.escalatesTo,
    quorum: one.quorum,
    votes: one.votes.map((vote) => ({
      by: vote.by,
      verdict: vote.verdict,
      at_unix_ms: vote.atUnixMs,
      reason: vote.reason,
      condition: vote.condition,
    })),
    steps: one.steps.map((step) => ({
      action: step.action,
      at_unix_ms: step.atUnixMs,
      to: step.to,
      by: step.by,
    })),
    reason: one.reason,
    condition: one.condition,
    uses: one.uses,
    max_uses: one.maxUses,
    grant_expires_at_unix_ms: one.grantExpiresAtUnixMs,
    ended_at_unix_ms: one.endedAtUnixMs,
  };
}
