/**
 * The one list of alerts: anomalies, budget thresholds, failures of the record. Raised in memory at
 * once, because decisions do not wait for it; what an operator does is on disk before it is answered.
 *
 * @module
 */
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import { SerialWrites } from "../identity/serial_writes.ts";
import { type Alert, type AlertState, type AlertStep, graver, type Raise } from "./alert.ts";
import { ALERT_LIMITS } from "./limits.ts";
import { alertText, readAlert } from "./stored.ts";
import { ulid } from "./ulid.ts";
import { type AlertEvent, Watchers } from "./watchers.ts";

/** A quiet time after which the same alert is told to watchers again. */
const TOLD_AGAIN_MS = 24 * 3_600_000;

/** What the list needs. */
export interface AlertBookOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  readonly now_ms: () => number;
  /** 16 random bytes. */
  readonly random: () => Uint8Array;
  /** Puts a change by an operator, or a new alert, on record; rejects when it cannot. */
  readonly record: (action: string, facts: Readonly<Record<string, unknown>>) => Promise<void>;
}

/** Why an alert was not changed. */
export class AlertError extends Error {
  override readonly name = "AlertError";
  constructor(
    readonly code: "not_found" | "invalid" | "already_silenced" | "resolved",
    message: string,
  ) {
    super(message);
  }
}

/** Who changes an alert, and why. */
export interface AlertAct {
  readonly actor: string;
  readonly reason: string;
}

/** What alerts to list. */
export interface AlertFilter {
  readonly states?: readonly AlertState[];
  readonly severity?: Alert["severity"];
  readonly category?: Alert["category"];
  readonly agent_key?: string;
  /** Whether the caller may see it. */
  readonly shows?: (alert: Alert) => boolean;
}

/** All alerts of a gateway. */
export class AlertBook {
  readonly watchers = new Watchers();
  readonly #on: AlertBookOptions;
  /** By id, in the order of ids: oldest first. */
  readonly #alerts = new Map<string, Alert>();
  /** The alert that a repetition belongs to: the newest of its key that is not resolved. */
  readonly #running = new Map<string, string>();
  /** Raised in memory and not on disk yet. */
  readonly #unsaved = new Set<string>();
  readonly #forgotten: string[] = [];
  readonly #damaged = new Map<string, string>();
  readonly #acts = new SerialWrites();
  #writing: Promise<void> = Promise.resolve();
  #dropped = 0;
  #failures = 0;

  private constructor(on: AlertBookOptions) {
    this.#on = on;
  }

  /** Loads the alerts. A record that is none is named in {@linkcode damaged} and left alone. */
  static async open(on: AlertBookOptions): Promise<AlertBook> {
    const book = new AlertBook(on);
    for await (const page of on.store.records("alerts")) {
      for (const { key, value } of page) {
        const alert = readAlert(key, value);
        if (typeof alert === "string") book.#damaged.set(key, alert);
        else book.#install(alert);
      }
    }
    return book;
  }

  /** Stored records that are no alerts, with what is wrong. */
  get damaged(): ReadonlyMap<string, string> {
    return this.#damaged;
  }

  /** How many there are, how many were dropped for room, and how many wait to be written. */
  status(): {
    readonly open: number;
    readonly kept: number;
    readonly dropped: number;
    readonly unsaved: number;
    readonly failures: number;
  } {
    let open = 0;
    for (const { state } of this.#alerts.values()) if (state === "open") open++;
    return {
      open,
      kept: this.#alerts.size,
      dropped: this.#dropped,
      unsaved: this.#unsaved.size,
      failures: this.#failures,
    };
  }

  /** Tells of something. The same thing again adds to its alert until that is resolved. */
  raise(raise: Raise): Alert {
    const now_ms = this.#on.now_ms();
    const message = raise.message.slice(0, ALERT_LIMITS.message_chars);
    const running = this.#alerts.get(this.#running.get(raise.dedup_key) ?? "");
    if (running !== undefined) return this.#repeat(running, { ...raise, message }, now_ms);
    const alert: Alert = {
      ...raise,
      message,
      id: ulid(now_ms, this.#on.random()),
      state: "open",
      first_ms: now_ms,
      last_ms: now_ms,
      times: 1,
      stirred: false,
      history: [{ at_ms: now_ms, state: "open", actor: "gateway", reason: raise.source }],
    };
    this.#makeRoom();
    this.#install(alert);
    this.#unsaved.add(alert.id);
    this.watchers.tell({ kind: "fire", alert });
    // An alert is a note to people; the decision that led to it has its own evidence.
    this.#on.record("alert_raised", factsOf(alert)).catch(() => this.#failures++);
    return alert;
  }

  /** One alert. */
  get(id: string): Alert | undefined {
    return this.#alerts.get(id);
  }

  /**
   * Alerts that fit, newest first.
   *
   * @param before Id of the last alert of the page before.
   */
  list(filter: AlertFilter, size: number, before?: string): readonly Alert[] {
    const { states, severity, category, agent_key, shows } = filter;
    const page: Alert[] = [];
    for (const alert of [...this.#alerts.values()].reverse()) {
      if (page.length >= size) break;
      if (before !== undefined && alert.id >= before) continue;
      if (states !== undefined && !states.includes(alert.state)) continue;
      if (severity !== undefined && alert.severity !== severity) continue;
      if (category !== undefined && alert.category !== category) continue;
      if (agent_key !== undefined && alert.agent_key !== agent_key) continue;
      if (shows !== undefined && !shows(alert)) continue;
      page.push(alert);
    }
    return page;
  }

  /** Somebody looks after it. Again changes nothing. */
  acknowledge(id: string, act: AlertAct): Promise<Alert> {
    return this.#change(id, act, "acknowledge", (alert) => {
      if (alert.state === "resolved") throw alreadyResolved(id);
      return alert.state === "acknowledged" ? undefined : { state: "acknowledged" };
    });
  }

  /** It is over. Again changes nothing (contract `surface` §1.8). */
  resolve(id: string, act: AlertAct): Promise<Alert> {
    return this.#change(
      id,
      act,
      "resolve",
      (alert) => alert.state === "resolved" ? undefined : { state: "resolved" },
    );
  }

