/**
 * To whom a request goes, when it escalates, how many must agree (contract `policy-and-gateway`
 * §8.3). The escalation timer is its own: it always runs out before the request does (§13.3 #41).
 *
 * @module
 */
import type { Target } from "./approver.ts";
import { APPROVAL_LIMITS } from "./limits.ts";

/** Kinds of request a routing row may be for. */
export const APPROVAL_KINDS = ["spawn", "tool_use", "budget_increase", "custom"] as const;

/** One kind. */
export type ApprovalKind = (typeof APPROVAL_KINDS)[number];

/** One row of the routing file. */
export interface RoutingRow {
  /** Absent: for every team without a row of its own. */
  readonly team_id?: string;
  /** Absent: for every kind without a row of its own. */
  readonly approval_kind?: ApprovalKind;
  /** These decide and nobody else; empty: the role decides. */
  readonly approvers: readonly string[];
  readonly escalation_timeout_ms?: number;
  readonly escalation_approvers: readonly string[];
  /** Distinct approvers that must agree; at least 1. */
  readonly quorum: number;
  /** Agents of the same team may decide, as in the reference. */
  readonly agents_may_decide: boolean;
  /** The operator who owns an agent may decide its requests. */
  readonly owner_may_decide: boolean;
}

/** What routing looks at. */
export interface RouteAsk {
  readonly team_id?: string;
  readonly kind: ApprovalKind;
  readonly timeout_ms: number;
  /** `approval` section of the document that asks. */
  readonly policy?: { readonly escalation_ms?: number; readonly escalation_role?: string };
}

/** Where a request goes. */
export interface Route {
  /** Contract text, e.g. `routed_to_team_admin`. */
  readonly status: string;
  readonly targets: readonly Target[];
  readonly quorum: number;
  readonly agents_may_decide: boolean;
  readonly owner_may_decide: boolean;
  /** Absent when nobody stands above. */
  readonly escalation?: { readonly after_ms: number; readonly to: Target };
}

const DEFAULT_ROW: RoutingRow = {
  approvers: [],
  escalation_approvers: [],
  quorum: 1,
  agents_may_decide: true,
  owner_may_decide: true,
};

/** Routes a request: exact kind, then the team's default, then the global default. */
export function routeFor(rows: readonly RoutingRow[], ask: RouteAsk): Route {
  const row = rowFor(rows, ask) ?? DEFAULT_ROW;
  const role = ask.team_id === undefined ? "org_admin" : "team_admin";
  const target: Target = row.approvers.length > 0
    ? { kind: "named", names: row.approvers }
    : { kind: "role", role };
  const to = escalationTarget(row, ask, role);
  return {
    status: `routed_to_${role}`,
    targets: [target],
    quorum: row.quorum,
    agents_may_decide: row.agents_may_decide,
    owner_may_decide: row.owner_may_decide,
    ...(to === undefined ? {} : { escalation: { after_ms: escalationTimer(row, ask), to } }),
  };
}

function rowFor(rows: readonly RoutingRow[], ask: RouteAsk): RoutingRow | undefined {
  const best = (team: string | undefined, kind: ApprovalKind | undefined) =>
    rows.find((row) => row.team_id === team && row.approval_kind === kind);
  const own = ask.team_id === undefined
    ? undefined
    : best(ask.team_id, ask.kind) ?? best(ask.team_id, undefined);
  return own ?? best(undefined, ask.kind) ?? best(undefined, undefined);
}

function escalationTarget(row: RoutingRow, ask: RouteAsk, role: string): Target | undefined {
  const override = ask.policy?.escalation_role;
  if (override !== undefined && override !== "") return { kind: "role", role: override };
  if (row.escalation_approvers.length > 0) {
    return { kind: "named", names: row.escalation_approvers };
  }
  return role === "team_admin" ? { kind: "role", role: "org_admin" } : undefined;
}

/** A timer that would not run out before the request gets half of the request's time. */
function escalationTimer(row: RoutingRow, ask: RouteAsk): number {
  const half_ms = Math.max(1, Math.floor(ask.timeout_ms / 2));
  const wanted_ms = ask.policy?.escalation_ms ?? row.escalation_timeout_ms ??
    APPROVAL_LIMITS.escalation_default_ms;
  return wanted_ms < ask.timeout_ms ? wanted_ms : half_ms;
}

