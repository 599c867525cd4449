/**
 * What one side of a replay has spent: calendar windows of agents, teams and organisations, carried
 * forward from call to call (contract `policy-and-gateway` §6.2). Pure; time comes in.
 *
 * @module
 */
import { BUDGET_LIMITS, type BudgetLimit, type Spend, spentAgainst } from "../policy/budget.ts";
import type { CompiledDocument } from "../policy/compiled_document.ts";
import type { PolicyDocument } from "../policy/document.ts";
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

interface Account {
  day: number;
  month: number;
  /** Start of a rolling `window`, which replaces the day. */
  anchor_ms: number;
  daily_micro_usd: number;
  monthly_micro_usd: number;
}

type KnownSpend = {
  -readonly [K in keyof Extract<Spend, { state: "known" }>]: Extract<Spend, { state: "known" }>[K];
};

const UNAVAILABLE: Spend = { state: "unavailable" };

/** Accounts of one side. Everything starts at nothing spent when the replay starts. */
export class SpendBook implements ReplayLedger {
  readonly #agents = new Map<string, Account>();
  readonly #teams = new Map<string, Account>();
  readonly #orgs = new Map<string, Account>();
  readonly #fleet = new Map<string, Account>();
  readonly #calendar: Calendar;
  readonly #window_ms: number | undefined;
  readonly #known: KnownSpend = {
    state: "known",
    agent_daily_micro_usd: 0,
    agent_monthly_micro_usd: 0,
  };

  /** @param documents The side's documents: the first global one names time zone and window (§1.6). */
  constructor(documents: readonly PolicyDocument[]) {
    const global = documents.find((document) => document.scope.tier === "global");
    this.#calendar = new Calendar(global?.budget?.timezone ?? "UTC");
    this.#window_ms = global?.budget?.window_ms;
  }

  spend(principal: Principal, at_ms: number): Spend {
    const { team_id, org_id } = principal;
    const known = this.#known;
    const agent = this.#at(this.#agents, principal.registry_key ?? principal.engine_key, at_ms);
    const team = team_id === undefined ? undefined : this.#at(this.#teams, team_id, at_ms);
    const org = org_id === undefined ? undefined : this.#at(this.#orgs, org_id, at_ms);
    const fleet = this.#at(this.#fleet, "", at_ms);
    if (this.#size > REPLAY_LIMITS.spend_accounts) return UNAVAILABLE;
    known.agent_daily_micro_usd = agent.daily_micro_usd;
    known.agent_monthly_micro_usd = agent.monthly_micro_usd;
    known.team_daily_micro_usd = team?.daily_micro_usd ?? 0;
    known.team_monthly_micro_usd = team?.monthly_micro_usd ?? 0;
    known.org_daily_micro_usd = org?.daily_micro_usd ?? 0;
    known.org_monthly_micro_usd = org?.monthly_micro_usd ?? 0;
    known.global_daily_micro_usd = fleet.daily_micro_usd;
    known.global_monthly_micro_usd = fleet.monthly_micro_usd;
    return known;
  }

  noRoom(
    budgets: readonly CompiledDocument[],
    principal: Principal,
    at_ms: number,
    micro_usd: number,
  ): NoRoom | undefined {
    const spend = this.spend(principal, at_ms);
    for (const by of budgets) {
      for (const limit of BUDGET_LIMITS) {
        const { budget } = by.document;
        const stated = budget?.[limit.key];
        if (budget === undefined || stated === undefined || !binds(limit, principal)) continue;
        const spent = spentAgainst(spend, limit, budget);
        if (spent !== undefined && spent + micro_usd <= stated.value) continue;
        const reason = spent === undefined
          ? "budget ledger unavailable"
          : `${limit.window} budget exceeded`;
        return { reason, rule: ruleAt(by.document, stated, `budget.${limit.yaml_key}`) };
      }
    }
    return undefined;
  }

  add(principal: Principal, at_ms: number, micro_usd: number): void {
    const { team_id, org_id } = principal;
    const agent = principal.registry_key ?? principal.engine_key;
    this.#add(this.#agents, agent, at_ms, micro_usd);
    if (team_id !== undefined) this.#add(this.#teams, team_id, at_ms, micro_usd);
    if (org_id !== undefined) this.#add(this.#orgs, org_id, at_ms, micro_usd);
    this.#add(this.#fleet, "", at_ms, micro_usd);
  }

  get #size(): number {
    return this.#agents.size + this.#teams.size + this.#orgs.size;
  }

  #add(accounts: Map<string, Account>, name: string, at_ms: number, micro_usd: number): void {
    const account = this.#at(accounts, name, at_ms);
    account.daily_micro_usd += micro_usd;
    account.monthly_micro_usd += micro_usd;
  }

  /** The account in the window of that moment; a clock that steps back opens no new window. */
  #at(accounts: Map<string, Account>, name: string, at_ms: number): Account {
    const { day, month } = this.#calendar.at(at_ms);
    let account = accounts.get(name);
    if (account === undefined) {
      account = { day, month, anchor_ms: at_ms, daily_micro_usd: 0, monthly_micro_usd: 0 };
      // Past the bound accounts are counted, so that the bound is seen, and no longer kept.
      if (this.#size <= REPLAY_LIMITS.spend_accounts) accounts.set(name, account);
      return account;
    }
    if (this.#window_ms !== undefined) {
      if (at_ms - account.anchor_ms >= this.#window_ms) {
        account.anchor_ms = at_ms;
        account.daily_micro_usd = 0;
      }
    } else if (day > account.day) {
      account.day = day;
      account.daily_micro_usd = 0;
    }
    if (month > account.month) {
      account.month = month;
      account.monthly_micro_usd = 0;
    }
    return account;
  }
}

function binds(limit: BudgetLimit, principal: Principal): boolean {
  if (limit.owner === "team") return principal.team_id !== undefined;
  return limit.owner === "org" ? principal.org_id !== undefined : true;
}

/** A day and a month as numbers that grow with time. */
interface CalendarDay {
  readonly day: number;
  readonly month: number;
}

/** Offsets of zones change on quarter hours at the finest. */
const SLOT_MS = 900_000;

/** Days and months of one time zone; the last quarter of an hour is remembered. */
export class Calendar {
  readonly #format: Intl.DateTimeFormat;
  #slot = NaN;
  #day: CalendarDay = { day: 0, month: 0 };

  /** @throws {RangeError} For a zone the time zone database lacks; no loaded policy names one. */
  constructor(timezone: string) {
    this.#format = new Intl.DateTimeFormat("en-US", {
      timeZone: timezone,
      year: "numeric",
      month: "numeric",
      day: "numeric",
    });
  }

  /** The day that a moment belongs to. */
  at(at_ms: number): CalendarDay {
    const slot = Math.floor(at_ms / SLOT_MS);
    if (slot !== this.#slot) {
      this.#slot = slot;
      const part = new Map(
        this.#format.formatToParts(at_ms).map(({ type, value }) => [type, Number(value)]),
      );
      const month = (part.get("year") ?? 0) * 12 + (part.get("month") ?? 0);
      this.#day = { month, day: month * 32 + (part.get("day") ?? 0) };
    }
    return this.#day;
  }
}
