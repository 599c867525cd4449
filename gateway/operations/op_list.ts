/**
 * The operations that are going on, as operators see them. It follows the answers that the gateway
 * gives; it is a view, kept in memory, and decides nothing: orders do.
 *
 * @module
 */
import { OPERATION_LIMITS } from "./limits.ts";
import { mayBecome, type OpState } from "./op_state.ts";
import { agentKey, type OrderedAgent } from "./target.ts";

/** One operation. */
export interface Op {
  readonly op_id: string;
  readonly agent: OrderedAgent;
  readonly state: OpState;
  /** Why it is in this state; empty when it simply runs. */
  readonly detail: string;
  readonly started_ms: number;
  /** When its state changed or it last asked something. */
  readonly touched_ms: number;
  /** Place in the list; grows. */
  readonly number: number;
}

/** The list. The one touched longest ago comes first. */
export class OpList {
  readonly #ops = new Map<string, Op>();
  readonly #by_agent = new Map<string, Set<string>>();
  #next_number = 1;

  /** Operations listed. */
  get size(): number {
    return this.#ops.size;
  }

  /** One operation. */
  get(agent: OrderedAgent, op_id: string): Op | undefined {
    return this.#ops.get(idOf(agent, op_id));
  }

  /** Every operation of that id, whoever's it is: agents choose ids, so several may share one. */
  named(op_id: string): Op[] {
    return [...this.#ops.values()].filter((op) => op.op_id === op_id);
  }

  /** Every operation, by number. */
  all(): Op[] {
    return [...this.#ops.values()].toSorted((a, b) => a.number - b.number);
  }

  /**
   * Follows an answer. An operation that has ended, or was about to, begins anew when its id asks
   * again.
   */
  follow(agent: OrderedAgent, op_id: string, to: OpState, detail: string, now_ms: number): void {
    const known = this.get(agent, op_id);
    const goes_on = known !== undefined && known.state !== "terminated" &&
      known.state !== "completing";
    const op: Op = goes_on
      ? { ...known, state: reached(known.state, to), detail, touched_ms: now_ms }
      : this.#fresh(agent, op_id, to, detail, now_ms);
    this.#put(op);
  }

  /** Sets the state an order brings about; an operation that was never seen is listed by it. */
  order(agent: OrderedAgent, op_id: string, state: OpState, detail: string, now_ms: number): void {
    const known = this.get(agent, op_id);
    this.#put(
      known === undefined
        ? this.#fresh(agent, op_id, state, detail, now_ms)
        : { ...known, state, detail, touched_ms: now_ms },
    );
  }

  /**
   * Moves idle operations on and drops what ended long enough ago. What an operator paused stays.
   *
   * @returns How many were dropped.
   */
  sweep(now_ms: number): number {
    let dropped = 0;
    for (const [id, op] of this.#ops) {
      const still_ms = now_ms - op.touched_ms;
      if (op.state === "terminated" && still_ms >= OPERATION_LIMITS.ended_kept_ms) {
        this.#drop(id, op);
        dropped++;
      } else if (op.state === "completing" && still_ms >= OPERATION_LIMITS.completing_ms) {
        this.#ops.set(id, { ...op, state: "terminated", detail: "completed", touched_ms: now_ms });
      } else if (
        (op.state === "running" || op.state === "pending") && still_ms >= OPERATION_LIMITS.idle_ms
      ) {
        const state = op.state === "running" ? "completing" : "terminated";
        this.#ops.set(id, { ...op, state, detail: "idle", touched_ms: now_ms });
      }
    }
    return dropped;
  }

  #fresh(
    agent: OrderedAgent,
    op_id: string,
    state: OpState,
    detail: string,
    now_ms: number,
  ): Op {
    const number = this.#next_number++;
    return { op_id, agent, state, detail, started_ms: now_ms, touched_ms: now_ms, number };
  }

  #put(op: Op): void {
    const id = idOf(op.agent, op.op_id);
    const key = agentKey(op.agent);
    const own = this.#by_agent.get(key) ?? new Set<string>();
    this.#by_agent.set(key, own);
    // Deleted first, so that insertion order is the order of touching.
    this.#ops.delete(id);
    own.delete(id);
    if (own.size >= OPERATION_LIMITS.listed_ops_per_agent) this.#dropFirst(own);
    if (this.#ops.size >= OPERATION_LIMITS.listed_ops) this.#dropFirst(this.#ops.keys());
    this.#by_agent.set(key, own.add(id));
    this.#ops.set(id, op);
  }

  #dropFirst(ids: Iterable<string>): void {
    for (const id of ids) {
      const op = this.#ops.get(id);
      if (op !== undefined) this.#drop(id, op);
      return;
    }
  }

  #drop(id: string, op: Op): void {
    this.#ops.delete(id);
    const key = agentKey(op.agent);
    const own = this.#by_agent.get(key);
    own?.delete(id);
    if (own?.size === 0) this.#by_agent.delete(key);
  }
}

function reached(from: OpState, to: OpState): OpState {
  return from === to || mayBecome(from, to) ? to : from;
}

function idOf(agent: OrderedAgent, op_id: string): string {
  return `${agentKey(agent)}\n${op_id}`;
}
