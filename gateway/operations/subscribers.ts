/**
 * Who listens to operator control. A subscriber first learns how things stand, then every change;
 * one that does not read is cut off rather than left ignorant of a termination.
 *
 * @module
 */
import { BoundedFeed } from "../bounded_feed.ts";
import { OPERATION_LIMITS } from "./limits.ts";
import type { StandingSignal } from "./order.ts";

/** One signal to one subscriber. */
export interface OpMessage {
  /** `*`, `agent:<id>` or `<trace>:<span>`. */
  readonly op_id: string;
  readonly signal: StandingSignal | "resume";
  /** Counts every signal of this boot, from 0. */
  readonly sequence: bigint;
}

/** Why a stream of messages ended. */
export type SubscriptionEnd = "cancelled" | "lagging" | "replaced" | "stopped";

/** One subscription, for one reader: standing orders, then changes. */
export class OpSubscription extends BoundedFeed<OpMessage, SubscriptionEnd> {
  readonly #left: (subscription: OpSubscription) => void;

  /** @param standing How things stand at the moment of subscribing. */
  constructor(
    readonly agent: string,
    standing: readonly OpMessage[],
    left: (subscription: OpSubscription) => void,
  ) {
    super(OPERATION_LIMITS.queued_messages, standing);
    this.#left = left;
  }

  protected override gone(): void {
    this.#left(this);
  }
}

/** Every subscription, by agent. */
export class OpSubscribers {
  readonly #by_agent = new Map<string, Set<OpSubscription>>();
  #size = 0;
  #lagging = 0;

  /** Subscriptions open now. */
  get size(): number {
    return this.#size;
  }

  /** Subscriptions ended because they were not read. */
  get lagging(): number {
    return this.#lagging;
  }

  /**
   * Opens a subscription.
   *
   * @returns `undefined` when there are too many.
   */
  open(
    agent: string,
    standing: readonly OpMessage[],
    signal: AbortSignal,
  ): OpSubscription | undefined {
    const own = this.#by_agent.get(agent);
    if (own !== undefined && own.size >= OPERATION_LIMITS.subscribers_per_agent) {
      for (const oldest of own) {
        oldest.end("replaced");
        break;
      }
    }
    if (this.#size >= OPERATION_LIMITS.subscribers) return undefined;
    const subscription = new OpSubscription(agent, standing, (left) => this.#left(left));
    const set = this.#by_agent.get(agent) ?? new Set<OpSubscription>();
    this.#by_agent.set(agent, set.add(subscription));
    this.#size++;
    const cancel = () => subscription.end("cancelled");
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    return subscription;
  }

  /**
   * Tells one agent's subscribers, or with `undefined` everybody's.
   *
   * @returns How many were told.
   */
  tell(agent: string | undefined, message: OpMessage): number {
    const told = agent === undefined
      ? [...this.#by_agent.values()].flatMap((set) => [...set])
      : [...this.#by_agent.get(agent) ?? []];
    for (const subscription of told) subscription.push(message);
    return told.filter((subscription) => subscription.ended === undefined).length;
  }

  /** Ends every subscription: the gateway stops. */
  stop(): void {
    for (const set of [...this.#by_agent.values()]) {
      for (const subscription of [...set]) subscription.end("stopped");
    }
  }

  #left(subscription: OpSubscription): void {
    if (subscription.ended === "lagging") this.#lagging++;
    const set = this.#by_agent.get(subscription.agent);
    if (set?.delete(subscription) === true) this.#size--;
    if (set?.size === 0) this.#by_agent.delete(subscription.agent);
  }
}