  /**
   * Not to be told of for a while; it is still counted.
   *
   * @param seconds 1 to the longest silence.
   */
  silence(id: string, seconds: number, act: AlertAct): Promise<Alert> {
    const most = ALERT_LIMITS.silence_seconds;
    if (!Number.isSafeInteger(seconds) || seconds < 1 || seconds > most) {
      const message = `duration_seconds: must be from 1 to ${most}, received \`${seconds}\``;
      return Promise.reject(new AlertError("invalid", message));
    }
    return this.#change(id, act, "silence", (alert) => {
      if (alert.state === "resolved") throw alreadyResolved(id);
      if (alert.state === "silenced") {
        throw new AlertError("already_silenced", `alert \`${id}\` is silenced already`);
      }
      const silenced_until_ms = this.#on.now_ms() + seconds * 1_000;
      return { state: "silenced", silenced_until_ms, stirred: false };
    });
  }

  /** Ends silences that are over and writes what waits. */
  async tick(now_ms: number): Promise<void> {
    for (const alert of this.#alerts.values()) {
      const { state, silenced_until_ms = Infinity } = alert;
      if (state !== "silenced" || now_ms < silenced_until_ms) continue;
      // What nobody stirred while it was silenced goes back to where it was.
      const before = alert.history.findLast((step) => step.state !== "silenced")?.state ?? "open";
      const next = alert.stirred ? "open" : before === "resolved" ? "open" : before;
      const act = { actor: "gateway", reason: "silence ended" };
      const changed = stepped(alert, { state: next }, act, now_ms);
      this.#put(changed);
      this.#unsaved.add(alert.id);
      this.watchers.tell({ kind: "reopen", alert: changed });
    }
    await this.#write();
  }

  /** Writes everything that waits, then ends every watch. */
  async close(): Promise<void> {
    this.watchers.stop();
    while (this.#unsaved.size > 0 || this.#forgotten.length > 0) {
      const before = this.#unsaved.size + this.#forgotten.length;
      await this.#write();
      if (this.#unsaved.size + this.#forgotten.length >= before) break;
    }
  }

  #repeat(alert: Alert, raise: Raise, now_ms: number): Alert {
    const again: Alert = {
      ...alert,
      message: raise.message,
      severity: graver(alert.severity, raise.severity),
      times: alert.times + 1,
      last_ms: Math.max(alert.last_ms, now_ms),
      stirred: alert.state === "silenced",
    };
    this.#put(again);
    this.#unsaved.add(alert.id);
    const told_again = now_ms - alert.last_ms >= TOLD_AGAIN_MS && alert.state !== "silenced";
    const graver_now = again.severity !== alert.severity && alert.state !== "silenced";
    if (told_again || graver_now) this.watchers.tell({ kind: "fire", alert: again });
    return again;
  }

  /** Record first, then disk, then memory: what is answered stands. */
  #change(
    id: string,
    act: AlertAct,
    kind: AlertEvent["kind"],
    next: (alert: Alert) => Partial<Alert> & { state: AlertState } | undefined,
  ): Promise<Alert> {
    return this.#acts.run(id, async () => {
      if (act.reason.length > ALERT_LIMITS.reason_chars) {
        const message = `reason: longer than ${ALERT_LIMITS.reason_chars} characters`;
        throw new AlertError("invalid", message);
      }
      const change = next(this.#known(id));
      if (change === undefined) return this.#known(id);
      await this.#on.record(`alert_${kind}`, {
        ...factsOf(this.#known(id)),
        actor: act.actor,
        reason: act.reason,
      });
      // Repetitions may have come in meanwhile: the change is made to what is known now.
      const changed = stepped(this.#known(id), change, act, this.#on.now_ms());
      const value = alertText(changed);
      await this.#on.store.commit([{ kind: "put_record", collection: "alerts", key: id, value }]);
      const latest = this.#known(id);
      const kept = { ...changed, times: latest.times, last_ms: latest.last_ms };
      this.#put(kept);
      if (kept.times !== changed.times) this.#unsaved.add(id);
      this.watchers.tell({ kind, alert: kept });
      return kept;
    });
  }

  #known(id: string): Alert {
    const alert = this.#alerts.get(id);
    if (alert === undefined) {
      throw new AlertError("not_found", `no alert \`${id.slice(0, 64)}\`: list them`);
    }
    return alert;
  }

  #install(alert: Alert): void {
    this.#alerts.set(alert.id, alert);
    if (alert.state !== "resolved") this.#running.set(alert.dedup_key, alert.id);
  }

  #put(alert: Alert): void {
    this.#alerts.set(alert.id, alert);
    if (alert.state !== "resolved") this.#running.set(alert.dedup_key, alert.id);
    else if (this.#running.get(alert.dedup_key) === alert.id) {
      this.#running.delete(alert.dedup_key);
    }
  }

  #makeRoom(): void {
    if (this.#alerts.size < ALERT_LIMITS.alerts) return;
    let drop: Alert | undefined;
    for (const alert of this.#alerts.values()) {
      if (drop === undefined || dropsBefore(alert, drop)) drop = alert;
    }
    if (drop === undefined) return;
    this.#alerts.delete(drop.id);
    this.#unsaved.delete(drop.id);
    this.#forgotten.push(drop.id);
    if (this.#running.get(drop.dedup_key) === drop.id) this.#running.delete(drop.dedup_key);
    this.#dropped++;
  }

  /** Writes some of what waits; what could not be written waits on. */
  #write(): Promise<void> {
    const next = this.#writing.then(async () => {
      const ids = [...this.#unsaved].slice(0, ALERT_LIMITS.write_alerts);
      const forgotten = this.#forgotten.slice(0, ALERT_LIMITS.write_alerts);
      if (ids.length === 0 && forgotten.length === 0) return;
      const puts = ids.flatMap((key): Mutation[] => {
        const alert = this.#alerts.get(key);
        if (alert === undefined) return [];
        return [{ kind: "put_record", collection: "alerts", key, value: alertText(alert) }];
      });
      const drops = forgotten.map((key): Mutation => ({
        kind: "delete_record",
        collection: "alerts",
        key,
      }));
      for (const id of ids) this.#unsaved.delete(id);
      try {
        await this.#on.store.commit([...puts, ...drops]);
        this.#forgotten.splice(0, forgotten.length);
      } catch {
        this.#failures++;
        for (const id of ids) if (this.#alerts.has(id)) this.#unsaved.add(id);
      }
    });
    this.#writing = next;
    return next;
  }
}

