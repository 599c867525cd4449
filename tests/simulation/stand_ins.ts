/**
 * The plainest ledger that keeps the laws, in the shape of `gateway/engine/parts.ts`: what the
 * simulation drives where no room is given, and what shows that its laws can be kept.
 *
 * @module
 */
import { BUDGET_LIMITS, type BudgetLimit, isModelCall } from "../../core/policy/budget.ts";
import type { Action } from "../../core/action.ts";
import type { Principal } from "../../core/principal.ts";
import type { LedgerPart, Reserve, ReserveAsk } from "../../gateway/engine/parts.ts";
import type { StateStore } from "../../storage/sqlite/records.ts";

interface Charge {
  readonly keys: readonly string[];
  readonly micro_usd: number;
}

/** Charges at once, in days and months of one zone. */
export class PlainLedger implements LedgerPart {
  readonly #sums = new Map<string, number>();
  #next = 0;

  constructor(
    private readonly store: StateStore,
    private readonly dayOf: (at_ms: number) => string,
  ) {}

  /** Reads back what is charged. */
  static async open(store: StateStore, dayOf: (at_ms: number) => string): Promise<PlainLedger> {
    const ledger = new PlainLedger(store, dayOf);
    for await (const page of store.records("ledger_journal")) {
      for (const { key, value } of page) {
        ledger.#move(JSON.parse(value), 1);
        ledger.#next = Number(key) + 1;
      }
    }
    return ledger;
  }

  spend(principal: Principal, now_ms: number): ReturnType<LedgerPart["spend"]> {
    const figures = BUDGET_LIMITS.map(({ owner, window }) => [
      `${owner}_${window}_micro_usd`,
      this.#sums.get(this.#key(principal, owner, window, now_ms)) ?? 0,
    ]);
    return { state: "known", ...Object.fromEntries(figures) };
  }

  price(action: Action): number {
    return isModelCall(action) ? 250_000 : 0;
  }

  reserve(ask: ReserveAsk): Reserve {
    const outcome = this.preview(ask);
    if (outcome.outcome !== "reserved") return outcome;
    const key = String(this.#next++).padStart(12, "0");
    const { micro_usd } = outcome;
    const keys = BUDGET_LIMITS.map(({ owner, window }) =>
      this.#key(ask.principal, owner, window, ask.now_ms)
    );
    const charge = { keys, micro_usd };
    this.#move(charge, 1);
    const value = JSON.stringify(charge);
    const durable = this.store.commit([{
      kind: "put_record",
      collection: "ledger_journal",
      key,
      value,
    }]);
    const release = () => {
      this.#move(charge, -1);
      // A giving back that is lost errs on the side of the limit.
      this.store.commit([{ kind: "delete_record", collection: "ledger_journal", key }])
        .catch(() => {});
    };
    return { ...outcome, reservation_id: key, durable, release };
  }

  preview({ action, principal, budgets, now_ms }: ReserveAsk): Reserve {
    const micro_usd = this.price(action);
    if (micro_usd === 0) return { outcome: "free" };
    for (const { document } of budgets) {
      for (const { key, owner, window } of BUDGET_LIMITS) {
        const limit = document.budget?.[key]?.value;
        const spent = this.#sums.get(this.#key(principal, owner, window, now_ms)) ?? 0;
        if (limit === undefined || spent + micro_usd <= limit) continue;
        const reason = `${window} budget exceeded`;
        const suspend = document.budget?.action_on_exceed === "suspend";
        return { outcome: "denied", reason, suspend, detail: `${spent} of ${limit}` };
      }
    }
    const durable = Promise.resolve();
    return { outcome: "reserved", reservation_id: "", micro_usd, durable, release: () => {} };
  }

  #move({ keys, micro_usd }: Charge, sign: number): void {
    for (const key of keys) this.#sums.set(key, (this.#sums.get(key) ?? 0) + sign * micro_usd);
  }

  #key(
    principal: Principal,
    owner: BudgetLimit["owner"],
    window: BudgetLimit["window"],
    now_ms: number,
  ): string {
    const { registry_key, agent_id, org_id = "", team_id = "" } = principal;
    const names = {
      agent: registry_key ?? agent_id,
      team: `${org_id}/${team_id}`,
      org: org_id,
      global: "",
    };
    const day = this.dayOf(now_ms);
    return `${owner} ${names[owner]} ${window === "daily" ? day : day.slice(0, 7)}`;
  }
}
