/**
 * One side of a replay: a policy with its own carried rate windows, money and approvals, asked about
 * recorded actions one after the other. The one decision function decides; this room gives it the
 * facts of the time and says "undecidable" where redaction hid what a rule looks at.
 *
 * @module
 */
import { type Action } from "../action.ts";
import { compilePolicySet, type PolicySet } from "../policy/compile.ts";
import { decide, type Facts } from "../policy/decide.ts";
import { builtinScanner, type DetectionRules } from "../policy/detection.ts";
import type { PolicyDocument, ToolRule } from "../policy/document.ts";
import type { Condition, ConditionInput, LookupEvidence } from "../policy/expression/condition.ts";
import { firesDespite } from "../policy/expression/hidden.ts";
import { parse } from "../policy/expression/parser.ts";
import { verbOf } from "../policy/filesystem.ts";
import { RateBuckets } from "../policy/rate_limit.ts";
import { hasLimit, isCharged, isModelCall, type Spend, toolCost } from "../policy/budget.ts";
import type { Scanner } from "../scanner/finding.ts";
import type { Decision, RateCharge, RuleRef } from "../verdict.ts";
import type { DecisionFact, FactOutcome, Hidden } from "./facts.ts";
import { type ReplayLedger, SpendBook } from "./spend.ts";

/** What one side says of one fact. */
export type SideOutcome = FactOutcome | "undecidable";

/** A policy to replay under. */
export interface ReplayPolicy {
  readonly mode: "single_file" | "directory";
  /** In file-name order. */
  readonly documents: readonly PolicyDocument[];
}

/** The text has something in it that every build's scan finds. */
const STUB: ReturnType<Scanner["scan"]> = [
  { source: "builtin", kind: "GenericHighEntropy", offset: 0, end: 0 },
];
const NOTHING_FOUND: ReturnType<Scanner["scan"]> = [];
const NOTHING_SPENT: Spend = {
  state: "known",
  agent_daily_micro_usd: 0,
  agent_monthly_micro_usd: 0,
  team_daily_micro_usd: 0,
  team_monthly_micro_usd: 0,
  org_daily_micro_usd: 0,
  org_monthly_micro_usd: 0,
  global_daily_micro_usd: 0,
  global_monthly_micro_usd: 0,
};

/**
 * One policy under replay. {@linkcode ask} leaves its answer in the fields, so that asking millions
 * of times allocates nothing.
 */
export class ReplaySide {
  outcome: SideOutcome = "deny";
  /** Contract text of a denial; for `undecidable`, what could not be told. */
  reason = "";
  rule: RuleRef | undefined;
  /** What an undecidable answer hangs on: two sides that hang on the same do not differ. */
  hangs_on = "";
  /** Digests of the documents, in file-name order. */
  readonly digests: readonly string[];

  readonly #set: PolicySet;
  readonly #buckets = new RateBuckets();
  readonly #ledger: ReplayLedger;
  readonly #has_budgets: boolean;
  readonly #identity: string;
  readonly #facts: { -readonly [K in keyof Facts]: Facts[K] };
  #hidden: Hidden | undefined;
  /** How what was hidden is taken in this pass: against the call, or for it. */
  #assume = true;
  readonly #hanging: string[] = [];
  #scanned_by: string | undefined;
  #charges: readonly RateCharge[] | undefined;
  /** What the call costs on this side; absent when it is charged to nobody. */
  #price: number | undefined;

