/**
 * Decision facts as bytes: the plaintext of one frame of a segment. What repeats (principals, rules,
 * digests, reasons) is written once a frame. Read back strictly: bytes that are not exactly what
 * {@linkcode encodeFacts} writes are refused, never mended.
 *
 * @module
 */
import type { Action } from "../action.ts";
import type { AgentContext, AgentStatus, Principal } from "../principal.ts";
import { type RuleRef, type Stage, STAGES } from "../verdict.ts";
import type { ApprovalFact, DecisionFact, FactOutcome, Hidden } from "./facts.ts";

/** Bytes that are no frame of facts. The message names the place and never quotes the content. */
export class BadFrame extends Error {
  override readonly name = "BadFrame";
}

const OUTCOMES: readonly FactOutcome[] = ["allow", "redact", "pending", "deny"];
const APPROVALS: readonly ApprovalFact[] = ["granted", "refused", "pending"];
const STATUSES: readonly AgentStatus[] = ["active", "suspended", "deregistered", "stale"];

/** Numbers texts and objects by their JSON, in order of first use. */
class Table {
  readonly rows: unknown[] = [];
  readonly #numbers = new Map<string, number>();

  number(value: unknown): number {
    if (value === undefined) return -1;
    const key = JSON.stringify(value);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.rows.push(value) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }
}

/** One frame's plaintext. */
export function encodeFacts(facts: readonly DecisionFact[]): Uint8Array<ArrayBuffer> {
  const principals = new Table();
  const digests = new Table();
  const rules = new Table();
  const reasons = new Table();
  const rows = facts.map((fact) => {
    const { recorded } = fact;
    return [
      fact.at_ms,
      principals.number(withoutAge(fact.principal)),
      ageOf(fact.principal),
      fact.action,
      fact.hidden ?? 0,
      OUTCOMES.indexOf(recorded.outcome),
      reasons.number(recorded.reason),
      recorded.stage === undefined ? -1 : STAGES.indexOf(recorded.stage),
      rules.number(recorded.rule),
      recorded.shadowed ? 1 : 0,
      fact.micro_usd,
      fact.approval === undefined ? -1 : APPROVALS.indexOf(fact.approval),
      digests.number(fact.policy_digests),
    ];
  });
  return new TextEncoder().encode(JSON.stringify({
    principals: principals.rows,
    digests: digests.rows,
    rules: rules.rows,
    reasons: reasons.rows,
    facts: rows,
  }));
}

/** Age is another number in every call and would make every principal a new one. */
function withoutAge(principal: Principal): Principal {
  const { context } = principal;
  if (typeof context?.age_s !== "number") return principal;
  const { age_s: _age, ...rest } = context;
  return { ...principal, context: rest };
}

function ageOf({ context }: Principal): number {
  return typeof context?.age_s === "number" ? context.age_s : -1;
}

/**
 * The facts of one frame.
 *
 * @throws {BadFrame} Naming the field and the fact, for anything but what was written.
 */
export function decodeFacts(bytes: Uint8Array): DecisionFact[] {
  const frame = parseFrame(bytes);
  const tables: Tables = {
    principals: list(frame, "principals").map(principalOf),
    digests: list(frame, "digests").map((row) => textList(row, "digests")),
    rules: list(frame, "rules").map(ruleOf),
    reasons: list(frame, "reasons").map((row) => text(row, "reasons")),
  };
  return list(frame, "facts").map((row, at) => {
    if (!Array.isArray(row) || row.length !== 13) {
      throw new BadFrame(`fact ${at} does not have 13 fields`);
    }
    return factOf(row, tables, at);
  });
}

interface Tables {
  readonly principals: readonly Principal[];
  readonly digests: readonly (readonly string[])[];
  readonly rules: readonly RuleRef[];
  readonly reasons: readonly string[];
}

