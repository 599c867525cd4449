/**
 * The ledger at work: prices a call, tests it against every limit together, and books it, all in one
 * turn of the event loop, so that no two calls can take the same room. The disk comes after; who is
 * answered waits for it.
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import {
  agentOwner,
  type Amount,
  amount,
  type AncestorBudgets,
  type BoundLimit,
  boundLimits,
  type Breach,
  type CallPrice,
  CROWD_OWNER,
  crowded,
  dayOf,
  type DeclaredMost,
  findBreach,
  isZero,
  LEDGER_LIMITS,
  type LedgerState,
  levelAt,
  modelCallOf,
  orgOwner,
  type Owners,
  ownersOf,
  priceCall,
  type Pricing,
  type Refusal,
  type ReservedCall,
  subtreeOwner,
  teamOwner,
  type Transaction,
  windowOf,
  type WindowSpec,
  ZERO,
} from "../../core/ledger/mod.ts";
import {
  type BudgetLimit,
  isCharged,
  LEDGER_UNAVAILABLE,
  type Spend,
  toolCost,
} from "../../core/policy/budget.ts";
import type { CompiledDocument } from "../../core/policy/compiled_document.ts";
import type { Budget } from "../../core/policy/document.ts";
import { usd } from "../../core/policy/explain/moment_edits.ts";
import { ruleAt } from "../../core/policy/stage.ts";
import type { Principal } from "../../core/principal.ts";
import type { LedgerPart, Reserve, ReserveAsk } from "../engine/parts.ts";
import type { Journal } from "./journal.ts";

/** Denial of a model call whose token count or price is no number that can be charged. */
export const UNPRICEABLE = "call cannot be priced";

/** An agent above another one, with the documents that bind its subtree. */
export interface Ancestor {
  readonly key: string;
  readonly budgets: readonly CompiledDocument[];
}

/** What the ledger decides with. */
export interface LedgerOptions {
  readonly state: LedgerState;
  readonly journal: Journal;
  readonly pricing: Pricing;
  /** Agents above a registered agent, root first. */
  readonly ancestors: (registry_key: string, action: Action) => readonly Ancestor[];
  /** Makes the id of a reservation: a UUID. */
  readonly newId: () => string;
  /** Is told what was just charged, so that alerts can be looked at. */
  readonly onCharge?: (limits: readonly BoundLimit[], asked: Charged) => void;
  /** Is told of a limit that just refused a call. */
  readonly onBreach?: (breach: Breach, asked: Charged) => void;
}

/** Who was charged when. */
export interface Charged {
  readonly principal: Principal;
  readonly now_ms: number;
}

type Denied = Extract<Reserve, { outcome: "denied" }>;

/** Calls set aside, or why not. */
export type Leased =
  | {
    readonly outcome: "leased";
    /** Of the reservation that holds them: a UUID. */
    readonly id: string;
    /** At most what was asked for. */
    readonly calls: number;
    /** What each is counted as. */
    readonly unit: Amount;
    readonly durable: Promise<void>;
  }
  | Denied;

/** What admission found: nothing to charge, a refusal, or a call to book. */
type Admission =
  | { readonly outcome: "free" }
  | Denied
  | { readonly outcome: "room"; readonly call: ReservedCall; readonly limits: BoundLimit[] };

/** The ledger of one gateway. */
export class Ledger implements LedgerPart {
  readonly #on: LedgerOptions;
  readonly #state: LedgerState;
  #strangers: number;

  constructor(options: LedgerOptions) {
    this.#on = options;
    this.#state = options.state;
    this.#strangers =
      [...options.state.accounts.keys()].filter((owner) => owner.startsWith(STRANGER)).length;
  }

  /** Table of prices in force. */
  get pricing(): Pricing {
    return this.#on.pricing;
  }

  /** The state, to be read. */
  get state(): LedgerState {
    return this.#state;
  }

