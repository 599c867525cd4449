/**
 * Calls that runtimes may make without asking, each already counted: its money stands reserved in
 * the ledger, its rate token is taken. Whatever a runtime does, no more is spent than was set aside
 * here; what it does beyond is charged when it is reported, and told.
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import { type Amount, isZero, plus, ZERO } from "../../core/ledger/mod.ts";
import type { CompiledDocument } from "../../core/policy/compiled_document.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import { decide } from "../../core/policy/decide.ts";
import type { RateBuckets } from "../../core/policy/rate_limit.ts";
import type { Principal } from "../../core/principal.ts";
import type { RateCharge } from "../../core/verdict.ts";
import type { LedgerPart } from "../engine/parts.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { RUNTIME_ROOM_LIMITS } from "./limits.ts";

/** What leasing needs. */
export interface LeasesOptions {
  /** Absent while the ledger is unavailable: nothing priced is leased then. */
  readonly ledger: Ledger | undefined;
  readonly buckets: RateBuckets;
  readonly policy: () => PolicySet;
  readonly now_ms: () => number;
  /** Makes the id of a lease that holds no money: a UUID. */
  readonly newId: () => string;
}

/** Who asks for which calls. */
export interface LeaseQuestion {
  readonly principal: Principal;
  readonly agent_key: string;
  readonly runtime_id: string;
  /** One such call, without arguments. */
  readonly action: Action;
  /** At least 1. */
  readonly calls: number;
}

/** Calls granted, or why not. */
export type Granted =
  | {
    readonly outcome: "granted";
    readonly lease_id: string;
    readonly calls: number;
    readonly durable: Promise<void>;
  }
  | { readonly outcome: "refused"; readonly reason: string };

interface Lease {
  readonly id: string;
  readonly agent_key: string;
  readonly runtime_id: string;
  readonly calls: number;
  /** Zero when calls are not charged one by one. */
  readonly unit: Amount;
  readonly holds_money: boolean;
  readonly until_ms: number;
  reported: number;
  /** Of the reported calls, by their own prices. */
  reported_amount: Amount;
  ended: boolean;
  /** Calls that its end accounted for. */
  accounted: number;
}

/** What a reported call of a lease means for its books. */
export type Reported =
  /** It was set aside. */
  | "covered"
  /** The runtime made more calls than the lease had. */
  | "overdrawn"
  /** Nobody knows the lease: it was charged in full, or never was. */
  | "unknown";

/** The leases of one gateway. Memory only; their money is the ledger's, and survives there. */
export class Leases {
  readonly #on: LeasesOptions;
  readonly #leases = new Map<string, Lease>();
  readonly #by_agent = new Map<string, number>();

  constructor(options: LeasesOptions) {
    this.#on = options;
  }

  /** Leases that have not ended. */
  get size(): number {
    return this.#by_agent.values().reduce((sum, count) => sum + count, 0);
  }

