/**
 * The orders in force, indexed for the decision path: a look-up that usually finds nothing must cost
 * nothing.
 *
 * @module
 */
import type { Order, StandingSignal } from "./order.ts";
import { agentKey, type OrderTarget } from "./target.ts";

/** Orders by whom they are for. Memory only; {@linkcode Operations} makes them durable. */
export class StandingOrders {
  #fleet: Order | undefined;
  readonly #agents = new Map<string, Order>();
  readonly #ops = new Map<string, Map<string, Order>>();
  #op_count = 0;

  /** Whether nothing is ordered. */
  get empty(): boolean {
    return this.#fleet === undefined && this.#agents.size === 0 && this.#op_count === 0;
  }

  /** Orders for whole agents. */
  get agent_count(): number {
    return this.#agents.size;
  }

  /** Orders for single operations. */
  get op_count(): number {
    return this.#op_count;
  }

  /** The order for exactly this target. */
  get(target: OrderTarget): Order | undefined {
    switch (target.kind) {
      case "fleet":
        return this.#fleet;
      case "agent":
        return this.#agents.get(agentKey(target.agent));
      case "op":
        return this.#ops.get(agentKey(target.agent))?.get(target.op_id);
    }
  }

  /** The signal that governs one call, widest target first. */
  governing(
    agent: string,
    op_id: string | undefined,
  ): { readonly kind: OrderTarget["kind"]; readonly signal: StandingSignal } | undefined {
    const fleet = this.#fleet;
    if (fleet !== undefined) return { kind: "fleet", signal: fleet.signal };
    const whole = this.#agents.get(agent);
    if (whole !== undefined) return { kind: "agent", signal: whole.signal };
    const single = op_id === undefined ? undefined : this.#ops.get(agent)?.get(op_id);
    return single === undefined ? undefined : { kind: "op", signal: single.signal };
  }

  /** Puts an order into force; it replaces the one for the same target. */
  put(order: Order): void {
    const { target } = order;
    if (target.kind === "fleet") this.#fleet = order;
    else if (target.kind === "agent") this.#agents.set(agentKey(target.agent), order);
    else {
      const key = agentKey(target.agent);
      const ops = this.#ops.get(key) ?? new Map<string, Order>();
      this.#ops.set(key, ops);
      if (!ops.has(target.op_id)) this.#op_count++;
      ops.set(target.op_id, order);
    }
  }

  /** Ends the order for a target. */
  delete(target: OrderTarget): void {
    if (target.kind === "fleet") this.#fleet = undefined;
    else if (target.kind === "agent") this.#agents.delete(agentKey(target.agent));
    else {
      const key = agentKey(target.agent);
      const ops = this.#ops.get(key);
      if (ops?.delete(target.op_id) === true) this.#op_count--;
      if (ops?.size === 0) this.#ops.delete(key);
    }
  }

  /** The orders that one agent must know of: the fleet's, its own, those of its operations. */
  concerning(agent: string): Order[] {
    const own = this.#agents.get(agent);
    return [
      ...(this.#fleet === undefined ? [] : [this.#fleet]),
      ...(own === undefined ? [] : [own]),
      ...(this.#ops.get(agent)?.values() ?? []),
    ];
  }

  /** Every order for the fleet or a whole agent. */
  *wide(): Generator<Order> {
    if (this.#fleet !== undefined) yield this.#fleet;
    yield* this.#agents.values();
  }

  /** Every order for a single operation. */
  *ops(): Generator<Order> {
    for (const ops of this.#ops.values()) yield* ops.values();
  }
}
