/**
 * Holds what agents say they will do against what the kernel saw their processes do (contract
 * `interception` §1.8). Each act and each intent gets one outcome, once (trap R6). Nothing here is
 * prevention, and silence of the kernel proves nothing.
 *
 * @module
 */
import { announcedBy, type Keyword, seenIn } from "./keywords.ts";
import { CORRELATION_LIMITS } from "./limits.ts";
import { lineOf, type ToldProcesses } from "./processes.ts";
import type { PipelineItem } from "../pipeline/subscribers.ts";

/** One thing said or seen. */
export interface Observed {
  readonly event_id: string;
  readonly trace_id: string;
  readonly keyword: Keyword;
  readonly pid: number;
  /** Milliseconds of a clock that never goes back. */
  readonly at_ms: number;
  /** Order of arrival. */
  readonly sequence: number;
}

/** What became of an act or an intent. */
export type Outcome =
  | {
    readonly kind: "matched";
    readonly intent: Observed;
    readonly action: Observed;
    /** 1 for at once, 0 for the end of the window. */
    readonly strength: number;
  }
  | { readonly kind: "unexpected_action"; readonly action: Observed }
  | { readonly kind: "intent_without_action"; readonly intent: Observed };

interface Intent extends Observed {
  matched: boolean;
}

interface Action extends Observed {
  /** The process and its ancestors, as they were when it acted. */
  readonly line: readonly number[];
}

/** Label by which a kernel observer names a process's parent. */
export const PARENT_LABEL = "aa.ppid";

/** The two sides, bounded, and what came of them. */
export class Correlator {
  readonly #window_ms: number;
  readonly #settle_ms: number;
  readonly #processes: ToldProcesses;
  /** By keyword and process, in order of arrival. */
  readonly #intents = new Map<string, Intent[]>();
  /** All intents in order of arrival. */
  #order: Intent[] = [];
  #actions: Action[] = [];
  /** Judged before their time, to be told at the next look. */
  #early: Outcome[] = [];
  #kernel_seen_ms = -Infinity;
  #forgotten = 0;

  /**
   * @param window_ms Longest time from an intent to its act.
   * @param settle_ms An act is judged when it is this old, so that an intent that came by another
   * way is not missed.
   */
  constructor(window_ms: number, settle_ms: number, processes: ToldProcesses) {
    this.#window_ms = window_ms;
    this.#settle_ms = Math.min(settle_ms, window_ms);
    this.#processes = processes;
  }

  /** Intents and outcomes that were forgotten untold, because there were too many. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** What is kept: for tests and status. */
  get size(): { readonly intents: number; readonly actions: number } {
    return { intents: this.#order.length, actions: this.#actions.length };
  }

  /** Takes one event; only what a client announces and what the kernel saw counts. */
  observe({ event, enrichment, received_us }: PipelineItem): void {
    const { pid, source, sequence } = enrichment;
    if (pid === undefined) return;
    const seen = {
      event_id: event.eventId,
      trace_id: event.traceId,
      pid,
      at_ms: received_us / 1_000,
      sequence,
    };
    if (source === "sdk") {
      for (const keyword of announcedBy(event)) this.#intend({ ...seen, keyword, matched: false });
    } else if (source === "ebpf") {
      this.#kernel_seen_ms = seen.at_ms;
      const parent = Number(event.labels[PARENT_LABEL]);
      if (Number.isSafeInteger(parent) && parent > 0) this.#processes.tell(pid, parent);
      const keyword = seenIn(event);
      if (keyword === undefined) return;
      this.#actions.push({ ...seen, keyword, line: lineOf(pid, this.#processes) });
      if (this.#actions.length > CORRELATION_LIMITS.actions) this.#judgeOldest(seen.at_ms);
    }
  }

  /** Judges what is old enough; each act and intent is in one answer at most, ever. */
  judge(now_ms: number): readonly Outcome[] {
    const outcomes = this.#early;
    this.#early = [];
    const waiting: Action[] = [];
    for (const action of this.#actions) {
      const outcome = this.#judgeAction(action, now_ms, false);
      if (outcome === undefined) waiting.push(action);
      else outcomes.push(outcome);
    }
    this.#actions = waiting;
    this.#expire(now_ms, outcomes);
    return outcomes;
  }

  #judgeOldest(now_ms: number): void {
    const oldest = this.#actions.shift();
    const outcome = oldest === undefined ? undefined : this.#judgeAction(oldest, now_ms, true);
    if (outcome === undefined) return;
    if (this.#early.length < CORRELATION_LIMITS.actions) this.#early.push(outcome);
    else this.#forgotten++;
  }

  #judgeAction(action: Action, now_ms: number, early: boolean): Outcome | undefined {
    const age_ms = now_ms - action.at_ms;
    if (age_ms < this.#settle_ms && !early) return undefined;
    const intent = this.#nearest(action);
    if (intent !== undefined) {
      intent.matched = true;
      const delta_ms = Math.max(0, action.at_ms - intent.at_ms);
      return { kind: "matched", intent, action, strength: 1 - delta_ms / this.#window_ms };
    }
    if (age_ms < this.#window_ms && !early) return undefined;
    return { kind: "unexpected_action", action };
  }

  /** The last intent before the act, of its process or an ancestor, within the window. */
  #nearest(action: Action): Intent | undefined {
    let nearest: Intent | undefined;
    for (const pid of action.line) {
      const intents = this.#intents.get(`${action.keyword}:${pid}`) ?? [];
      const intent = intents.findLast((one) => one.sequence < action.sequence);
      if (intent === undefined || action.at_ms - intent.at_ms > this.#window_ms) continue;
      if (nearest === undefined || intent.sequence > nearest.sequence) nearest = intent;
    }
    return nearest;
  }

  #intend(intent: Intent): void {
    const key = `${intent.keyword}:${intent.pid}`;
    const same = this.#intents.get(key);
    if (same === undefined) this.#intents.set(key, [intent]);
    else same.push(intent);
    this.#order.push(intent);
    if (this.#order.length <= CORRELATION_LIMITS.intents) return;
    const oldest = this.#order.shift();
    if (oldest !== undefined) this.#forget(oldest);
    this.#forgotten++;
  }

  /** An act may come a window after its intent, and be judged a window after that. */
  #expire(now_ms: number, outcomes: Outcome[]): void {
    const kernel_speaks = now_ms - this.#kernel_seen_ms <= CORRELATION_LIMITS.kernel_silence_ms;
    const kept = this.#order.findIndex((one) => now_ms - one.at_ms <= 2 * this.#window_ms);
    const expired = kept < 0 ? this.#order : this.#order.slice(0, kept);
    this.#order = kept < 0 ? [] : this.#order.slice(kept);
    for (const intent of expired) {
      this.#forget(intent);
      if (kernel_speaks && !intent.matched) {
        outcomes.push({ kind: "intent_without_action", intent });
      }
    }
  }

  #forget(intent: Intent): void {
    const key = `${intent.keyword}:${intent.pid}`;
    const same = this.#intents.get(key);
    // Arrival order is kept in both lists, so the oldest is the first of its own.
    if (same?.[0] === intent) same.shift();
    if (same?.length === 0) this.#intents.delete(key);
  }
}