  /** Leases out at one runtime. */
  ofRuntime(agent_key: string, runtime_id: string): number {
    return this.#leases.values().filter((lease) =>
      !lease.ended && lease.agent_key === agent_key && lease.runtime_id === runtime_id
    ).reduce((count) => count + 1, 0);
  }

  /** Sets calls aside, as many as there is room for. */
  grant(question: LeaseQuestion): Granted {
    const { principal, agent_key, action } = question;
    const full = this.#fullness(agent_key);
    if (full !== undefined) return refused(full);
    const { ledger, buckets, now_ms: now } = this.#on;
    const now_ms = now();
    const policy = this.#on.policy();
    const decision = decide(policy, action, {
      now_ms,
      principal,
      rateTokens: (charge) => buckets.tokens(charge, now_ms),
      spend: ledger?.spend(principal, now_ms) ?? { state: "unavailable" },
    });
    if (decision.outcome === "deny") return refused(`policy denies it: ${decision.reason}`);
    const budgets = budgetsOf(policy, principal, action);
    const charges = decision.charges ?? [];
    let calls = Math.min(question.calls, RUNTIME_ROOM_LIMITS.lease_calls, ...charges.map(shareOf));
    if (calls < 1) return refused("a rate limit is too small to be leased from");
    const unit = ledger?.amountOf(action, budgets);
    if (unit === undefined) return refused("budget ledger unavailable");
    const money = budgets.length > 0 || !isZero(unit);
    if (!money && charges.length === 0) {
      return refused("nothing counts such a call: no lease needed");
    }
    let id = "";
    let durable: Promise<void> = Promise.resolve();
    if (money && ledger !== undefined) {
      const ask = { principal, record: undefined, action, now_ms, trace_id: "", budgets };
      const leased = ledger.lease(
        { ...ask, settles: false },
        calls,
        RUNTIME_ROOM_LIMITS.lease_charged_after_ms,
      );
      if (leased.outcome === "denied") return refused(leased.reason);
      id = leased.id;
      // One micro-dollar stands for any number of calls that are not charged.
      calls = isZero(unit) ? calls : leased.calls;
      durable = leased.durable;
    }
    const taken = this.#take(charges, calls, now_ms);
    if (taken < 1) {
      if (id !== "") ledger?.book({ kind: "release", id, at_ms: ledger.state.steady(now_ms) });
      return refused("rate limit exceeded");
    }
    const lease_id = id === "" ? this.#on.newId() : id;
    this.#leases.set(lease_id, {
      id: lease_id,
      agent_key,
      runtime_id: question.runtime_id,
      calls: taken,
      unit,
      holds_money: id !== "",
      until_ms: now_ms + RUNTIME_ROOM_LIMITS.lease_charged_after_ms,
      reported: 0,
      reported_amount: ZERO,
      ended: false,
      accounted: 0,
    });
    this.#by_agent.set(agent_key, (this.#by_agent.get(agent_key) ?? 0) + 1);
    return { outcome: "granted", lease_id, calls: taken, durable };
  }

  /**
   * Ends a lease by its runtime's word: what was reported is charged at its own price, what was used
   * and not reported at the lease's, the rest is given back. Of rate tokens nothing is.
   *
   * @returns `undefined` when the lease is not one of this agent, or has ended.
   */
  giveBack(agent_key: string, lease_id: string, calls_used: number): Promise<void> | undefined {
    const lease = this.#leases.get(lease_id);
    if (lease === undefined || lease.ended || lease.agent_key !== agent_key) return undefined;
    this.#end(lease);
    lease.accounted = Math.min(Math.max(calls_used, lease.reported), lease.calls);
    const { ledger } = this.#on;
    if (!lease.holds_money || ledger === undefined) return Promise.resolve();
    const at_ms = ledger.state.steady(this.#on.now_ms());
    const unreported = Math.max(0, lease.accounted - lease.reported);
    const actual = plus(lease.reported_amount, scaled(lease.unit, unreported));
    const booked = isZero(actual)
      ? ledger.book({ kind: "release", id: lease.id, at_ms })
      : ledger.book({ kind: "settle", id: lease.id, at_ms, actual });
    // Refused: it has expired meanwhile, and was charged in full.
    return booked.ok ? booked.durable : Promise.resolve();
  }

  /** Takes note of a reported call that was made under a lease. */
  reported(agent_key: string, lease_id: string, action: Action, principal: Principal): Reported {
    const lease = this.#leases.get(lease_id);
    if (lease === undefined || lease.agent_key !== agent_key) {
      return this.#wasSetAside(agent_key, lease_id) ? "covered" : "unknown";
    }
    lease.reported++;
    if (lease.reported > (lease.ended ? lease.accounted : lease.calls)) return "overdrawn";
    if (lease.ended) return "covered";
    const budgets = budgetsOf(this.#on.policy(), principal, action);
    const own = isZero(lease.unit) ? ZERO : this.#on.ledger?.amountOf(action, budgets);
    lease.reported_amount = plus(lease.reported_amount, own ?? lease.unit);
    return "covered";
  }

  /** Whether a call would have needed a lease for what it costs. */
  costs(principal: Principal, action: Action): boolean {
    const budgets = budgetsOf(this.#on.policy(), principal, action);
    const unit = this.#on.ledger?.amountOf(action, budgets);
    return unit !== undefined && !isZero(unit);
  }

  /** Charges a call that no lease covers: it was made, whatever the limits say. */
  charge(principal: Principal, action: Action): Promise<void> {
    const budgets = budgetsOf(this.#on.policy(), principal, action);
    const ledger: LedgerPart | undefined = this.#on.ledger;
    const noted = ledger?.note({
      principal,
      record: undefined,
      action,
      now_ms: this.#on.now_ms(),
      trace_id: "",
      budgets,
      settles: false,
    });
    return noted?.outcome === "reserved" ? noted.durable : Promise.resolve();
  }

  /** Forgets leases whose time is over; the ledger charges what they held. */
  tick(now_ms: number): void {
    const { lease_charged_after_ms } = RUNTIME_ROOM_LIMITS;
    for (const lease of this.#leases.values()) {
      // A clock set back must not keep one for ever.
      const over = now_ms >= lease.until_ms ||
        now_ms < lease.until_ms - 2 * lease_charged_after_ms;
      if (!over) continue;
      this.#end(lease);
      this.#leases.delete(lease.id);
    }
  }

  /** Whether the ledger knows it, from before a restart: then it is charged in full. */
  #wasSetAside(agent_key: string, lease_id: string): boolean {
    const state = this.#on.ledger?.state;
    const call = state?.open.get(lease_id)?.call ?? state?.closed.get(lease_id)?.call;
    return call?.agent_key === agent_key && call.what === "lease";
  }

  #end(lease: Lease): void {
    if (lease.ended) return;
    lease.ended = true;
    const left = (this.#by_agent.get(lease.agent_key) ?? 1) - 1;
    if (left === 0) this.#by_agent.delete(lease.agent_key);
    else this.#by_agent.set(lease.agent_key, left);
  }

  #fullness(agent_key: string): string | undefined {
    if ((this.#by_agent.get(agent_key) ?? 0) >= RUNTIME_ROOM_LIMITS.leases_per_agent) {
      return "too many leases of this agent are out: return some";
    }
    // Also those that ended and are remembered: each costs memory.
    return this.#leases.size >= RUNTIME_ROOM_LIMITS.leases ? "too many leases are out" : undefined;
  }

  #take(charges: readonly RateCharge[], calls: number, now_ms: number): number {
    if (charges.length === 0) return calls;
    let taken = 0;
    while (taken < calls && this.#on.buckets.take(charges, now_ms)) taken++;
    return taken;
  }
}

/** Documents with a say in what a call costs. */
export function budgetsOf(
  policy: PolicySet,
  principal: Principal,
  action: Action,
): readonly CompiledDocument[] {
  if (policy.state !== "configured") return [];
  return policy.index.cascade(principal, action)?.budgets ?? [];
}

function shareOf({ limit }: RateCharge): number {
  return Math.floor(limit / RUNTIME_ROOM_LIMITS.rate_share_divisor);
}

function scaled(unit: Amount, times: number): Amount {
  return {
    micro_usd: unit.micro_usd * times,
    tokens: unit.tokens * times,
    calls: unit.calls * times,
    wall_ms: unit.wall_ms * times,
  };
}

function refused(reason: string): Granted {
  return { outcome: "refused", reason };
}
