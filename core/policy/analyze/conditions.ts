/**
 * Approval conditions that never fire or always do, decided by trying: every combination of the
 * values its clauses can tell apart is made into a request and evaluated.
 *
 * Where those values are all there are to tell apart, "never" and "always" are certain, and one of
 * the requests shows it. Where they are not (two `contains` of one field, too many fields), the
 * condition is left undecided.
 *
 * @module
 */
import type { Action } from "../../action.ts";
import { type AgentContext, RISK_TIERS } from "../../principal.ts";
import { MESSAGE_TOOL } from "../compiled_document.ts";
import type { PolicyDocument, ToolRule } from "../document.ts";
import type { Reading } from "../expression/reading.ts";
import { parse } from "../expression/parser.ts";
import { samplesOf, type Situation } from "../expression/samples.ts";
import { type Clause, clausesOf } from "../expression/syntax.ts";
import { ruleAt } from "../stage.ts";
import { callOf } from "./tools.ts";
import { at, PLAIN_CONTEXT, sameRule, type Witness, type Workbench } from "./witness.ts";

/** Requests tried for one condition. More combinations: it is left undecided. */
export const COMBINATIONS_MAX = 20_000;

/** Looks at every condition of a document. */
export function analyzeConditions(on: Workbench, document: PolicyDocument): void {
  for (const [name, rule] of document.tools) {
    const condition = rule.requires_approval_if;
    // A condition of a denied tool is never consulted, which is told of the entry itself.
    if (condition === undefined || !rule.allow || name === MESSAGE_TOOL) continue;
    const witness = on.witness(document, callOf(on, document, name));
    if (on.decide(witness).stage === "tool" || on.decide(witness).stage === "capability") continue;
    analyzeCondition(on, document, name, rule);
  }
}

function analyzeCondition(
  on: Workbench,
  document: PolicyDocument,
  name: string,
  rule: ToolRule,
): void {
  const condition = rule.requires_approval_if;
  const parsed = condition && parse(condition.text);
  if (condition === undefined || parsed === undefined || !parsed.ok) return;
  const cited = ruleAt(document, condition.at, `tools.${name}.requires_approval_if`);
  const call = callOf(on, document, name);
  if (call.kind !== "tool_call") return;
  const situation: Situation = name === "*"
    ? { action: "tool_call", except: new Set(document.tools.keys()) }
    : { action: "tool_call", tool: name };
  const axes = axesOf(clausesOf(parsed.expression), situation);
  if (typeof axes === "string") return on.leaveOpen(cited, `${at(cited)}: ${axes}`);
  const trial = tryAll(
    on,
    document,
    call.tool,
    axes,
    (witness) => condition.fires({ action: witness.action, agent: witness.principal.context }),
  );
  const complete = axes.every((axis) => axis.complete);
  if (trial.resting === undefined && trial.firing !== undefined) {
    if (!complete) return openEnded(on, cited, "fires for everything that was tried");
    const message = `${at(cited)} fires for every call: approval is asked for each`;
    return on.report(
      { kind: "always_fires", rule: cited, message },
      trial.firing,
      (seen) => seen.outcome === "require_approval" && sameRule(seen.rule, cited),
    );
  }
  if (trial.known_firing || trial.resting === undefined) return;
  if (!complete) return openEnded(on, cited, "fires for nothing that was tried");
  const proviso = trial.firing === undefined ? "" : " while the agent's context is known";
  const message = `${at(cited)} can never fire${proviso}: no approval will be asked for`;
  on.report(
    { kind: "never_fires", rule: cited, message },
    trial.resting,
    (seen) => !sameRule(seen.rule, cited),
  );
}

function openEnded(on: Workbench, rule: ReturnType<typeof ruleAt>, seen: string): void {
  on.leaveOpen(
    rule,
    `${at(rule)} ${seen}, but its texts leave more to try than can be listed`,
  );
}

/** Everything one field may say. */
interface Axis {
  readonly field: string;
  readonly set: (request: Draft, reading: Reading) => void;
  readonly present: readonly Reading[];
  readonly absent: readonly Reading[];
  /** No value beyond these is told apart by the clauses of the field. */
  readonly complete: boolean;
}

/** A request under construction. */
interface Draft {
  tool: string;
  args: Record<string, unknown>;
  context: { -readonly [K in keyof AgentContext]: AgentContext[K] };
}

/** The fields of a condition with their values, or why they cannot be tried. */
function axesOf(clauses: readonly Clause[], situation: Situation): readonly Axis[] | string {
  const by_field = new Map<string, Clause[]>();
  for (const clause of clauses) {
    by_field.set(clause.field.name, [...by_field.get(clause.field.name) ?? [], clause]);
  }
  const names = [...by_field.keys()];
  const entangled = entanglement(names);
  if (entangled !== undefined) return entangled;
  const axes: Axis[] = [];
  for (const [field, own] of by_field) {
    const set = setterOf(field);
    const samples = own.map((clause) => samplesOf(clause, situation));
    axes.push({
      field,
      set: set ?? (() => {}),
      present: set === undefined ? [MISSING] : distinct(samples.flatMap(({ present }) => present)),
      absent: set === undefined ? [] : distinct(samples.flatMap(({ absent }) => absent)),
      complete: set === undefined || own.length === 1 || own.every(isExact),
    });
  }
  const combinations = axes.reduce(
    (product, { present, absent }) => product * (present.length + absent.length),
    1,
  );
  return combinations <= COMBINATIONS_MAX
    ? axes
    : `has ${combinations} combinations of values, more than the ${COMBINATIONS_MAX} that are tried`;
}

const MISSING: Reading = { type: "missing" };

/** Equality and order tell no more apart than the values named and what lies between them. */
function isExact({ operator }: Clause): boolean {
  return operator !== "contains" && operator !== "starts_with";
}

