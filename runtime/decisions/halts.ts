/**
 * Operators' orders as this runtime knows them: from the gateway, or given here (trap R12). They
 * stand above policy; a pause holds only the queries it is for (trap R2).
 *
 * @module
 */
import { DECISION_LIMITS } from "./limits.ts";
import type { StandingOrder } from "./snapshot.ts";

/** Who gave an order: the gateway's whole list, its stream of signals, or somebody at this runtime. */
export type OrderSource = "snapshot" | "stream" | "local";

/** A signal, as it is given. */
export type Signal = StandingOrder["signal"] | "resume";

const FLEET = "*";
const AGENT_PREFIX = "agent:";

/** The orders in force. */
export class Halts {
  readonly #agent_op: string;
  readonly #orders: Readonly<Record<OrderSource, Map<string, StandingOrder["signal"]>>> = {
    snapshot: new Map(),
    stream: new Map(),
    local: new Map(),
  };
  #changed = Promise.withResolvers<void>();
  #onChange: () => void = () => {};

  /** @param agent_id Of the agent this runtime is for. */
  constructor(agent_id: string) {
    this.#agent_op = `${AGENT_PREFIX}${agent_id}`;
  }

  /** Is told of each change. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /** Resolves at the next change. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** Takes the gateway's whole list. */
  replace(orders: readonly StandingOrder[]): void {
    const map = this.#orders.snapshot;
    const same = orders.length === map.size &&
      orders.every(({ op_id, signal }) => map.get(this.#ownOp(op_id)) === signal);
    if (same) return;
    map.clear();
    for (const { op_id, signal } of orders) {
      const own = this.#ownOp(op_id);
      // Two names of one agent are one order here: the harder one.
      if (map.get(own) !== "terminate") this.#put(map, own, signal);
    }
    this.#announce();
  }

  /** Takes one signal. A termination is not resumed, except by who gives orders here. */
  apply(source: "stream" | "local", said_op_id: string, signal: Signal): void {
    const map = this.#orders[source];
    const op_id = this.#ownOp(said_op_id);
    if (signal !== "resume") {
      if (map.get(op_id) === signal || map.get(op_id) === "terminate") return;
      this.#put(map, op_id, signal);
    } else {
      const standing = map.get(op_id);
      if (standing === undefined || (standing === "terminate" && source === "stream")) return;
      map.delete(op_id);
    }
    this.#announce();
  }

  /** The order that governs a query; a termination before a pause. */
  governing(trace_id: string, span_id: string): StandingOrder | undefined {
    let paused: StandingOrder | undefined;
    const op = trace_id === "" || span_id === "" ? undefined : `${trace_id}:${span_id}`;
    for (const map of Object.values(this.#orders)) {
      if (map.size === 0) continue;
      for (const op_id of [FLEET, this.#agent_op, op]) {
        const signal = op_id === undefined ? undefined : map.get(op_id);
        if (op_id === undefined || signal === undefined) continue;
        if (signal === "terminate") return { op_id, signal };
        paused ??= { op_id, signal };
      }
    }
    return paused;
  }

  /** Whether an order may come to govern a later query that none governs now. */
  get size(): number {
    return Object.values(this.#orders).reduce((sum, map) => sum + map.size, 0);
  }

  /**
   * The gateway tells a runtime of its own agent alone, which it may know by another name than the
   * one in the runtime's configuration: an order for a whole agent is for this one.
   */
  #ownOp(op_id: string): string {
    return op_id.startsWith(AGENT_PREFIX) ? this.#agent_op : op_id;
  }

  /** More orders than can be kept: then everything is held, until somebody resumes it. */
  #put(map: Map<string, StandingOrder["signal"]>, op_id: string, signal: "pause" | "terminate") {
    const full = map.size >= DECISION_LIMITS.orders && !map.has(op_id);
    if (full && op_id !== FLEET && op_id !== this.#agent_op) map.set(FLEET, "pause");
    else map.set(op_id, signal);
  }

  #announce(): void {
    this.#onChange();
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }
}