  /** @param ledger @default a new {@linkcode SpendBook} of the documents */
  constructor(policy: ReplayPolicy, ledger?: ReplayLedger) {
    const documents = policy.documents.map((document) => this.#watched(document));
    this.#set = compilePolicySet(documents, {
      mode: policy.mode,
      scannerFor: (rules) => this.#scannerFor(rules),
    });
    this.digests = documents.map(({ digest }) => digest);
    this.#identity = `${policy.mode} ${this.digests.join(" ")}`;
    this.#has_budgets = documents.some(({ budget }) => hasLimit(budget));
    this.#ledger = ledger ?? new SpendBook(documents);
    this.#facts = {
      now_ms: 0,
      principal: { assurance: "unattributed", agent_id: "", engine_key: "", status: "stale" },
      rateTokens: (charge: RateCharge) => this.#buckets.tokens(charge, this.#facts.now_ms),
      spend: NOTHING_SPENT,
    };
  }

  /** The patterns and packs that govern a fact, in one text; `undefined` when nothing governs it. */
  scanRules({ principal, action }: DecisionFact): string | undefined {
    const cascade = this.#set.index.cascade(principal, action);
    return cascade && nameOf(cascade.detection.rules);
  }

  /**
   * Decides one fact on the state carried so far. Changes nothing; see {@linkcode carry}.
   *
   * @param scanned_by Patterns and packs whose findings in the whole text the fact tells.
   */
  ask(fact: DecisionFact, scanned_by?: string): void {
    this.#scanned_by = scanned_by;
    const { at_ms, principal, hidden } = fact;
    this.#facts.now_ms = at_ms;
    this.#facts.principal = principal;
    if (this.#has_budgets) this.#facts.spend = this.#ledger.spend(principal, at_ms);
    this.hangs_on = "";
    this.#charges = undefined;
    this.#price = undefined;
    if (hidden === undefined) this.#settle(fact, decide(this.#set, fact.action, this.#facts));
    else this.#askHidden(fact, hidden);
  }

  /**
   * Carries the call forward: when it was let through, its rate tokens are taken and its price is
   * counted. What waits or is refused takes nothing.
   *
   * @param outcome What this side's world is taken to have done.
   */
  carry(fact: DecisionFact, outcome: FactOutcome): void {
    if (outcome !== "allow" && outcome !== "redact") return;
    if (this.#charges !== undefined) this.#buckets.take(this.#charges, fact.at_ms);
    if (this.#price !== undefined) {
      this.#ledger.add(fact.principal, fact.at_ms, this.#price);
    }
  }

  /** From a decision to what becomes of the call: a person's word, then room for its price. */
  #settle(fact: DecisionFact, decision: Decision): void {
    this.#charges = decision.charges;
    this.rule = decision.rule;
    this.reason = decision.reason;
    switch (decision.outcome) {
      case "deny":
        this.outcome = "deny";
        return;
      case "require_approval":
        this.outcome = fact.approval === "granted"
          ? passedAs(decision)
          : fact.approval === "refused"
          ? "deny"
          : "pending";
        if (this.outcome === "deny") this.reason = "approval refused";
        break;
      case "allow":
        this.outcome = passedAs(decision);
    }
    if (!this.#has_budgets || this.outcome === "deny") return;
    const { principal, action, at_ms } = fact;
    const cascade = this.#set.index.cascade(principal, action);
    if (cascade === undefined || !isCharged(cascade.documents, action)) return;
    const stated = toolCost(cascade.documents, action);
    // What a model costs is the table's matter and was recorded; a tool's price is the policy's.
    this.#price = isModelCall(action) ? Math.max(fact.micro_usd, stated) : stated;
    const full = this.#ledger.noRoom(cascade.budgets, principal, at_ms, this.#price);
    if (full === undefined) return;
    this.outcome = "deny";
    this.reason = full.reason;
    this.rule = full.rule;
  }

  /** Decides with what was hidden taken against the call, then for it; the two must agree. */
  #askHidden(fact: DecisionFact, hidden: Hidden): void {
    const same_rules = this.#tooHidden(fact, hidden);
    if (same_rules !== undefined) return this.#undecidable(same_rules, undefined);
    this.#hidden = hidden;
    this.#hanging.length = 0;
    try {
      const action = legible(fact.action, hidden);
      this.#assume = true;
      const against = decide(this.#set, action, this.#facts);
      const place = this.#hiddenPlace(fact, action, hidden, against);
      if (place !== undefined) return this.#undecidable(place, against.rule);
      this.#settle(fact, against);
      if (this.#hanging.length === 0) return;
      const { outcome, rule } = this;
      const hangs_on = [...new Set(this.#hanging)].sort().join("\n");
      this.#assume = false;
      this.#settle(fact, decide(this.#set, action, this.#facts));
      if (this.outcome === outcome) return;
      this.#undecidable(`${hangs_on}\n${outcome} or ${this.outcome}`, rule ?? this.rule);
    } finally {
      this.#hidden = undefined;
    }
  }

  /** Without the tool's name no rule can be found at all. */
  #tooHidden({ action }: DecisionFact, hidden: Hidden): string | undefined {
    return hidden.tool ? `the name in a ${action.kind}, under ${this.#identity}` : undefined;
  }

  /** Whether a denial by host or path hangs on a part that was cut, and on which rules. */
  #hiddenPlace(
    fact: DecisionFact,
    action: Action,
    hidden: Hidden,
    decision: Decision,
  ): string | undefined {
    const cascade = this.#set.index.cascade(fact.principal, action);
    if (cascade === undefined || decision.outcome !== "deny") return undefined;
    if (decision.stage === "network" && hidden.host) {
      const lists = cascade.networks.map((by) =>
        by.document.network?.allowlist.map(({ value }) => value).sort().join(" ")
      );
      return `the host of a URL, under network.allowlist ${lists.join(" and ")}`;
    }
    if (decision.stage !== "filesystem" || action.kind !== "file_access") return undefined;
    if (!hidden.plain_path) return undefined;
    const paths = cascade.paths(verbOf(action.mode))?.paths ?? [];
    const below = action.path === "/" ? "/" : `${action.path}/`;
    if (!paths.some((path) => path.startsWith(below))) return undefined;
    return `the path of a file ${action.mode}, under ${[...paths].sort().join(" ")}`;
  }

  #undecidable(hangs_on: string, rule: RuleRef | undefined): void {
    this.outcome = "undecidable";
    this.hangs_on = hangs_on;
    this.reason = `hangs on what redaction hid: ${hangs_on.split("\n")[0] ?? ""}`;
    this.rule = rule;
  }

  /** The document with conditions that know of what was hidden. */
  #watched(document: PolicyDocument): PolicyDocument {
    let tools: Map<string, ToolRule> | undefined;
    for (const [name, rule] of document.tools) {
      if (rule.requires_approval_if === undefined) continue;
      tools ??= new Map(document.tools);
      tools.set(name, { ...rule, requires_approval_if: this.#watch(rule.requires_approval_if) });
    }
    return tools === undefined ? document : { ...document, tools };
  }

  #watch(condition: Condition): Condition {
    const parsed = parse(condition.text);
    const name = `\`${condition.canonical ?? condition.text}\``;
    const fires = (input: ConditionInput, evidence?: LookupEvidence[]): boolean => {
      const hidden = this.#hidden;
      if (hidden === undefined || hidden.pointers.length === 0) {
        return condition.fires(input, evidence);
      }
      const firing = parsed.ok
        ? firesDespite(parsed.expression, input, hidden.pointers)
        : "depends";
      if (firing !== "depends") return firing === "fires";
      this.#hanging.push(name);
      return this.#assume;
    };
    return { ...condition, fires };
  }

  /**
   * The scan of the time is known for what every build finds; only patterns and packs of a policy
   * need the text, and in a text with gaps they cannot be told.
   */
  #scannerFor(rules: DetectionRules): Scanner {
    const custom = rules.patterns.length + rules.locale_packs.length > 0
      ? builtinScanner(rules)
      : undefined;
    const name = nameOf(rules);
    return {
      scan: (text) => {
        const hidden = this.#hidden;
        if (hidden?.builtin === true) return STUB;
        if (custom === undefined) return NOTHING_FOUND;
        if (hidden === undefined || (hidden.pointers.length === 0 && !hidden.custom)) {
          return custom.scan(text);
        }
        if (name === this.#scanned_by) return hidden.custom ? STUB : NOTHING_FOUND;
        this.#hanging.push(name);
        return this.#assume ? STUB : NOTHING_FOUND;
      },
    };
  }
}

function nameOf(rules: DetectionRules): string {
  return `the patterns ${JSON.stringify(rules)}`;
}

function passedAs(decision: Decision): FactOutcome {
  return decision.redacted === undefined ? "allow" : "redact";
}

/** What is left of an action that a rule may look at: a path as far as it is legible. */
function legible(action: Action, hidden: Hidden): Action {
  if (action.kind !== "file_access") return action;
  // No path rule looks up a path with `..`: it is refused wherever a rule is stated.
  if (!hidden.plain_path) return { ...action, path: "" };
  const cut = action.path.indexOf("[REDACTED");
  const directory = action.path.slice(0, Math.max(0, action.path.lastIndexOf("/", cut)));
  return { ...action, path: directory === "" ? "/" : directory };
}