function distinct(readings: readonly Reading[]): Reading[] {
  return [...new Map(readings.map((reading) => [JSON.stringify(reading), reading])).values()];
}

/** Fields that cannot vary independently of each other. */
function entanglement(names: readonly string[]): string | undefined {
  const both = (a: string, b: string) => names.includes(a) && names.includes(b);
  const pair = [
    ["agent.depth", "agent.is_root"],
    ["agent.children_count", "agent.is_leaf"],
    ["team.active_agents", "team.parallel_agents"],
  ].find(([a, b]) => a !== undefined && b !== undefined && both(a, b));
  if (pair !== undefined) return `\`${pair.join("` and `")}\` hang together and were not tried`;
  const paths = names.map(argumentPath).filter((path) => path !== undefined);
  const nested = paths.some((path) =>
    paths.some((other) => other !== path && `${other.join(".")}.`.startsWith(`${path.join(".")}.`))
  );
  if (nested) return "one of its arguments lies inside another: they were not tried";
  // A numbered step may walk into a list as well as into an object.
  if (paths.some((path) => path.some((step) => /^\d+$/.test(step)))) {
    return "it walks into a list of arguments: that was not tried";
  }
  return undefined;
}

const PLAIN_ARGUMENTS: ReadonlySet<string> = new Set(["path", "url", "method", "command"]);

function argumentPath(field: string): readonly string[] | undefined {
  if (field.startsWith("args.")) return field.slice("args.".length).split(".");
  return PLAIN_ARGUMENTS.has(field) ? [field] : undefined;
}

/** Puts a value where a field reads it; `undefined` for fields that a tool call does not have. */
function setterOf(field: string): Axis["set"] | undefined {
  const path = argumentPath(field);
  if (path !== undefined) {
    return ({ args }, reading) => {
      if (reading.type === "missing") return;
      let at = args;
      for (const step of path.slice(0, -1)) {
        const next = Object.hasOwn(at, step) ? at[step] as Record<string, unknown> : {};
        define(at, step, next);
        at = next;
      }
      const value = reading.type === "text" || reading.type === "json" ? reading.value : undefined;
      define(at, path.at(-1) ?? "", value);
    };
  }
  if (field === "tool") {
    return (draft, reading) => {
      if (reading.type === "text") draft.tool = reading.value;
    };
  }
  const key = CONTEXT_KEYS.get(field);
  if (key === undefined) return undefined;
  return ({ context }, reading) => {
    if (reading.type === "missing") delete context[key];
    else Object.assign(context, { [key]: contextValue(field, reading) });
  };
}

/** Names such as `__proto__` are names like any other. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

const CONTEXT_KEYS: ReadonlyMap<string, keyof AgentContext> = new Map([
  ["governance_level", "governance_level"],
  ["agent.depth", "depth"],
  ["agent.is_root", "depth"],
  ["agent.age", "age_s"],
  ["agent.children_count", "children_count"],
  ["agent.is_leaf", "children_count"],
  ["agent.risk_tier", "risk_tier"],
  ["parent.risk_tier", "parent_risk_tier"],
  ["child.risk_tier", "child_risk_tier"],
  ["agent.parent_agent_id", "parent_agent_id"],
  ["agent.team_id", "team_id"],
  ["child.tool", "child_tools"],
  ["team.active_agents", "team_active_agents"],
  ["team.parallel_agents", "team_active_agents"],
  ["team.budget_remaining", "team_budget_remaining_micro_usd"],
]);

function contextValue(field: string, reading: Reading): unknown {
  if (reading.type === "text") return reading.value;
  if (reading.type === "set") return reading.values;
  if (reading.type !== "number") return undefined;
  if (field.endsWith("risk_tier")) return RISK_TIERS[reading.value];
  if (field === "agent.is_root" || field === "agent.is_leaf") return reading.value === 1 ? 0 : 1;
  return field === "team.budget_remaining" ? reading.value * 1_000_000 : reading.value;
}

interface Trial {
  readonly firing: Witness | undefined;
  /** It fired with everything known. */
  readonly known_firing: boolean;
  readonly resting: Witness | undefined;
}

function tryAll(
  on: Workbench,
  document: PolicyDocument,
  tool: string,
  axes: readonly Axis[],
  fires: (witness: Witness) => boolean,
): Trial {
  const base = on.witness(document, { kind: "tool_call", tool, args: "{}" });
  const own = base.principal.context ?? PLAIN_CONTEXT;
  let firing: Witness | undefined;
  let resting: Witness | undefined;
  let known_firing = false;
  const choose = (at: number, chosen: readonly Reading[], known: boolean): boolean => {
    const axis = axes[at];
    if (axis !== undefined) {
      return axis.present.every((one) => choose(at + 1, [...chosen, one], known)) &&
        axis.absent.every((one) => choose(at + 1, [...chosen, one], false));
    }
    const draft: Draft = { tool, args: {}, context: { ...own } };
    axes.forEach((one, index) => one.set(draft, chosen[index] ?? MISSING));
    const action: Action = { kind: "tool_call", tool: draft.tool, args: argumentText(draft.args) };
    const witness = { ...base, action, principal: { ...base.principal, context: draft.context } };
    if (!fires(witness)) resting ??= witness;
    else {
      firing ??= witness;
      known_firing ||= known;
    }
    // Once it fired with everything known and once rested, nothing more is to be learned.
    return !(known_firing && resting !== undefined);
  };
  choose(0, [], true);
  return { firing, known_firing, resting };
}

function argumentText(args: Record<string, unknown>): string {
  // JSON has no infinity: a bound beyond every number is tried with the largest there is.
  return JSON.stringify(args);
}
