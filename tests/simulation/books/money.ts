/**
 * What was reserved, settled and given back, written down beside the ledger by somebody who only
 * sees its answers. A crash leaves the last movements uncertain, in order, until the ledger says
 * which of them it kept.
 *
 * @module
 */
import type { LedgerState } from "../../../core/ledger/mod.ts";
import { BUDGET_LIMITS, type BudgetLimit } from "../../../core/policy/budget.ts";
import type { Principal } from "../../../core/principal.ts";
import type { LedgerPart, Reserve, ReserveAsk } from "../../../gateway/engine/parts.ts";
import type { Settlement } from "../../../gateway/ledger/settlement.ts";
import type { Verdict } from "../violation.ts";

/** What may have been spent and reserved: between these two. Equal unless a crash came between. */
interface Range {
  low: number;
  high: number;
}

/** One change of a sum. */
interface Movement {
  readonly keys: readonly string[];
  readonly micro_usd: number;
}

/** A reservation, remembered for its end. */
interface Held {
  readonly owners: readonly string[];
  readonly keys: readonly string[];
  readonly micro_usd: number;
}

type Reserved = Extract<Reserve, { outcome: "reserved" }>;

/** Agents above a registered one, by registry key. */
export type Above = (registry_key: string) => readonly string[];

/** The observer's own account of all money. */
export class MoneyBook {
  readonly #sums = new Map<string, Range>();
  readonly #held = new Map<string, Held>();
  /** Movements that may not be on disk yet, in the order in which the ledger made them. */
  #uncertain: Movement[] = [];
  #reservations = 0;
  #settlements = 0;

  /** @param zone Time zone in which the budgets' days are counted. */
  constructor(private readonly verdict: Verdict, private readonly zone: string) {}

  /** Reservations made so far. */
  get reservations(): number {
    return this.#reservations;
  }

  /** Reservations that ended by somebody's word. */
  get settlements(): number {
    return this.#settlements;
  }

  /** A ledger whose every answer is written down here. */
  watch(ledger: LedgerPart, above: Above): LedgerPart {
    return {
      spend: (principal, now_ms) => ledger.spend(principal, now_ms),
      price: (action, budgets) => ledger.price(action, budgets),
      preview: (ask) => ledger.preview(ask),
      reserve: (ask) => {
        const outcome = ledger.reserve(ask);
        return outcome.outcome === "reserved" ? this.#reserved(ask, outcome, above) : outcome;
      },
      // The simulation's agents are never observed: what no limit stops would be no breach of one.
      note: (ask) => {
        this.verdict.violated("limit", "a call was charged past its limits");
        return ledger.note(ask);
      },
    };
  }

  #reserved(ask: ReserveAsk, outcome: Reserved, above: Above): Reserved {
    const { reservation_id: id, micro_usd } = outcome;
    if (!Number.isSafeInteger(micro_usd) || micro_usd < 0) {
      this.verdict.violated("money", `a reservation of ${micro_usd} micro-dollars was made`);
    }
    if (this.#held.has(id)) this.verdict.violated("money", `reservation ${id} was made twice`);
    const owners = ownersOf(ask.principal, above);
    const keys = this.#keys(owners, ask.now_ms);
    this.#held.set(id, { owners, keys, micro_usd });
    this.#reservations++;
    this.#move({ keys, micro_usd }, outcome.durable);
    this.#checkLimits(ask, owners);
    let released = false;
    return {
      ...outcome,
      release: () => {
        outcome.release();
        if (!released) this.#move({ keys, micro_usd: -micro_usd });
        released = true;
      },
    };
  }

  /** Somebody ended a reservation: what it cost in the end takes the place of the worst case. */
  ended(id: string, settlement: Settlement, now_ms: number): void {
    const held = this.#held.get(id);
    if (!settlement.ok || held === undefined) return;
    const { outcome, charged, durable } = settlement;
    if (outcome === "repeated") return;
    this.#settlements++;
    const more = charged.micro_usd - held.micro_usd;
    if (more < 0) this.#move({ keys: held.keys, micro_usd: more }, durable);
    // What was dearer than promised is spent when it is told, not when it was reserved.
    if (more > 0) this.#move({ keys: this.#keys(held.owners, now_ms), micro_usd: more }, durable);
  }

  /** A process ended: of what it had not made durable, any beginning is there. */
  crash(): void {
    for (const { keys, micro_usd } of this.#uncertain) {
      for (const key of keys) {
        const range = this.#range(key);
        if (micro_usd > 0) range.low -= micro_usd;
        else range.high -= micro_usd;
      }
    }
    this.#uncertain = [];
  }

  /** Holds what the ledger says of the owners of an agent's calls against this book. */
  check(state: LedgerState, principal: Principal, above: Above, now_ms: number): void {
    const { date, month } = dayIn(this.zone, now_ms);
    for (const owner of ownersOf(principal, above)) {
      const account = state.account(owner);
      const day = account?.day(this.zone, now_ms);
      const whole = account?.month(this.zone, now_ms);
      this.#compare(`${owner} ${date}`, day);
      this.#compare(`${owner} ${month}`, whole);
      if (account === undefined) continue;
      const { available, reserved, spent } = account;
      for (const unit of ["micro_usd", "tokens", "calls", "wall_ms"] as const) {
        const sum = available[unit] + reserved[unit] + spent[unit];
        if (sum !== 0 || reserved[unit] < 0) {
          this.verdict.violated("money", `the accounts of ${owner} sum to ${sum} ${unit}`);
        }
      }
    }
  }