  /** Why nothing can be booked now; `undefined` while it can. */
  get unavailable(): string | undefined {
    const { journal } = this.#on;
    if (journal.failure !== undefined) return `its journal cannot be written: ${journal.failure}`;
    return journal.full ? "too many of its transactions wait for the disk" : undefined;
  }

  /** @inheritdoc */
  spend(principal: Principal, now_ms: number): Spend {
    if (this.unavailable !== undefined || !isTime(now_ms)) return { state: "unavailable" };
    return new PrincipalSpend(this, principal, now_ms);
  }

  /** @inheritdoc */
  price(action: Action, budgets: readonly CompiledDocument[] = []): number {
    return this.#priceOf(action, budgets, { settles: false, declared: {} })?.worst.micro_usd ?? 0;
  }

  /** @inheritdoc */
  preview(ask: ReserveAsk): Reserve {
    const admission = this.#admit(ask, "00000000-0000-0000-0000-000000000000");
    if (admission.outcome !== "room") return admission;
    return {
      outcome: "reserved",
      reservation_id: admission.call.id,
      micro_usd: admission.call.amount.micro_usd,
      durable: Promise.resolve(),
      release: () => {},
    };
  }

  /** @inheritdoc */
  reserve(ask: ReserveAsk): Reserve {
    return this.#spend(ask, this.#admit(ask, this.#on.newId()));
  }

