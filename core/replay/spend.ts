/**
 * What one side of a replay has spent: the ledger's own accounts, windows and test of limits,
 * carried forward from call to call without reservations, because a replay knows how each call
 * ended. Pure; time comes in.
 *
 * Every account starts at nothing where the replay starts. Facts know the price of a call and that
 * it was one call; limits of tokens and wall time are not carried, and neither is what descendants
 * spend for the agents above them.
 *
 * @module
 */
import { Account } from "../ledger/account.ts";
import { boundLimits, findBreach } from "../ledger/admission.ts";
import { type Amount, amount, ZERO } from "../ledger/amount.ts";
import { dayOf } from "../ledger/calendar.ts";
import { levelAt, windowOfLimit, zoneOf } from "../ledger/limit_line.ts";
import { GLOBAL_OWNER, type Owners, ownersOf } from "../ledger/owner.ts";
import { LedgerState } from "../ledger/state.ts";
import type { BudgetLimit, Spend } from "../policy/budget.ts";
import type { CompiledDocument } from "../policy/compiled_document.ts";
import type { Budget, PolicyDocument } from "../policy/document.ts";
import { ruleAt } from "../policy/stage.ts";
import type { Principal } from "../principal.ts";
import type { RuleRef } from "../verdict.ts";
import { REPLAY_LIMITS } from "./limits.ts";

/** A limit without room for a call. */
export interface NoRoom {
  /** Contract text, e.g. `daily budget exceeded`. */
  readonly reason: string;
  readonly rule: RuleRef;
}

/** Money as a replay needs it: figures to decide with, room for a call, and counting it. */
export interface ReplayLedger {
  /** Figures for a principal; valid until the next call of this method. */
  spend(principal: Principal, at_ms: number): Spend;
  /** The first limit that a call of this price would pass, or nothing. */
  noRoom(
    budgets: readonly CompiledDocument[],
    principal: Principal,
    at_ms: number,
    micro_usd: number,
  ): NoRoom | undefined;
  /** Counts a call that was let through. */
  add(principal: Principal, at_ms: number, micro_usd: number): void;
}

const UNAVAILABLE: Spend = { state: "unavailable" };

/** Owners remembered by what names them; at the bound all are forgotten and made again. */
const OWNERS_REMEMBERED_MAX = 10_000;

/** Accounts of one side. */
export class SpendBook implements ReplayLedger {
  readonly #state = new LedgerState();
  readonly #zones: readonly string[];
  readonly #windows: readonly number[];
  readonly #owners = new Map<string, KnownOwners>();
  readonly #known: Spend;
  readonly #accounts = new Map<string, CountedAccount>();
  #asked: KnownOwners = knownOwners(NOBODY);
  #at_ms = 0;