  /** Everything reserved belongs to a reservation that is open. */
  checkReservations({ accounts, open }: LedgerState): void {
    const reserved = new Map<string, number>();
    for (const { call } of open.values()) {
      for (const owner of call.owners) {
        reserved.set(owner, (reserved.get(owner) ?? 0) + call.amount.micro_usd);
      }
    }
    for (const { owner, reserved: { micro_usd } } of accounts.values()) {
      const expected = reserved.get(owner) ?? 0;
      if (micro_usd !== expected) {
        const what = `${micro_usd} are reserved for ${owner}, open reservations hold ${expected}`;
        this.verdict.violated("money", what);
      }
    }
  }

  #compare(
    key: string,
    level: { reserved: { micro_usd: number }; spent: { micro_usd: number } } | undefined,
  ): void {
    const figure = (level?.reserved.micro_usd ?? 0) + (level?.spent.micro_usd ?? 0);
    const range = this.#range(key);
    if (figure < range.low || figure > range.high) {
      const what = `the ledger has ${figure} for ${key}, it must be ${range.low} to ${range.high}`;
      this.verdict.violated("money", what);
    }
    range.low = range.high = figure;
  }

  #checkLimits({ budgets, now_ms }: ReserveAsk, owners: readonly string[]): void {
    const { date, month } = dayIn(this.zone, now_ms);
    for (const { document } of budgets) {
      for (const limit of BUDGET_LIMITS) {
        const stated = document.budget?.[limit.key];
        const owner = boundBy(limit, owners);
        if (stated === undefined || owner === undefined) continue;
        const key = `${owner} ${limit.window === "daily" ? date : month}`;
        const { low } = this.#range(key);
        if (low > stated.value) {
          const what = `${low} micro-dollars in ${key}, ${limit.yaml_key} is ${stated.value}`;
          this.verdict.violated("limit", what);
        }
      }
    }
  }

  #keys(owners: readonly string[], now_ms: number): string[] {
    const { date, month } = dayIn(this.zone, now_ms);
    return owners.flatMap((owner) => [`${owner} ${date}`, `${owner} ${month}`]);
  }

  #range(key: string): Range {
    let range = this.#sums.get(key);
    if (range === undefined) this.#sums.set(key, range = { low: 0, high: 0 });
    return range;
  }

  #move(movement: Movement, durable?: Promise<void>): void {
    for (const key of movement.keys) {
      const range = this.#range(key);
      range.low += movement.micro_usd;
      range.high += movement.micro_usd;
    }
    this.#uncertain.push(movement);
    durable?.then(
      () => {
        // The journal has no gap: with one movement all before it are on disk.
        const at = this.#uncertain.indexOf(movement);
        if (at >= 0) this.#uncertain.splice(0, at + 1);
      },
      () => {
        // The journal tries again; until a later movement is on disk this one is uncertain.
      },
    );
  }
}

/** Whose sum a limit bounds; the agent's own comes first, and counts everything below it. */
function boundBy({ owner }: BudgetLimit, owners: readonly string[]): string | undefined {
  if (owner === "agent") return owners[0];
  const prefix = owner === "global" ? owner : `${owner}:`;
  return owners.find((one) => one.startsWith(prefix));
}

/**
 * Whom a call counts for: the fleet, the organisation, the team, the agent and everybody above it.
 * Written apart from the ledger's own list, in its names.
 */
function ownersOf(principal: Principal, above: Above): string[] {
  const { registry_key, engine_key, org_id = "", team_id = "" } = principal;
  const own = registry_key === undefined
    ? [`agent:asserted:${engine_key}`]
    : [registry_key, ...above(registry_key)].map((key) => `subtree:${key}`);
  const team = `team:${encodeURIComponent(org_id)}/${encodeURIComponent(team_id)}`;
  return [
    ...own,
    ...(team_id === "" ? [] : [team]),
    ...(org_id === "" ? [] : [`org:${encodeURIComponent(org_id)}`]),
    "global",
  ];
}

/** Local date and month of a moment, found apart from the ledger's calendar. */
function dayIn(zone: string, at_ms: number): { date: string; month: string } {
  if (remembered !== undefined && remembered.zone === zone && remembered.at_ms === at_ms) {
    return remembered;
  }
  let format = formats.get(zone);
  if (format === undefined) {
    const parts = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
    formats.set(zone, format = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, ...parts }));
  }
  const date = format.format(at_ms);
  remembered = { zone, at_ms, date, month: date.slice(0, 7) };
  return remembered;
}

const formats = new Map<string, Intl.DateTimeFormat>();
let remembered: { zone: string; at_ms: number; date: string; month: string } | undefined;