  /**
   * Sets calls alike aside for somebody who will make them without asking, against every limit
   * together: as many as there is room for, halving. A call that is not charged is set aside as one
   * micro-dollar for all: while it stands, no limit that would refuse such a call is reached.
   *
   * An agent's own word never ends it for less; whoever made it books its end. Nobody did in time:
   * it is charged in full, like every reservation.
   *
   * @param calls At least 1.
   * @param charged_after_ms When it is charged in full.
   */
  lease(ask: ReserveAsk, calls: number, charged_after_ms: number): Leased {
    const refused = this.#leasable(ask);
    if (refused !== undefined) return refused;
    const unit = this.amountOf(ask.action, ask.budgets);
    if (unit === undefined) return denial(ask, UNPRICEABLE, "its token count is out of bounds");
    const { owners, limits } = this.#bound(ask);
    const counted = limits.every(({ line }) => this.countable(line.window, ask.now_ms));
    if (!counted) return denial(ask, LEDGER_UNAVAILABLE, "its window cannot be counted");
    let granted = calls;
    let whole = wholeOf(unit, granted);
    let breach: Breach | undefined;
    while ((breach = findBreach(this.#state, limits, whole, ask.now_ms)) !== undefined) {
      if (granted === 1) return overLimit(breach);
      granted = Math.floor(granted / 2);
      whole = wholeOf(unit, granted);
    }
    const call: ReservedCall = {
      id: this.#on.newId(),
      at_ms: ask.now_ms,
      agent_key: owners.agent_key,
      owners: owners.all,
      amount: whole,
      floor: whole,
      what: "lease",
    };
    const expires_at_ms = ask.now_ms + charged_after_ms;
    const booked = this.book({ kind: "reserve", call, expires_at_ms });
    if (!booked.ok) return this.#refused(ask, booked.refusal);
    return { outcome: "leased", id: call.id, calls: granted, unit, durable: booked.durable };
  }

  /**
   * What one call takes that nobody settles, in every dimension; `undefined` when it cannot be
   * priced, zero when it is not charged.
   */
  amountOf(action: Action, budgets: readonly CompiledDocument[]): Amount | undefined {
    if (modelCallOf(action) === undefined && !isCharged(budgets, action)) return ZERO;
    return this.#priceOf(action, budgets, { settles: false, declared: {} })?.worst;
  }

  #leasable(ask: ReserveAsk): Denied | undefined {
    const unavailable = this.unavailable ??
      (isTime(ask.now_ms) ? undefined : "the clock shows no time");
    return unavailable === undefined ? undefined : denial(ask, LEDGER_UNAVAILABLE, unavailable);
  }

  /** @inheritdoc */
  note(ask: ReserveAsk): Reserve {
    return this.#spend(ask, this.#admit(ask, this.#on.newId(), false));
  }

  #spend(ask: ReserveAsk, admission: Admission): Reserve {
    if (admission.outcome !== "room") return admission;
    const { call, limits } = admission;
    const transaction: Transaction = ask.settles
      ? { kind: "reserve", call, expires_at_ms: ask.now_ms + LEDGER_LIMITS.reservation_ms }
      : { kind: "charge", call };
    const booked = this.book(transaction);
    if (!booked.ok) return this.#refused(ask, booked.refusal);
    if (!ask.settles) this.#on.onCharge?.(limits, ask);
    return {
      outcome: "reserved",
      reservation_id: call.id,
      micro_usd: call.amount.micro_usd,
      durable: booked.durable,
      release: () => {
        this.book({ kind: "release", id: call.id, at_ms: this.#state.steady(ask.now_ms) });
      },
    };
  }

  /** Applies a transaction and sends it to the disk. */
  book(transaction: Transaction):
    | { readonly ok: true; readonly durable: Promise<void> }
    | { readonly ok: false; readonly refusal: Refusal } {
    const known = this.#state.accounts.size;
    const applied = this.#state.apply(transaction);
    if (!applied.ok) return applied;
    if (transaction.kind === "charge" || transaction.kind === "reserve") {
      const { owners } = transaction.call;
      if (this.#state.accounts.size > known) {
        this.#strangers += owners.filter((owner) => owner.startsWith(STRANGER)).length;
      }
    }
    return { ok: true, durable: this.#on.journal.append(transaction) };
  }

  /**
   * Sees to it that a window is counted from now on.
   *
   * @returns `false` when it cannot be: there are too many, or the zone is unknown.
   */
  countable(window: WindowSpec, now_ms: number): boolean {
    const { zones, windows } = this.#state;
    const at_ms = this.#state.steady(now_ms);
    if (window.kind === "short") {
      const { window_ms } = window;
      return windows.includes(window_ms) || this.book({ kind: "window", window_ms, at_ms }).ok;
    }
    const { zone } = window;
    return zones.includes(zone) || this.book({ kind: "zone", zone, at_ms }).ok;
  }

  /** Spend of an owner in the window of a document's limit; `undefined` when it is not counted. */
  figure(owner: string, budget: Budget, limit: BudgetLimit, now_ms: number): number | undefined {
    const window = windowOf(budget, limit.window);
    if (!this.countable(window, now_ms)) return undefined;
    const account = this.#state.account(owner);
    return levelAt(account, window, now_ms, this.#state.steady(now_ms)).spent.micro_usd;
  }

  /** The account that an agent's own figures stand in: strangers may share one. */
  agentAccount(principal: Principal): string {
    const { registry_key, engine_key } = principal;
    if (registry_key !== undefined) return subtreeOwner(registry_key);
    const owner = agentOwner(`asserted:${engine_key}`);
    return this.#isCrowd(owner) ? CROWD_OWNER : owner;
  }

  #isCrowd(owner: string): boolean {
    return this.#strangers >= LEDGER_LIMITS.stranger_accounts && !this.#state.accounts.has(owner);
  }

  #admit(ask: ReserveAsk, id: string, bound = true): Admission {
    const { action, budgets, now_ms } = ask;
    if (modelCallOf(action) === undefined && !isCharged(budgets, action)) return FREE;
    const unavailable = this.unavailable ??
      (isTime(now_ms) ? undefined : "the clock shows no time");
    if (unavailable !== undefined) return denial(ask, LEDGER_UNAVAILABLE, unavailable);
    const price = this.#priceOf(action, budgets, {
      settles: ask.settles,
      declared: ask.declared ?? {},
    });
    if (price === undefined) return denial(ask, UNPRICEABLE, "its token count is out of bounds");
    const { owners, limits } = this.#bound(ask);
    const uncounted = limits.find(({ line }) => !this.countable(line.window, now_ms));
    if (uncounted !== undefined) {
      const detail = "budgets use more time zones or window lengths than can be counted";
      return denial(ask, LEDGER_UNAVAILABLE, detail);
    }
    const breach = bound ? findBreach(this.#state, limits, price.worst, now_ms) : undefined;
    if (breach !== undefined) {
      this.#on.onBreach?.(breach, ask);
      return overLimit(breach);
    }
    const trusted = trustsSettlement(budgets);
    const call: ReservedCall = {
      id,
      at_ms: now_ms,
      agent_key: owners.agent_key,
      owners: owners.all,
      amount: price.worst,
      floor: trusted ? ZERO : price.estimate,
      what: price.what,
    };
    return { outcome: "room", call, limits };
  }

  #bound(ask: ReserveAsk): { readonly owners: Owners; readonly limits: BoundLimit[] } {
    const { principal, action, budgets } = ask;
    const { registry_key } = principal;
    const ancestors = registry_key === undefined ? [] : this.#on.ancestors(registry_key, action);
    const own = ownersOf(principal, ancestors.map(({ key }) => key));
    const owners = registry_key === undefined && this.#isCrowd(own.agent) ? crowded(own) : own;
    const above: AncestorBudgets[] = ancestors.map(({ key, budgets }) => ({
      owner: subtreeOwner(key),
      budgets,
    }));
    return { owners, limits: boundLimits(owners, budgets, above) };
  }