/** Rows, or where the file is wrong and what was expected. */
export type ReadRouting =
  | { readonly ok: true; readonly rows: readonly RoutingRow[] }
  | { readonly ok: false; readonly message: string };

const ROW_KEYS: ReadonlySet<string> = new Set([
  "team_id",
  "approval_kind",
  "approvers",
  "escalation_timeout_secs",
  "escalation_approvers",
  "quorum",
  "agents_may_decide",
  "owner_may_decide",
]);

/** Reads a routing file: a JSON list of rows in the reference's names, unknown keys refused. */
export function readRouting(text: string): ReadRouting {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, message: "is not JSON" };
  }
  if (!Array.isArray(value)) return { ok: false, message: "is not a list of rows" };
  if (value.length > APPROVAL_LIMITS.routing_rows) {
    const limit = APPROVAL_LIMITS.routing_rows;
    return { ok: false, message: `has ${value.length} rows, at most ${limit}` };
  }
  const rows: RoutingRow[] = [];
  const seen = new Set<string>();
  for (const [index, raw] of value.entries()) {
    const row = readRow(raw);
    if (typeof row === "string") return { ok: false, message: `[${index}]${row}` };
    const place = JSON.stringify([row.team_id ?? null, row.approval_kind ?? null]);
    if (seen.has(place)) {
      return { ok: false, message: `[${index}]: a second row for this team and kind` };
    }
    seen.add(place);
    rows.push(row);
  }
  return { ok: true, rows };
}

/** A row, or what is wrong with it as `.field: …`. */
function readRow(raw: unknown): RoutingRow | string {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return ": is not an object";
  const members = new Map<string, unknown>(Object.entries(raw));
  for (const key of members.keys()) {
    if (!ROW_KEYS.has(key)) return `.${key.slice(0, 64)}: unknown key`;
  }
  const team = members.get("team_id") ?? "";
  if (!isName(team) && team !== "") return ".team_id: expected a name";
  const kind = members.get("approval_kind");
  const known = APPROVAL_KINDS.find((word) => word === kind);
  if (kind !== undefined && kind !== null && known === undefined) {
    return `.approval_kind: expected ${APPROVAL_KINDS.join(", ")}`;
  }
  const approvers = members.get("approvers") ?? [];
  const escalation = members.get("escalation_approvers") ?? [];
  if (!isNames(approvers)) return ".approvers: expected a list of distinct names";
  if (!isNames(escalation)) return ".escalation_approvers: expected a list of distinct names";
  const secs = members.get("escalation_timeout_secs");
  if (secs !== undefined && !isInteger(secs, 1, APPROVAL_LIMITS.timeout_ms / 1000)) {
    return ".escalation_timeout_secs: expected a whole number greater than 0";
  }
  const quorum = members.get("quorum") ?? 1;
  if (!isInteger(quorum, 1, APPROVAL_LIMITS.quorum_approvers)) {
    return `.quorum: expected 1 to ${APPROVAL_LIMITS.quorum_approvers}`;
  }
  if (approvers.length > 0 && new Set([...approvers, ...escalation]).size < quorum) {
    return ".quorum: is larger than the number of approvers named: the request could never pass";
  }
  const agents = members.get("agents_may_decide") ?? true;
  if (typeof agents !== "boolean") return ".agents_may_decide: expected true or false";
  const owner = members.get("owner_may_decide") ?? false;
  if (typeof owner !== "boolean") return ".owner_may_decide: expected true or false";
  return {
    ...(team === "" ? {} : { team_id: team }),
    ...(known === undefined ? {} : { approval_kind: known }),
    approvers,
    ...(secs === undefined ? {} : { escalation_timeout_ms: secs * 1000 }),
    escalation_approvers: escalation,
    quorum,
    agents_may_decide: agents,
    owner_may_decide: owner,
  };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "" &&
    value.length <= APPROVAL_LIMITS.name_chars;
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= APPROVAL_LIMITS.approver_names &&
    value.every(isName) && new Set(value).size === value.length;
}

function isInteger(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
}