/** Resolved ones go first, then the less grave, then the older. */
function dropsBefore(one: Alert, other: Alert): boolean {
  const [left, right] = [one, other].map(({ state, severity }) =>
    state === "resolved" ? 0 : severity === "info" ? 1 : severity === "warning" ? 2 : 3
  );
  return (left ?? 0) < (right ?? 0);
}

function stepped(
  alert: Alert,
  change: Partial<Alert> & { state: AlertState },
  { actor, reason }: AlertAct,
  at_ms: number,
): Alert {
  const { silenced_until_ms: _over, ...rest } = alert;
  const step: AlertStep = { at_ms, state: change.state, actor, reason };
  const [first, ...later] = [...alert.history, step];
  const kept = later.slice(1 - ALERT_LIMITS.history_steps);
  return { ...rest, ...change, history: first === undefined ? kept : [first, ...kept] };
}

function alreadyResolved(id: string): AlertError {
  return new AlertError(
    "resolved",
    `alert \`${id}\` is resolved; a new one comes if it happens again`,
  );
}

function factsOf(alert: Alert): Readonly<Record<string, unknown>> {
  return {
    alert_id: alert.id,
    category: alert.category,
    severity: alert.severity,
    source: alert.source,
    agent_key: alert.agent_key,
    message: alert.message,
  };
}