  #priceOf(
    action: Action,
    budgets: readonly CompiledDocument[],
    terms: { readonly settles: boolean; readonly declared: DeclaredMost },
  ): CallPrice | undefined {
    let assumed: number | undefined;
    let wall_limited = false;
    for (const { document: { budget } } of budgets) {
      if (budget === undefined) continue;
      const stated = budget.assumed_output_tokens;
      if (stated !== undefined) assumed = Math.max(assumed ?? 0, stated);
      for (const limit of budget.limits?.values() ?? []) {
        if (limit.wall_ms !== undefined) wall_limited = true;
      }
    }
    return priceCall(this.#on.pricing, action, {
      ...terms,
      wall_limited,
      tool_micro_usd: toolCost(budgets, action),
      ...(assumed === undefined ? {} : { assumed_output_tokens: assumed }),
    });
  }

  #refused(ask: ReserveAsk, refusal: Refusal): Denied {
    return refusal === "bad_amount"
      ? denial(ask, UNPRICEABLE, "its price is out of bounds")
      : denial(ask, LEDGER_UNAVAILABLE, refusal.replaceAll("_", " "));
  }
}

/** Calls that are not charged are held by one micro-dollar, whatever their number. */
function wholeOf(unit: Amount, calls: number): Amount {
  if (isZero(unit)) return amount({ micro_usd: 1 });
  return {
    micro_usd: unit.micro_usd * calls,
    tokens: unit.tokens * calls,
    calls: unit.calls * calls,
    wall_ms: unit.wall_ms * calls,
  };
}

const FREE: { readonly outcome: "free" } = { outcome: "free" };
const STRANGER = agentOwner("asserted:");
const TIME_END_MS = Date.UTC(9999, 11, 30);

function isTime(now_ms: number): boolean {
  return Number.isSafeInteger(now_ms) && now_ms >= 0 && now_ms < TIME_END_MS;
}

/** An agent's word counts in full only where a document says so and none says otherwise. */
function trustsSettlement(budgets: readonly CompiledDocument[]): boolean {
  const words = budgets.map(({ document }) => document.budget?.agent_settlement);
  return words.includes("trusted") && !words.includes("at_least_estimate");
}