  /** @param documents The side's documents: their time zones and short windows are counted. */
  constructor(documents: readonly PolicyDocument[]) {
    const budgets = documents.flatMap(({ budget }) => budget ?? []);
    this.#zones = [...new Set(budgets.map(zoneOf))];
    this.#windows = [...new Set(budgets.flatMap(({ window_ms }) => window_ms ?? []))];
    this.#known = {
      state: "known",
      agent_daily_micro_usd: 0,
      agent_monthly_micro_usd: 0,
      counted: (limit, budget) => this.#figure(limit, budget),
    };
  }

  spend(principal: Principal, at_ms: number): Spend {
    this.#asked = this.#ownersOf(principal);
    this.#at_ms = at_ms;
    return this.#isFull() ? UNAVAILABLE : this.#known;
  }

  noRoom(
    budgets: readonly CompiledDocument[],
    principal: Principal,
    at_ms: number,
    micro_usd: number,
  ): NoRoom | undefined {
    const limits = boundLimits(this.#ownersOf(principal).owners, budgets, []);
    const breach = findBreach(this.#state, limits, callOf(micro_usd), at_ms);
    if (breach === undefined) return undefined;
    const { by, at, path } = breach.line;
    return { reason: breach.reason, rule: ruleAt(by.document, at, `budget.${path}`) };
  }

  add(principal: Principal, at_ms: number, micro_usd: number): void {
    const effect = { at_ms, reserved: ZERO, spent: callOf(micro_usd) };
    this.#state.steady_ms = this.#state.steady(at_ms);
    for (const owner of this.#ownersOf(principal).owners.all) {
      const account = this.#accountOf(owner);
      if (account === undefined) continue;
      account.counted += 1;
      for (const zone of this.#zones) account.countDay(zone, effect);
      const { steady_ms } = this.#state;
      for (const window_ms of this.#windows) {
        account.countWindow(window_ms, effect, steady_ms, steady_ms);
      }
    }
  }

  /** What a limit of a document counts, in the document's own zone and window. */
  #figure(limit: BudgetLimit, budget: Budget): number {
    const asked = this.#asked;
    const at_ms = this.#at_ms;
    // The same few limits are asked of every fact, and most calls cost nothing.
    for (const known of asked.figures) {
      if (known.limit !== limit || known.budget !== budget) continue;
      if (known.account.counted !== known.counted) break;
      if (at_ms >= known.start_ms && at_ms < known.end_ms) return known.micro_usd;
    }
    return this.#countFigure(asked, limit, budget, at_ms);
  }

  #countFigure(asked: KnownOwners, limit: BudgetLimit, budget: Budget, at_ms: number): number {
    const { agent, team, org, subtrees } = asked.owners;
    const owner = limit.owner === "agent"
      ? subtrees.at(-1) ?? agent
      : limit.owner === "team"
      ? team
      : limit.owner === "org"
      ? org
      : GLOBAL_OWNER;
    const account = owner === undefined ? undefined : this.#accountOf(owner);
    const window = windowOfLimit(budget, limit);
    const { spent: { micro_usd } } = levelAt(account, window, at_ms, this.#state.steady(at_ms));
    // A short window may end at any moment; days and months change at midnight alone.
    if (window.kind === "short" || account === undefined) return micro_usd;
    const { start_ms, end_ms } = dayOf(window.zone, at_ms);
    const { counted } = account;
    const figure = { limit, budget, account, counted, start_ms, end_ms, micro_usd };
    const at = asked.figures.findIndex((one) => one.limit === limit && one.budget === budget);
    if (at >= 0) asked.figures[at] = figure;
    else if (asked.figures.length < FIGURES_REMEMBERED_MAX) asked.figures.push(figure);
    return micro_usd;
  }

  #accountOf(owner: string): CountedAccount | undefined {
    const known = this.#accounts.get(owner);
    if (known !== undefined || this.#isFull()) return known;
    const account = new CountedAccount(owner);
    this.#accounts.set(owner, account);
    this.#state.accounts.set(owner, account);
    return account;
  }

  /** Past the bound nobody can say what was spent: `budget ledger unavailable`. */
  #isFull(): boolean {
    return this.#state.accounts.size >= REPLAY_LIMITS.spend_accounts;
  }

  /** Asked for every fact: no text is built for an agent that stays where it was. */
  #ownersOf(principal: Principal): KnownOwners {
    const { registry_key, engine_key, org_id, team_id } = principal;
    const key = registry_key ?? engine_key;
    const known = this.#owners.get(key);
    if (
      known !== undefined && known.registered === (registry_key !== undefined) &&
      known.org_id === org_id && known.team_id === team_id
    ) return known;
    if (this.#owners.size >= OWNERS_REMEMBERED_MAX) this.#owners.clear();
    const made = knownOwners(principal);
    this.#owners.set(key, made);
    return made;
  }
}

/** An account that tells when something was counted. */
class CountedAccount extends Account {
  counted = 0;
}

/** What a limit counted, as long as nothing was added and the day is the same. */
interface Figure {
  readonly limit: BudgetLimit;
  readonly budget: Budget;
  readonly account: CountedAccount;
  readonly counted: number;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly micro_usd: number;
}

/** Figures remembered of one agent; further limits are counted each time. */
const FIGURES_REMEMBERED_MAX = 16;

function knownOwners(principal: Principal): KnownOwners {
  const { registry_key, org_id, team_id } = principal;
  const registered = registry_key !== undefined;
  return { registered, org_id, team_id, owners: ownersOf(principal, []), figures: [] };
}

/** Whose accounts an agent's calls go to, and what that hangs on. */
interface KnownOwners {
  readonly registered: boolean;
  readonly org_id: string | undefined;
  readonly team_id: string | undefined;
  readonly owners: Owners;
  readonly figures: Figure[];
}

function callOf(micro_usd: number): Amount {
  return amount({ micro_usd, calls: 1 });
}

const NOBODY: Principal = {
  assurance: "unattributed",
  agent_id: "",
  engine_key: "",
  status: "active",
};

/** Limits of a policy that a replay does not carry, by place, for people. */
export function uncarriedLimits(documents: readonly PolicyDocument[]): string[] {
  return documents.flatMap(({ file, budget }) =>
    [...budget?.limits ?? []].flatMap(([name, limit]) => {
      const what = [
        limit.tokens !== undefined && "tokens",
        limit.wall_ms !== undefined && "wall time",
        limit.per === "subtree" && "what descendants spend",
      ].filter((one) => one !== false);
      return what.length === 0 ? [] : [
        `${file}:${limit.at.line}: budget.limits.${name}: ${what.join(" and ")} not replayed: ` +
        "recorded decisions do not tell them",
      ];
    })
  );
}
