/**
 * Whether there is room for a call: every limit of every document that binds it, all together.
 * One rule: spent + reserved + amount > limit refuses (traps 31 and 32).
 *
 * @module
 */
import type { CompiledDocument } from "../policy/compiled_document.ts";
import type { Amount } from "./amount.ts";
import { levelAt, type LimitLine, linesOf, windowInstance } from "./limit_line.ts";
import type { Owners } from "./owner.ts";
import type { LedgerState } from "./state.ts";

/** A limit and the account it is tested on. */
export interface BoundLimit {
  readonly line: LimitLine;
  readonly owner: string;
}

/** A limit without room for a call. */
export interface Breach extends BoundLimit {
  readonly spent: number;
  readonly reserved: number;
  readonly asked: number;
  /** Contract text, e.g. `daily budget exceeded`. */
  readonly reason: string;
}

/** Documents that bind the agents above, root first; the last entry is never the agent itself. */
export interface AncestorBudgets {
  /** Account key of the ancestor's subtree. */
  readonly owner: string;
  readonly budgets: readonly CompiledDocument[];
}

/**
 * Every limit that binds a call with the account it is tested on: ancestors root first, then the
 * agent itself, team, organisation, fleet (contract §6.4).
 *
 * @param budgets Documents of the agent's own cascade.
 */
export function boundLimits(
  owners: Owners,
  budgets: readonly CompiledDocument[],
  ancestors: readonly AncestorBudgets[],
): BoundLimit[] {
  const bound: BoundLimit[] = [];
  for (const { owner, budgets: above } of ancestors) {
    for (const by of above) {
      for (const line of linesOf(by)) {
        if (line.owner === "subtree") bound.push({ line, owner });
      }
    }
  }
  const self = owners.subtrees.at(-1) ?? owners.agent;
  const own: Readonly<Record<LimitLine["owner"], string | undefined>> = {
    agent: owners.agent,
    subtree: self,
    team: owners.team,
    org: owners.org,
    global: "global",
  };
  for (const level of ["subtree", "agent", "team", "org", "global"] as const) {
    const owner = own[level];
    if (owner === undefined) continue;
    for (const by of budgets) {
      for (const line of linesOf(by)) if (line.owner === level) bound.push({ line, owner });
    }
  }
  return bound;
}

/**
 * The first limit without room, in the order of {@linkcode boundLimits} and inside one account
 * month before day; `undefined` when all have room.
 */
export function findBreach(
  state: LedgerState,
  limits: readonly BoundLimit[],
  asked: Amount,
  now_ms: number,
): Breach | undefined {
  let first: Breach | undefined;
  for (const { line, owner } of limits) {
    // Nothing more can come first: the owner changed, or this owner's breach is a monthly one.
    if (first !== undefined && (first.owner !== owner || first.line.word === "monthly")) break;
    const amount = asked[line.dimension];
    if (amount === 0) continue;
    const account = state.account(owner);
    const level = levelAt(account, line.window, now_ms, state.steady(now_ms));
    const spent = level.spent[line.dimension];
    const reserved = level.reserved[line.dimension];
    // NaN compares false both ways: written so that it refuses.
    if (spent + reserved + amount <= line.limit) continue;
    const breach = { line, owner, spent, reserved, asked: amount, reason: reasonOf(line) };
    if (first === undefined || rank(line) < rank(first.line)) first = breach;
  }
  return first;
}

function rank({ word }: LimitLine): number {
  return word === "monthly" ? 0 : word === "rolling" ? 1 : 2;
}

const DIMENSION_WORDS = { micro_usd: "", tokens: "token ", calls: "call ", wall_ms: "time " };

function reasonOf({ word, dimension }: LimitLine): string {
  return `${word} ${DIMENSION_WORDS[dimension]}budget exceeded`;
}

/** How full a limit is. */
export interface Fill extends BoundLimit {
  readonly spent: number;
  readonly reserved: number;
  /** Name of the running window; changes when the window does. */
  readonly instance: string;
}

/** How full a limit is now. */
export function fillOf(state: LedgerState, { line, owner }: BoundLimit, now_ms: number): Fill {
  const account = state.account(owner);
  const level = levelAt(account, line.window, now_ms, state.steady(now_ms));
  return {
    line,
    owner,
    spent: level.spent[line.dimension],
    reserved: level.reserved[line.dimension],
    instance: windowInstance(account, line.window, now_ms),
  };
}
