/**
 * Differential replay: recorded actions decided again under two policies, each with its own rate
 * windows, money and approvals carried forward; only what differs is told (design B5).
 *
 * Facts are taken in the order in which they were answered. Where redaction hid what a rule looks
 * at, the pair is `undecidable` unless both sides hang on the very same thing; nothing is guessed.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import type { RuleRef } from "../verdict.ts";
import type { DecisionFact, FactOutcome } from "./facts.ts";
import { REPLAY_LIMITS } from "./limits.ts";
import { type ReplayPolicy, ReplaySide, type SideOutcome } from "./side.ts";

/** Facts that were stored together, and the bytes they were read from. */
export interface FactBatch {
  readonly facts: readonly DecisionFact[];
  /** Enters the digest of the run. */
  readonly bytes: Uint8Array;
}

/** What is replayed. */
export interface ReplayOptions {
  /** Milliseconds since the Unix epoch; facts before it only warm up windows and accounts. */
  readonly since_ms: number;
  /** Exclusive. */
  readonly until_ms: number;
  /** The policy in force. */
  readonly base: ReplayPolicy;
  readonly proposed: ReplayPolicy;
}

/** A verdict of one side, with the place of the rule that gave it. */
export interface SideVerdict {
  readonly outcome: SideOutcome;
  readonly reason: string;
  readonly rule?: RuleRef;
}

/** Facts whose verdict differs in the same way for the same rules. */
export interface FlipGroup {
  readonly before: SideVerdict;
  readonly after: SideVerdict;
  readonly count: number;
  readonly micro_usd: number;
  /** Agent ids, sorted; at most `REPLAY_LIMITS.flip_agents`. */
  readonly agents: readonly string[];
  readonly first_ms: number;
  readonly last_ms: number;
  /** The first of them, already redacted. */
  readonly example: DecisionFact;
}

/** What a finished replay found. */
export interface ReplayReport {
  /** Facts decided inside the window, and those before it that only warmed up. */
  readonly facts: number;
  readonly warm_up: number;
  /** Same outcome on both sides. */
  readonly same: number;
  readonly flipped: number;
  readonly undecided: number;
  /** Most frequent first. */
  readonly flips: readonly FlipGroup[];
  readonly undecidable: readonly FlipGroup[];
  /** Differing facts beyond `REPLAY_LIMITS.flip_groups` kinds: counted, not listed. */
  readonly unlisted: number;
  /** Price of calls that only the proposed policy lets through, and of those it no longer does. */
  readonly newly_allowed_micro_usd: number;
  readonly newly_refused_micro_usd: number;
  /** Agents with at least one flip. */
  readonly agents: number;
  /**
   * Facts that the base policy decides otherwise than was recorded: the policy, an account or a
   * window was another then, or anomaly detection had a say.
   */
  readonly drifted: number;
  /** The run stopped at `REPLAY_LIMITS.replay_facts`. */
  readonly truncated: boolean;
  /** SHA-256, hexadecimal, over policies, facts in and before the window, and every difference. */
  readonly digest: string;
}

interface Group {
  readonly before: SideVerdict;
  readonly after: SideVerdict;
  readonly example: DecisionFact;
  readonly agents: Set<string>;
  readonly first_ms: number;
  last_ms: number;
  count: number;
  micro_usd: number;
}

