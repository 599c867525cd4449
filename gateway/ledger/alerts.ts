/**
 * Tells of limits that fill up: an audit entry for each threshold, once a window (contract
 * `policy-and-gateway` §6.5; trap 34). The entry comes first, the latch after it: a crash between
 * the two tells twice, never not at all.
 *
 * @module
 */
import { type EntryDraft, hash16 } from "../../core/audit/entry.ts";
import {
  alertStep,
  type BoundLimit,
  type Breach,
  type Dimension,
  type Fill,
  fillOf,
} from "../../core/ledger/mod.ts";
import type { Principal } from "../../core/principal.ts";
import type { Raise } from "../alerts/alert.ts";
import type { Clock } from "../clock.ts";
import { clean } from "../engine/evidence.ts";
import type { Charged, Ledger } from "./ledger.ts";

/** One alert, as listeners get it. */
export interface BudgetAlert {
  readonly agent_id: string;
  readonly org_id?: string;
  readonly team_id?: string;
  /** Account, e.g. `team:o1/t1`. */
  readonly scope: string;
  readonly window: string;
  readonly dimension: Dimension;
  readonly threshold_pct: number;
  readonly spent: number;
  readonly limit: number;
}

/** What alerts need. */
export interface AlertOptions {
  readonly ledger: () => Ledger;
  readonly record: (entry: EntryDraft) => Promise<unknown>;
  readonly clock: Clock;
  /** Counts what could not be recorded. */
  readonly onLost: () => void;
}

/** Watches limits. */
export class BudgetAlerts {
  readonly #on: AlertOptions;
  readonly #listeners = new Set<(alert: BudgetAlert) => void>();
  /** Alerts on their way into the log, so that none is told twice meanwhile. */
  readonly #telling = new Map<string, number>();

  constructor(options: AlertOptions) {
    this.#on = options;
  }

  /** Is told of every alert after it is recorded. @returns Ends that. */
  listen(listener: (alert: BudgetAlert) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the limits that a charge counted against. */
  charged(limits: readonly BoundLimit[], asked: Charged): void {
    for (const limit of limits) this.#look(fillOf(this.#state, limit, asked.now_ms), asked, false);
  }

  /** A limit just refused a call. */
  breached(breach: Breach, asked: Charged): void {
    this.#look(fillOf(this.#state, breach, asked.now_ms), asked, true);
  }

  get #state() {
    return this.#on.ledger().state;
  }

  #look(fill: Fill, { principal }: Charged, refused: boolean): void {
    const { line, owner, spent, instance } = fill;
    const before = this.#state.account(owner)?.latches.get(line.key);
    const step = alertStep(before, instance, spent, line.limit, refused);
    if (step.tell === undefined) {
      if (step.latch !== undefined) this.#latch(fill, step.latch.threshold_pct);
      return;
    }
    const key = `${owner} ${line.key} ${instance}`;
    if ((this.#telling.get(key) ?? 0) >= step.tell) return;
    const { tell } = step;
    this.#telling.set(key, tell);
    const alert = alertOf(fill, principal, tell);
    this.#on.record(entryOf(alert, this.#on.clock)).then(() => {
      this.#latch(fill, tell);
      for (const listener of this.#listeners) listener(alert);
    }).catch(this.#on.onLost).finally(() => {
      if (this.#telling.get(key) === tell) this.#telling.delete(key);
    });
  }

  #latch({ owner, line, instance }: Fill, threshold_pct: number): void {
    const ledger = this.#on.ledger();
    ledger.book({
      kind: "latch",
      owner,
      limit: line.key,
      window: instance,
      threshold_pct,
      at_ms: ledger.state.steady_ms,
    });
  }
}

/** A budget alert for the one list of alerts; severities are the contract's (`surface` §1.8). */
export function budgetRaise(alert: BudgetAlert): Raise {
  const { agent_id, org_id, team_id, scope, window, dimension, threshold_pct } = alert;
  const amounts = dimension === "micro_usd"
    ? `${usd(alert.spent)} of ${usd(alert.limit)} USD`
    : `${alert.spent} of ${alert.limit} ${dimension}`;
  // A limit is reached, too, when what is left is too little for a call that was asked.
  const verb = threshold_pct < 100
    ? `is ${threshold_pct} % spent`
    : alert.spent >= alert.limit
    ? "is reached"
    : "has no room for a call";
  return {
    category: "budget",
    severity: threshold_pct >= 90 ? "critical" : "warning",
    dedup_key: `budget:${scope}:${window}:${dimension}:${alert.limit}:${threshold_pct}`,
    source: `budget ${threshold_pct}%`,
    message: clean(`${window} limit of ${scope} ${verb}: ${amounts}`),
    agent_id: clean(agent_id),
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
  };
}

function alertOf(fill: Fill, principal: Principal, threshold_pct: number): BudgetAlert {
  const { line, owner, spent } = fill;
  const { agent_id, org_id, team_id } = principal;
  return {
    agent_id,
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
    scope: owner,
    window: line.word,
    dimension: line.dimension,
    threshold_pct,
    spent,
    limit: line.limit,
  };
}

/** The contract's payload, and what the reference leaves out (§6.5). */
function entryOf(alert: BudgetAlert, clock: Clock): EntryDraft {
  const { agent_id, org_id, team_id, dimension, limit, scope, spent, threshold_pct } = alert;
  const payload = {
    agent_id: clean(agent_id),
    dimension,
    limit,
    ...(dimension === "micro_usd" ? { limit_usd: usd(limit), spent_usd: usd(spent) } : {}),
    scope: clean(scope),
    spent,
    ...(team_id === undefined ? {} : { team_id: clean(team_id) }),
    threshold_pct,
    window: alert.window,
  };
  return {
    event_type: threshold_pct >= 100 ? "BudgetLimitExceeded" : "BudgetLimitApproached",
    timestamp_ns: clock.now_ns(),
    agent_id: agent_id === "" ? new Uint8Array(16) : hash16(agent_id),
    session_id: new Uint8Array(16),
    payload: JSON.stringify(payload),
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
  };
}

/** Micro-dollars as a decimal of US dollars. */
function usd(micro_usd: number): string {
  const whole = Math.floor(micro_usd / 1e6);
  return `${whole}.${String(micro_usd % 1e6).padStart(6, "0")}`;
}