function denial(ask: ReserveAsk, reason: string, detail: string): Denied {
  const by = ask.budgets.find(({ document }) => document.budget !== undefined);
  const at = by?.document.budget?.at;
  return {
    outcome: "denied",
    reason,
    ...(by === undefined || at === undefined
      ? {}
      : { rule: ruleAt(by.document, at, "budget"), policy_doc_id: by.document.digest }),
    suspend: false,
    detail,
  };
}

function overLimit(breach: Breach): Denied {
  const { line, owner, spent, reserved, asked, reason } = breach;
  const { document } = line.by;
  const figure = (value: number) => amountText(value, line.dimension);
  return {
    outcome: "denied",
    reason,
    rule: ruleAt(document, line.at, `budget.${line.path}`),
    policy_doc_id: document.digest,
    suspend: document.budget?.action_on_exceed === "suspend",
    detail: `${owner} has spent ${figure(spent)} and reserved ${figure(reserved)} of ` +
      `${figure(line.limit)}; this call asks for ${figure(asked)}`,
  };
}

/** An amount of one dimension in words: `0.03 USD`, `1200 tokens`, `5 calls`, `90 s`. */
function amountText(value: number, dimension: Breach["line"]["dimension"]): string {
  switch (dimension) {
    case "micro_usd":
      return `${usd(value)} USD`;
    case "tokens":
    case "calls":
      return `${value} ${dimension}`;
    case "wall_ms":
      return `${value / 1000} s`;
  }
}

/** What a principal has spent, looked up only when a document asks. */
class PrincipalSpend implements Extract<Spend, { state: "known" }> {
  readonly state = "known";
  readonly #ledger: Ledger;
  readonly #principal: Principal;
  readonly #now_ms: number;

  constructor(ledger: Ledger, principal: Principal, now_ms: number) {
    this.#ledger = ledger;
    this.#principal = principal;
    this.#now_ms = now_ms;
  }

  get agent_daily_micro_usd(): number {
    return this.#utc("agent", "daily");
  }

  get agent_monthly_micro_usd(): number {
    return this.#utc("agent", "monthly");
  }

  get team_daily_micro_usd(): number {
    return this.#utc("team", "daily");
  }

  get team_monthly_micro_usd(): number {
    return this.#utc("team", "monthly");
  }

  get org_daily_micro_usd(): number {
    return this.#utc("org", "daily");
  }

  get org_monthly_micro_usd(): number {
    return this.#utc("org", "monthly");
  }

  get global_daily_micro_usd(): number {
    return this.#utc("global", "daily");
  }

  get global_monthly_micro_usd(): number {
    return this.#utc("global", "monthly");
  }

  counted = (limit: BudgetLimit, budget: Budget): number | undefined => {
    const owner = this.#owner(limit.owner);
    return owner === undefined ? 0 : this.#ledger.figure(owner, budget, limit, this.#now_ms);
  };

  #utc(owner: BudgetLimit["owner"], window: "daily" | "monthly"): number {
    const name = this.#owner(owner);
    const account = name === undefined ? undefined : this.#ledger.state.account(name);
    const level = window === "daily"
      ? account?.day("UTC", this.#now_ms)
      : account?.month("UTC", this.#now_ms);
    return level?.spent.micro_usd ?? 0;
  }

  #owner(owner: BudgetLimit["owner"]): string | undefined {
    const { org_id = "", team_id = "" } = this.#principal;
    switch (owner) {
      case "agent":
        return this.#ledger.agentAccount(this.#principal);
      case "team":
        return team_id === "" ? undefined : teamOwner(org_id, team_id);
      case "org":
        return org_id === "" ? undefined : orgOwner(org_id);
      case "global":
        return "global";
    }
  }
}

/** The local date of a moment, for statements. */
export function dateOf(zone: string, now_ms: number): string {
  return dayOf(zone, now_ms).date;
}
