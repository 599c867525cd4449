/**
 * Learn, then lock: the smallest policy that covers what was allowed in a window, as a text that
 * loads, and what it leaves out. Every call it claims to cover was decided under it: what the text
 * itself turns down is listed, with the reason (design B6).
 *
 * @module
 */
import { compilePolicySet, type PolicySet } from "../policy/compile.ts";
import { toolEntry } from "../policy/compiled_document.ts";
import type { PolicyDocument } from "../policy/document.ts";
import { usd } from "../policy/explain/moment_edits.ts";
import { loadPolicy } from "../policy/load.ts";
import { LIMITS } from "../limits.ts";
import type { DecisionFact } from "./facts.ts";
import { coverHosts, type Covering, coverPaths, GENERALISING } from "./generalise.ts";
import { REPLAY_LIMITS } from "./limits.ts";
import { Observations, type Sighting, type ToolSighting } from "./observe.ts";
import { questionOf } from "../policy/question.ts";
import type { FactBatch } from "./replay.ts";
import { type ReplayPolicy, ReplaySide } from "./side.ts";

/** What is learned from. */
export interface LearnOptions {
  /** The facts, in order; asked for twice: to look, and to verify. */
  readonly facts: () => AsyncIterable<FactBatch>;
  readonly since_ms: number;
  /** Exclusive. */
  readonly until_ms: number;
  /** Only this agent's; the policy then governs it alone. */
  readonly agent?: string;
  /** The policy in force: its approval conditions, patterns and locale packs are kept. */
  readonly base: ReplayPolicy;
  readonly breathe: () => Promise<void>;
}

/** Something seen that the learned policy would not let through, or could not speak of. */
export interface LeftOut {
  readonly what: string;
  readonly count: number;
  readonly why: string;
}

/** A learned policy. */
export interface LearnedPolicy {
  /** Loads without an error. */
  readonly yaml: string;
  readonly left_out: readonly LeftOut[];
  /** Kinds beyond `REPLAY_LIMITS.learned_left_out`. */
  readonly left_out_more: number;
  /** Allowed facts that the policy allows, each decided under it. */
  readonly covered: number;
  /** Facts of the window. */
  readonly facts: number;
  readonly notes: readonly string[];
}

/** Room above the highest rate and the dearest day that were seen. */
export const HEADROOM = 1.5;

/** Learns a policy and verifies it. */
export async function learnPolicy(options: LearnOptions): Promise<LearnedPolicy> {
  const seen = new Observations();
  const conditions = new Map<string, Set<string>>();
  const base = compilePolicySet(options.base.documents, { mode: options.base.mode });
  let facts = 0;
  let scope = "global";
  for await (const fact of windowOf(options)) {
    facts += 1;
    if (options.agent !== undefined) scope = `agent:${uuidOf(fact.principal.engine_key)}`;
    const { outcome, reason } = fact.recorded;
    if (outcome === "allow" || outcome === "redact") {
      seen.add(fact);
      noteConditions(conditions, base, fact);
    } else {
      const why = outcome === "pending" ? "it waited for approval" : `it was denied: ${reason}`;
      seen.leaveOut(wordsOf(fact), why);
    }
  }
  const yaml = new PolicyText(seen, conditions, options.base.documents, {
    ...options,
    scope,
    facts,
  })
    .text();
  const covered = await verify(options, yaml, seen);
  const left_out = [...seen.left_out]
    .map(([key, { count, why }]) => ({ what: key.slice(0, key.indexOf("\0")), count, why }))
    .sort((a, b) => b.count - a.count);
  return {
    yaml,
    left_out: left_out.slice(0, REPLAY_LIMITS.learned_left_out),
    left_out_more: Math.max(0, left_out.length - REPLAY_LIMITS.learned_left_out),
    covered,
    facts,
    notes: notesOf(seen, facts),
  };
}

async function* windowOf(options: LearnOptions): AsyncGenerator<DecisionFact> {
  const { since_ms, until_ms, agent, breathe } = options;
  for await (const { facts } of options.facts()) {
    for (const fact of facts) {
      if (!(fact.at_ms >= since_ms && fact.at_ms < until_ms)) continue;
      if (agent !== undefined && fact.principal.agent_id !== agent) continue;
      yield fact;
    }
    await breathe();
  }
}

/** Decides every allowed fact under the learned text; what it turns down is left out, by reason. */
async function verify(options: LearnOptions, yaml: string, seen: Observations): Promise<number> {
  const loaded = loadPolicy("learned.yaml", yaml, { reject_blank: true });
  if (!loaded.ok) {
    throw new Error(`a learned policy does not load: ${loaded.problems[0]?.message ?? ""}`);
  }
  const side = new ReplaySide({ mode: "directory", documents: [loaded.document] });
  let covered = 0;
  for await (const fact of windowOf(options)) {
    const { outcome } = fact.recorded;
    if (outcome !== "allow" && outcome !== "redact") continue;
    side.ask(fact);
    if (side.outcome === "allow" || side.outcome === "redact") {
      covered += 1;
      side.carry(fact, side.outcome);
      continue;
    }
    const why = side.outcome === "pending"
      ? "it would need approval"
      : side.outcome === "undecidable"
      ? `it cannot be told: ${side.reason}`
      : `it would be denied: ${side.reason}`;
    seen.leaveOut(wordsOf(fact), why);
  }
  return covered;
}