function factOf(row: readonly unknown[], tables: Tables, at: number): DecisionFact {
  const where = (name: string) => `${name} of fact ${at}`;
  const age_s = number(row[2], where("age"));
  const principal = pick(tables.principals, row[1], where("principal"));
  const stage = row[7] === -1 ? undefined : pick<Stage>(STAGES, row[7], where("stage"));
  const rule = row[8] === -1 ? undefined : pick(tables.rules, row[8], where("rule"));
  const approval = row[11] === -1 ? undefined : pick(APPROVALS, row[11], where("approval"));
  return {
    at_ms: number(row[0], where("time")),
    principal: age_s < 0 ? principal : { ...principal, context: { ...principal.context, age_s } },
    action: actionOf(row[3], where("action")),
    ...(row[4] === 0 ? {} : { hidden: hiddenOf(row[4], where("hidden")) }),
    recorded: {
      outcome: pick(OUTCOMES, row[5], where("outcome")),
      reason: pick(tables.reasons, row[6], where("reason")),
      ...(stage === undefined ? {} : { stage }),
      ...(rule === undefined ? {} : { rule }),
      shadowed: row[9] === 1,
    },
    micro_usd: number(row[10], where("price")),
    ...(approval === undefined ? {} : { approval }),
    policy_digests: pick(tables.digests, row[12], where("digests")),
  };
}

function parseFrame(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw new BadFrame("a frame is not JSON");
  }
  return record(value, "a frame");
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new BadFrame(`${what} is not an object`);
}

function list(frame: Record<string, unknown>, name: string): readonly unknown[] {
  const value = frame[name];
  if (Array.isArray(value)) return value;
  throw new BadFrame(`\`${name}\` is not a list`);
}

function text(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw new BadFrame(`${what} is not a text`);
}

function textList(value: unknown, what: string): readonly string[] {
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
  throw new BadFrame(`${what} is not a list of texts`);
}

function number(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new BadFrame(`${what} is not a number`);
}

function flag(value: unknown, what: string): boolean {
  if (typeof value === "boolean") return value;
  throw new BadFrame(`${what} is not true or false`);
}

function pick<T>(rows: readonly T[], at: unknown, what: string): T {
  const row = typeof at === "number" ? rows[at] : undefined;
  if (row === undefined) throw new BadFrame(`${what} is not known`);
  return row;
}

function principalOf(value: unknown): Principal {
  const principal = record(value, "a principal");
  const { assurance, agent_id, engine_key, registry_key, org_id, team_id, status, context } =
    principal;
  if (assurance !== "unattributed" && assurance !== "asserted" && assurance !== "bound") {
    throw new BadFrame("the assurance of a principal is not known");
  }
  const known = STATUSES.find((one) => one === status);
  if (known === undefined) throw new BadFrame("the status of a principal is not known");
  const id = (name: string, given: unknown) =>
    given === undefined ? {} : { [name]: text(given, `${name} of a principal`) };
  return {
    assurance,
    agent_id: text(agent_id, "the id of a principal"),
    engine_key: text(engine_key, "the key of a principal"),
    ...id("registry_key", registry_key),
    ...id("org_id", org_id),
    ...id("team_id", team_id),
    status: known,
    // Conditions check each value they read; one of a wrong type counts as missing and fires.
    ...(context === undefined
      ? {}
      : { context: record(context, "the context of a principal") as AgentContext }),
  };
}

function ruleOf(value: unknown): RuleRef {
  const rule = record(value, "a rule");
  return {
    file: text(rule["file"], "the file of a rule"),
    line: number(rule["line"], "the line of a rule"),
    column: number(rule["column"], "the column of a rule"),
    path: text(rule["path"], "the path of a rule"),
    policy_doc_id: text(rule["policy_doc_id"], "the digest of a rule"),
  };
}

/** The decision function itself refuses an action of a wrong shape; here only the kind is told. */
function actionOf(value: unknown, what: string): Action {
  const action = record(value, what);
  const texts = TEXTS_OF_KIND.get(action["kind"]);
  if (texts === undefined) throw new BadFrame(`${what} is of an unknown kind`);
  for (const name of texts) text(action[name], what);
  return action as unknown as Action;
}

const TEXTS_OF_KIND: ReadonlyMap<unknown, readonly string[]> = new Map([
  ["tool_call", ["tool", "args"]],
  ["tool_result", ["tool", "result"]],
  ["file_access", ["path", "mode"]],
  ["network_request", ["url", "method"]],
  ["process_exec", ["command"]],
  ["send_message", []],
]);

function hiddenOf(value: unknown, what: string): Hidden {
  const hidden = record(value, what);
  return {
    tool: flag(hidden["tool"], what),
    pointers: list(hidden, "pointers").map((pointer) => textList(pointer, what)),
    host: flag(hidden["host"], what),
    plain_path: flag(hidden["plain_path"], what),
    builtin: flag(hidden["builtin"], what),
    custom: flag(hidden["custom"], what),
  };
}