/** One replay under way: feed it facts, then ask for the report. */
export class ReplayRun {
  readonly #options: ReplayOptions;
  readonly #base: ReplaySide;
  readonly #proposed: ReplaySide;
  readonly #hash: Hash = createHash("sha256");
  readonly #groups = new Map<string, Group>();
  readonly #agents = new Set<string>();
  #facts = 0;
  #warm_up = 0;
  #flipped = 0;
  #undecided = 0;
  #unlisted = 0;
  #drifted = 0;
  #newly_allowed_micro_usd = 0;
  #newly_refused_micro_usd = 0;
  #truncated = false;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#base = new ReplaySide(options.base);
    this.#proposed = new ReplaySide(options.proposed);
    this.#hash.update(JSON.stringify({
      format: "aasm replay 1",
      base: [options.base.mode, this.#base.digests],
      proposed: [options.proposed.mode, this.#proposed.digests],
    }));
  }

  /** Facts decided so far, warming up included. */
  get decided(): number {
    return this.#facts + this.#warm_up;
  }

  /** Differing facts so far. */
  get flipped(): number {
    return this.#flipped;
  }

  /** Decides a batch on both sides. Facts at or after the end of the window are passed over. */
  feed({ facts, bytes }: FactBatch): void {
    if (this.#truncated) return;
    const before = { facts: this.#facts, warm_up: this.#warm_up };
    const bounds: number[] = [];
    for (const fact of facts) {
      if (!(fact.at_ms < this.#options.until_ms)) continue;
      if (this.decided >= REPLAY_LIMITS.replay_facts) {
        this.#truncated = true;
        break;
      }
      bounds[bounds.length === 0 ? 0 : 1] = fact.at_ms;
      this.#decide(fact);
    }
    const used = this.#facts - before.facts;
    const warmed = this.#warm_up - before.warm_up;
    // The window counts by what lies in it, so that "the last week" asked twice is one run.
    if (used + warmed === 0) return;
    this.#hash.update(`${warmed} ${used} ${bounds.join(" ")}\n`).update(bytes);
  }

  #decide(fact: DecisionFact): void {
    const base = this.#base;
    const proposed = this.#proposed;
    const scanned_by = fact.hidden !== undefined && wasInForce(base, fact)
      ? base.scanRules(fact)
      : undefined;
    base.ask(fact, scanned_by);
    proposed.ask(fact, scanned_by);
    const warming = fact.at_ms < this.#options.since_ms;
    if (warming) this.#warm_up += 1;
    else this.#facts += 1;
    if (base.outcome === "undecidable" || proposed.outcome === "undecidable") {
      this.#decideHidden(fact, warming);
      return;
    }
    base.carry(fact, base.outcome);
    proposed.carry(fact, proposed.outcome);
    if (warming) return;
    if (base.outcome !== fact.recorded.outcome && !fact.recorded.shadowed) this.#drifted += 1;
    if (base.outcome !== proposed.outcome) this.#note(fact, "flip");
  }

  /** What cannot be decided is carried as it was recorded: that is what the world then did. */
  #decideHidden(fact: DecisionFact, warming: boolean): void {
    const base = this.#base;
    const proposed = this.#proposed;
    const alike = base.outcome === proposed.outcome && base.hangs_on === proposed.hangs_on;
    // Under the very documents of the time, what was hidden was seen, and the answer recorded.
    if (!alike && base.outcome === "undecidable" && wasInForce(base, fact)) {
      base.outcome = fact.recorded.outcome;
      base.reason = fact.recorded.reason;
      base.rule = fact.recorded.rule;
    }
    base.carry(fact, base.outcome === "undecidable" ? fact.recorded.outcome : base.outcome);
    proposed.carry(
      fact,
      proposed.outcome === "undecidable" ? fact.recorded.outcome : proposed.outcome,
    );
    if (warming || alike || base.outcome === proposed.outcome) return;
    const told = base.outcome !== "undecidable" && proposed.outcome !== "undecidable";
    this.#note(fact, told ? "flip" : "undecidable");
  }

  #note(fact: DecisionFact, kind: "flip" | "undecidable"): void {
    const base = this.#base;
    const proposed = this.#proposed;
    const passed = isPassed(base.outcome);
    const passes = isPassed(proposed.outcome);
    const agent = fact.principal.agent_id;
    if (kind === "flip") {
      this.#flipped += 1;
      if (this.#agents.size < REPLAY_LIMITS.flip_agents) this.#agents.add(agent);
      if (!passed && passes) this.#newly_allowed_micro_usd += fact.micro_usd;
      if (passed && !passes) this.#newly_refused_micro_usd += fact.micro_usd;
    } else this.#undecided += 1;
    const key = `${base.outcome}|${base.reason}|${placeOf(base.rule)}|${proposed.outcome}|` +
      `${proposed.reason}|${placeOf(proposed.rule)}`;
    this.#hash.update(`${this.#facts} ${key}\n`);
    const known = this.#groups.get(key);
    if (known !== undefined) {
      known.count += 1;
      known.micro_usd += fact.micro_usd;
      known.last_ms = fact.at_ms;
      if (known.agents.size < REPLAY_LIMITS.flip_agents) known.agents.add(agent);
      return;
    }
    if (this.#groups.size >= REPLAY_LIMITS.flip_groups) {
      this.#unlisted += 1;
      return;
    }
    this.#groups.set(key, {
      before: verdictOf(base),
      after: verdictOf(proposed),
      example: fact,
      agents: new Set([agent]),
      first_ms: fact.at_ms,
      last_ms: fact.at_ms,
      count: 1,
      micro_usd: fact.micro_usd,
    });
  }

  /** What was found. The digest covers everything fed until now. */
  report(): ReplayReport {
    const groups = [...this.#groups.values()]
      .sort((a, b) => b.count - a.count)
      .map((group) => ({ ...group, agents: [...group.agents].sort() }));
    const isUndecided = ({ before, after }: FlipGroup) =>
      before.outcome === "undecidable" || after.outcome === "undecidable";
    return {
      facts: this.#facts,
      warm_up: this.#warm_up,
      same: this.#facts - this.#flipped - this.#undecided,
      flipped: this.#flipped,
      undecided: this.#undecided,
      flips: groups.filter((group) => !isUndecided(group)),
      undecidable: groups.filter(isUndecided),
      unlisted: this.#unlisted,
      newly_allowed_micro_usd: this.#newly_allowed_micro_usd,
      newly_refused_micro_usd: this.#newly_refused_micro_usd,
      agents: this.#agents.size,
      drifted: this.#drifted,
      truncated: this.#truncated,
      digest: this.#hash.copy().update(`${this.#facts} ${this.#warm_up}`).digest("hex"),
    };
  }
}

function isPassed(outcome: SideOutcome): boolean {
  return outcome === "allow" || outcome === "redact";
}

function wasInForce(side: ReplaySide, { policy_digests }: DecisionFact): boolean {
  return policy_digests.length === side.digests.length &&
    policy_digests.every((digest, at) => digest === side.digests[at]);
}

function verdictOf({ outcome, reason, rule }: ReplaySide): SideVerdict {
  return { outcome, reason, ...(rule && { rule }) };
}

/** `file:line:column path` of a rule; empty without one. */
export function placeOf(rule: RuleRef | undefined): string {
  return rule === undefined ? "" : `${rule.file}:${rule.line}:${rule.column} ${rule.path}`;
}

/** The outcome that a wire decision stands for. */
export function outcomeOfWire(decision: number): FactOutcome {
  switch (decision) {
    case 1:
      return "allow";
    case 3:
      return "pending";
    case 4:
      return "redact";
    default:
      return "deny";
  }
}
