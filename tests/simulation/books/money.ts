/**
 * What was reserved, written down beside the ledger by somebody who only sees its answers. After a
 * crash some of it is uncertain until the ledger says which of two honest amounts it kept.
 *
 * @module
 */
import type { Spend } from "../../../core/policy/budget.ts";
import { BUDGET_LIMITS, type BudgetLimit } from "../../../core/policy/budget.ts";
import type { Principal } from "../../../core/principal.ts";
import type { LedgerPart, Reserve, ReserveAsk } from "../../../gateway/engine/parts.ts";
import type { Verdict } from "../violation.ts";

/** What may have been spent: between these two. Equal unless a crash came in between. */
interface Range {
  low: number;
  high: number;
}

type Reserved = Extract<Reserve, { outcome: "reserved" }>;

interface Kept {
  readonly keys: readonly string[];
  readonly micro_usd: number;
  state: "reserved" | "durable" | "released";
}

/** The observer's own account of all money. */
export class MoneyBook {
  readonly #sums = new Map<string, Range>();
  readonly #open = new Map<string, Kept>();
  #reservations = 0;

  /** @param zone Time zone in which the budgets' days are counted. */
  constructor(private readonly verdict: Verdict, private readonly zone: () => string) {}

  /** Reservations made so far. */
  get reservations(): number {
    return this.#reservations;
  }

  /** A ledger whose every answer is written down here. */
  watch(ledger: LedgerPart): LedgerPart {
    return {
      spend: (principal, now_ms) => ledger.spend(principal, now_ms),
      price: (action) => ledger.price(action),
      preview: (ask) => ledger.preview(ask),
      reserve: (ask) => {
        const outcome = ledger.reserve(ask);
        return outcome.outcome === "reserved" ? this.#reserved(ask, outcome) : outcome;
      },
    };
  }

  #reserved(ask: ReserveAsk, outcome: Reserved): Reserved {
    const { reservation_id: id, micro_usd } = outcome;
    if (!Number.isSafeInteger(micro_usd) || micro_usd < 0) {
      this.verdict.violated("money", `a reservation of ${micro_usd} micro-dollars was made`);
    }
    if (this.#open.has(id)) this.verdict.violated("money", `reservation ${id} was made twice`);
    const keys = this.#keys(ask.principal, ask.now_ms);
    const kept: Kept = { keys, micro_usd, state: "reserved" };
    this.#open.set(id, kept);
    this.#reservations++;
    this.#move(keys, micro_usd, micro_usd);
    this.#checkLimits(ask);
    outcome.durable.then(
      () => {
        if (kept.state === "reserved") kept.state = "durable";
      },
      () => {
        // Refused by the disk: the answer is withheld, and the engine gives it back.
      },
    );
    return {
      ...outcome,
      release: () => {
        if (kept.state !== "released") this.#move(keys, -micro_usd, -micro_usd);
        kept.state = "released";
        outcome.release();
      },
    };
  }

  /** A process ended: what it had not made durable is there or not. */
  crash(): void {
    for (const [id, kept] of this.#open) {
      if (kept.state === "reserved") this.#move(kept.keys, -kept.micro_usd, 0);
      // Given back in memory; the giving back itself may not have reached the disk.
      if (kept.state === "released") this.#move(kept.keys, 0, kept.micro_usd);
      this.#open.delete(id);
    }
  }

  /** Holds what the ledger says of an agent, its team and its organisation against this book. */
  check(principal: Principal, spend: Spend, now_ms: number): void {
    if (spend.state !== "known") return;
    const { date, month } = dayIn(this.zone(), now_ms);
    for (const { owner, window } of BUDGET_LIMITS) {
      const figure = spend[`${owner}_${window}_micro_usd`];
      const name = ownerOf(principal, owner);
      if (figure === undefined || name === undefined) continue;
      const key = `${name} ${window === "daily" ? date : month}`;
      const range = this.#sums.get(key) ?? { low: 0, high: 0 };
      if (figure < range.low || figure > range.high) {
        this.verdict.violated(
          "money",
          `the ledger says ${figure} for ${key}, it must be ${range.low} to ${range.high}`,
        );
      }
      range.low = range.high = figure;
      this.#sums.set(key, range);
    }
  }

  #checkLimits({ budgets, principal, now_ms }: ReserveAsk): void {
    const { date, month } = dayIn(this.zone(), now_ms);
    for (const { document } of budgets) {
      for (const limit of BUDGET_LIMITS) {
        const stated = document.budget?.[limit.key];
        const owner = ownerOf(principal, limit.owner);
        if (stated === undefined || owner === undefined) continue;
        const key = `${owner} ${limit.window === "daily" ? date : month}`;
        const { low } = this.#sums.get(key) ?? { low: 0 };
        if (low > stated.value) {
          const what = `${low} micro-dollars in ${key}, ${limit.yaml_key} is ${stated.value}`;
          this.verdict.violated("limit", what);
        }
      }
    }
  }

  #keys(principal: Principal, now_ms: number): string[] {
    const { date, month } = dayIn(this.zone(), now_ms);
    const owners = ["agent", "team", "org", "global"] as const;
    return owners.flatMap((kind) => {
      const owner = ownerOf(principal, kind);
      return owner === undefined ? [] : [`${owner} ${date}`, `${owner} ${month}`];
    });
  }

  #move(keys: readonly string[], low: number, high: number): void {
    for (const key of keys) {
      const range = this.#sums.get(key) ?? { low: 0, high: 0 };
      range.low += low;
      range.high += high;
      this.#sums.set(key, range);
    }
  }
}

function ownerOf(principal: Principal, kind: BudgetLimit["owner"]): string | undefined {
  if (kind === "global") return "global";
  const { registry_key, agent_id, org_id, team_id } = principal;
  if (kind === "agent") return `agent ${registry_key ?? agent_id}`;
  if (kind === "org") return org_id === undefined ? undefined : `org ${org_id}`;
  return team_id === undefined ? undefined : `team ${org_id ?? ""}/${team_id}`;
}

/** Local date and month of a moment, found apart from the ledger's calendar. */
function dayIn(zone: string, at_ms: number): { date: string; month: string } {
  const known = remembered.get(zone);
  if (known !== undefined && known.at_ms === at_ms) return known;
  let format = formats.get(zone);
  if (format === undefined) {
    const parts = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
    formats.set(zone, format = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, ...parts }));
  }
  const date = format.format(at_ms);
  const day = { at_ms, date, month: date.slice(0, 7) };
  remembered.set(zone, day);
  return day;
}

const formats = new Map<string, Intl.DateTimeFormat>();
const remembered = new Map<string, { at_ms: number; date: string; month: string }>();
