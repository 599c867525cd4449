/**
 * The alert rules of a gateway: kept, changed by operators, looked at every minute.
 *
 * @module
 */
import type { StateStore } from "../../storage/sqlite/records.ts";
import { SerialWrites } from "../identity/serial_writes.ts";
import type { Raise } from "./alert.ts";
import { ALERT_LIMITS } from "./limits.ts";
import {
  type AlertRule,
  type AlertRuleWords,
  checkRule,
  type Metric,
  readRule,
  RULE_SEVERITIES,
  speaks,
} from "./rule.ts";
import { ulid } from "./ulid.ts";

/** Gives a measure over a window that ends now; `undefined` when there is none. */
export type Measure = (window_ms: number, now_ms: number) => number | undefined;

/** What the rules need. */
export interface AlertRulesOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  readonly now_ms: () => number;
  readonly random: () => Uint8Array;
  readonly record: (action: string, facts: Readonly<Record<string, unknown>>) => Promise<void>;
  readonly raise: (raise: Raise) => void;
}

/** Why a rule was not kept or removed; `code` is the contract's. */
export class AlertRuleError extends Error {
  override readonly name = "AlertRuleError";
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

/** All rules. */
export class AlertRules {
  /** Where measures come from; a metric without a source is told as such and never speaks. */
  readonly sources = new Map<Metric, Measure>();
  readonly #on: AlertRulesOptions;
  readonly #rules = new Map<string, AlertRule>();
  readonly #damaged = new Map<string, string>();
  readonly #writes = new SerialWrites();
  #looked_ms = -Infinity;

  private constructor(on: AlertRulesOptions) {
    this.#on = on;
  }

  /** Loads the rules. A record that is none is named in {@linkcode damaged} and never speaks. */
  static async open(on: AlertRulesOptions): Promise<AlertRules> {
    const rules = new AlertRules(on);
    for await (const page of on.store.records("alert_rules")) {
      for (const { key, value } of page) {
        const rule = readRule(key, value);
        if (typeof rule === "string") rules.#damaged.set(key, rule);
        else rules.#rules.set(key, rule);
      }
    }
    return rules;
  }

  /** Stored records that are no rules, with what is wrong. */
  get damaged(): ReadonlyMap<string, string> {
    return this.#damaged;
  }

  /** All rules, oldest first. */
  list(): readonly AlertRule[] {
    return [...this.#rules.values()];
  }

  /**
   * Makes a rule, or changes the one with this id.
   *
   * @throws {AlertRuleError} with the contract's code; nothing changed then.
   */
  put(id: string | undefined, words: AlertRuleWords, actor: string): Promise<AlertRule> {
    return this.#writes.run("rules", async () => {
      const before = id === undefined ? undefined : this.#known(id);
      const checked = checkRule(words);
      if (!checked.ok) throw new AlertRuleError(checked.code, checked.message);
      const same = this.list().find((rule) => rule.name === words.name && rule.id !== id);
      if (same !== undefined) {
        throw new AlertRuleError("rule_name_conflict", `name: rule \`${same.id}\` has it already`);
      }
      if (before === undefined && this.#rules.size >= ALERT_LIMITS.rules) {
        throw new AlertRuleError("limit_reached", `${ALERT_LIMITS.rules} rules exist: delete one`);
      }
      const now_ms = this.#on.now_ms();
      const rule: AlertRule = {
        ...checked.rule,
        id: before?.id ?? ulid(now_ms, this.#on.random()),
        created_ms: before?.created_ms ?? now_ms,
        updated_ms: now_ms,
      };
      const value = JSON.stringify(rule);
      await this.#on.record("alert_rule_set", { actor, rule: value, before: before ?? null });
      await this.#on.store.commit([
        { kind: "put_record", collection: "alert_rules", key: rule.id, value },
      ]);
      this.#rules.set(rule.id, rule);
      return rule;
    });
  }

  /** Removes a rule, also a stored one that cannot be read. @throws {AlertRuleError} `rule_not_found`. */
  remove(id: string, actor: string): Promise<void> {
    return this.#writes.run("rules", async () => {
      if (!this.#damaged.has(id)) this.#known(id);
      await this.#on.record("alert_rule_deleted", { actor, rule_id: id });
      await this.#on.store.commit([{ kind: "delete_record", collection: "alert_rules", key: id }]);
      this.#rules.delete(id);
      this.#damaged.delete(id);
    });
  }

  /** Looks at every rule, once a minute at most. */
  tick(now_ms: number): void {
    if (Math.abs(now_ms - this.#looked_ms) < ALERT_LIMITS.rule_interval_ms) return;
    this.#looked_ms = now_ms;
    for (const rule of this.#rules.values()) {
      if (!rule.enabled) continue;
      const value = this.sources.get(rule.metric)?.(rule.window_s * 1_000, now_ms);
      if (value === undefined || !speaks(rule, value)) continue;
      this.#on.raise({
        category: "rule",
        severity: RULE_SEVERITIES[rule.severity],
        dedup_key: `rule:${rule.id}`,
        source: `rule ${rule.name}`,
        message: `${rule.metric} is ${Math.round(value * 100) / 100} over ${rule.window_s} s, ` +
          `the rule says ${rule.operator} ${rule.threshold}`,
      });
    }
  }

  #known(id: string): AlertRule {
    const rule = this.#rules.get(id);
    if (rule === undefined) {
      throw new AlertRuleError("rule_not_found", `no alert rule \`${id.slice(0, 64)}\``);
    }
    return rule;
  }
}

/** Turns a count that only grows into how much it grew over a window: one sample a minute. */
export function growthOf(count: () => number): Measure {
  const samples: { at_ms: number; count: number }[] = [];
  return (window_ms, now_ms) => {
    const now = count();
    const last = samples.at(-1);
    // A clock that was set back starts anew.
    if (last !== undefined && last.at_ms > now_ms) samples.length = 0;
    if (last === undefined || now_ms - last.at_ms >= 1_000) {
      samples.push({ at_ms: now_ms, count: now });
      if (samples.length > ALERT_LIMITS.rule_samples) samples.shift();
    }
    const from = samples.find((sample) => sample.at_ms >= now_ms - window_ms);
    return now - (from?.count ?? now);
  };
}

/** Remembers the greatest value told in each minute: for measures that come as events. */
export class Peaks {
  readonly #peaks: { at_ms: number; value: number }[] = [];

  /** A value was seen. */
  tell(value: number, now_ms: number): void {
    const last = this.#peaks.at(-1);
    if (last !== undefined && Math.abs(now_ms - last.at_ms) < 60_000) {
      last.value = Math.max(last.value, value);
      return;
    }
    this.#peaks.push({ at_ms: now_ms, value });
    if (this.#peaks.length > ALERT_LIMITS.rule_samples) this.#peaks.shift();
  }

  /** The greatest value of a window; 0 when there was none. */
  readonly measure: Measure = (window_ms, now_ms) =>
    this.#peaks.reduce(
      (most, { at_ms, value }) =>
        at_ms >= now_ms - window_ms && at_ms <= now_ms ? Math.max(most, value) : most,
      0,
    );
}