/** Conditions of the policy in force stay conditions: a person who was asked is asked again. */
function noteConditions(
  conditions: Map<string, Set<string>>,
  base: PolicySet,
  { principal, action }: DecisionFact,
): void {
  if (action.kind !== "tool_call" || base.state !== "configured") return;
  const plan = base.index.cascade(principal, action)?.tool(action.tool);
  for (const { condition } of plan?.conditions ?? []) {
    const texts = conditions.get(action.tool) ?? new Set();
    conditions.set(action.tool, texts.add(condition.text));
  }
}

function uuidOf(key: string): string {
  return key.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** What an action is, in a few words for a list. */
function wordsOf({ action, principal, at_ms }: DecisionFact): string {
  switch (action.kind) {
    case "tool_call":
      return `tool ${action.tool}`;
    case "tool_result":
      return `result of ${action.tool}`;
    case "process_exec":
      return `exec ${action.command.split(" ", 1)[0] ?? ""}`;
    case "file_access":
      return `file ${action.mode} ${action.path}`;
    case "network_request":
      return `net ${action.url}`;
    case "send_message":
      return JSON.stringify(questionOf(principal, action, at_ms).action);
  }
}

function notesOf(seen: Observations, facts: number): string[] {
  const notes = [
    "no schedule is learned: add `schedule` if agents should rest",
  ];
  if (facts === 0) notes.push("nothing was recorded in this window: the policy denies everything");
  if (seen.capabilities.has("terminal_exec")) {
    notes.push("`terminal_exec` opens every command: the policy language has no rule for one");
  }
  return notes;
}

interface Heading {
  readonly since_ms: number;
  readonly until_ms: number;
  readonly scope: string;
  readonly facts: number;
  readonly agent?: string;
}

/** Tokens that govern something, beside those of tools. */
const RESOURCES = [
  "file_read",
  "file_write",
  "file_delete",
  "network_outbound",
  "terminal_exec",
] as const;

/** The YAML of a learned policy: every rule with how often it was seen, and when. */
class PolicyText {
  readonly #lines: string[] = [];

  constructor(
    private readonly seen: Observations,
    private readonly conditions: ReadonlyMap<string, ReadonlySet<string>>,
    private readonly base: readonly PolicyDocument[],
    private readonly heading: Heading,
  ) {}

  text(): string {
    const { since_ms, until_ms, scope, facts } = this.heading;
    this.#add(`# Learned from ${facts} recorded decisions, ${day(since_ms)} to ${day(until_ms)}.`);
    this.#add(
      "# Each rule says how often it was seen, first and last. What is not here is denied.",
    );
    this.#add(`version: "learned"`, `scope: ${JSON.stringify(scope)}`);
    this.#capabilities();
    this.#network();
    this.#filesystem();
    this.#tools();
    this.#data();
    this.#budget();
    return `${this.#lines.join("\n")}\n`;
  }

  #add(...lines: string[]): void {
    this.#lines.push(...lines);
  }

  #capabilities(): void {
    this.#add("capabilities:");
    const tokens = [...this.seen.capabilities].filter(([token]) => isNameable(token));
    if (tokens.length === 0) {
      this.#add("  # Nothing was allowed: an empty `allow` would be no list at all.");
      this.#add(`  deny: [${RESOURCES.join(", ")}]`);
      return;
    }
    this.#add("  allow:");
    for (const [token, seen] of kept(tokens, this.seen, "capability")) {
      this.#add(`    - ${JSON.stringify(token)} ${times(seen)}`);
    }
  }

  #network(): void {
    const hosts = coverHosts(this.seen.hosts, GENERALISING);
    const { hosts_under_parent, parent_labels } = GENERALISING;
    this.#add("network:");
    this.#add(
      `  # \`*.parent\` stands for ${hosts_under_parent} hosts or more under one parent of at ` +
        `least ${parent_labels} labels.`,
    );
    this.#list("allowlist", hosts, "  ", "host");
  }

  #filesystem(): void {
    const floor = GENERALISING.path_floor_components;
    this.#add("filesystem:");
    this.#add(
      `  # Paths that share their first ${floor} components are covered by their longest common ` +
        "directory.",
    );
    for (const verb of ["read", "write"] as const) {
      const { subtrees, shallow } = coverPaths(this.seen.paths[verb], GENERALISING);
      for (const { value } of shallow) {
        const why =
          `a rule for it would open everything below it: the floor is ${floor} components`;
        this.seen.leaveOut(`file ${verb} ${value}`, why);
      }
      this.#add(`  ${verb}:`);
      this.#list("allow", subtrees, "    ", "path");
    }
  }

  #list(key: string, covering: readonly Covering[], indent: string, what: string): void {
    if (covering.length === 0) {
      this.#add(`${indent}${key}: [] # none was seen`);
      return;
    }
    this.#add(`${indent}${key}:`);
    const pairs = covering.map((one): [string, Covering] => [one.value, one]);
    for (const [value, one] of kept(pairs, this.seen, what)) {
      const different = one.values > 1 ? `, ${one.values} different` : "";
      this.#add(`${indent}  - ${JSON.stringify(value)} ${times(one)}${different}`);
    }
  }

  #tools(): void {
    this.#add("tools:");
    this.#add('  "*": { allow: false } # every tool that was not seen');
    this.#add(`  # Limits: the busiest hour times ${HEADROOM}.`);
    const tools = [...this.seen.tools].filter(([tool]) => {
      const fits = isNameable(tool) && tool !== "*";
      if (!fits) this.seen.leaveOut(`tool ${tool}`, "a policy cannot name it");
      return fits;
    });
    for (const [tool, seen] of kept(tools, this.seen, "tool")) this.#tool(tool, seen);
  }

  #tool(tool: string, seen: ToolSighting): void {
    this.#add(`  ${JSON.stringify(tool)}: ${times(seen)}`);
    this.#add("    allow: true");
    this.#add(`    limit_per_hour: ${Math.max(1, Math.ceil(seen.peak_per_hour * HEADROOM))}`);
    const cost = this.#costOf(tool);
    if (cost > 0) this.#add(`    cost_usd: ${usd(cost)} # as in the policy in force`);
    const conditions = [...this.conditions.get(tool) ?? []];
    if (conditions.length === 0) return;
    const [only] = conditions;
    const joined = conditions.length === 1 && only !== undefined
      ? only
      : conditions.map((condition) => `(${condition})`).join(" OR ");
    const text = joined.length <= LIMITS.expression_chars ? joined : `tool == ${quoted(tool)}`;
    this.#add(`    requires_approval_if: ${JSON.stringify(text)} # as in the policy in force`);
  }

  /** The highest price that any document in force states. */
  #costOf(tool: string): number {
    const costs = this.base.map((document) =>
      toolEntry(document, tool)?.rule.cost_micro_usd?.value
    );
    return Math.max(0, ...costs.map((cost) => cost ?? 0));
  }

  #data(): void {
    const patterns = new Set<string>();
    const packs = new Set<string>();
    for (const { data } of this.base) {
      for (const { value } of data?.sensitive_patterns ?? []) patterns.add(value);
      for (const { value } of data?.locale_packs ?? []) packs.add(value);
    }
    const { secrets } = this.seen;
    this.#add("data:");
    this.#add(
      secrets === 0
        ? "  credential_action: block # no allowed call held a secret"
        : `  credential_action: redact_only # ${secrets} allowed calls held a secret, redacted`,
    );
    if (patterns.size > 0) {
      this.#add("  sensitive_patterns: # as in the policy in force");
      for (const pattern of patterns) this.#add(`    - ${JSON.stringify(pattern)}`);
    }
    if (packs.size > 0) this.#add(`  locale_packs: ${JSON.stringify([...packs])}`);
  }

  #budget(): void {
    const { priced, agent_day_micro_usd } = this.seen;
    if (priced === 0) return;
    const limit = Math.ceil(agent_day_micro_usd * HEADROOM / 10_000) * 10_000;
    this.#add("budget:");
    this.#add(
      `  # The dearest day of one agent (${usd(agent_day_micro_usd)} USD) times ${HEADROOM}, UTC.`,
    );
    this.#add(`  daily_limit_usd: ${usd(limit)}`);
  }
}

/** A key or token that the policy language takes. */
function isNameable(name: string): boolean {
  return name.trim() !== "" && !/^(mcp_tool|model):\s*$/.test(name);
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

function times({ count, first_ms, last_ms }: Sighting): string {
  return `# ${count}×, ${moment(first_ms)} to ${moment(last_ms)}`;
}

function day(at_ms: number): string {
  return new Date(at_ms).toISOString().slice(0, 10);
}

function moment(at_ms: number): string {
  return `${new Date(at_ms).toISOString().slice(0, 16)}Z`;
}

/** The most frequent up to the bound, in order of name; the others are left out. */
function kept<S extends Sighting>(
  seen: readonly (readonly [string, S])[],
  observations: Observations,
  what: string,
): (readonly [string, S])[] {
  const bound = REPLAY_LIMITS.learned_rules;
  const by_count = [...seen].sort((a, b) => b[1].count - a[1].count);
  for (const [name] of by_count.slice(bound)) {
    observations.leaveOut(`${what} ${name}`, `beyond the ${bound} that a learned policy lists`);
  }
  return by_count.slice(0, bound).sort((a, b) => (a[0] < b[0] ? -1 : 1));
}
