/**
 * The attached runtimes of one gateway: who follows, and what each must hear of at once.
 *
 * @module
 */
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { ORDERS_UNREADABLE } from "../operations/operations.ts";
import type { OpMessage } from "../operations/subscribers.ts";
import { agentKey, type OrderedAgent } from "../operations/target.ts";
import type { RegistryChange } from "../registry/changes.ts";
import type { Registry } from "../registry/registry.ts";
import { type FollowedState, Follower, type Following } from "./follower.ts";
import { RUNTIME_ROOM_LIMITS } from "./limits.ts";
import { type PolicyInForce, policyMessage, principalMessage } from "./snapshot.ts";

/** What following needs. */
export interface RuntimesOptions {
  /** UUID, new at each start. */
  readonly gateway_id: string;
  readonly registry: Pick<Registry, "byKey" | "byToken" | "principalOf">;
  readonly policy: () => PolicyInForce;
  /** Orders that concern an agent; `undefined` while they cannot be read. */
  readonly orders: (agent: OrderedAgent) => readonly OpMessage[] | undefined;
  readonly now_ms: () => number;
  readonly monotonic_ms: () => number;
}

/** One more runtime than may be attached. */
export class TooManyRuntimes extends Error {
  override readonly name = "TooManyRuntimes";
}

/** Every attached runtime. Memory only: a runtime that loses its stream decides nothing. */
export class Runtimes {
  readonly #on: RuntimesOptions;
  readonly #by_agent = new Map<string, Set<Follower>>();
  #size = 0;
  #epoch = 0;

  constructor(options: RuntimesOptions) {
    this.#on = options;
  }

  /** UUID of this start of the gateway. */
  get gateway_id(): string {
    return this.#on.gateway_id;
  }

  /** Epoch of the newest snapshot of any runtime. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Runtimes attached now. */
  get size(): number {
    return this.#size;
  }

  /** All of them, in no order. */
  *all(): Generator<Follower> {
    for (const followers of this.#by_agent.values()) yield* followers;
  }

  /** The attached runtime of an agent by its id. */
  find(agent_key: string, runtime_id: string): Follower | undefined {
    for (const follower of this.#by_agent.get(agent_key) ?? []) {
      if (follower.who.runtime_id === runtime_id) return follower;
    }
    return undefined;
  }

  /**
   * Attaches a runtime; its first news is a snapshot.
   *
   * @throws {TooManyRuntimes}
   */
  attach(who: Following, record: AgentRecord, signal: AbortSignal): Follower {
    const own = this.#by_agent.get(who.agent_key) ?? new Set<Follower>();
    // The same runtime again: its earlier stream is one that it has lost.
    this.find(who.agent_key, who.runtime_id)?.end("replaced");
    if (own.size >= RUNTIME_ROOM_LIMITS.runtimes_per_agent) {
      own.values().next().value?.end("replaced");
    }
    if (this.#size >= RUNTIME_ROOM_LIMITS.runtimes) {
      throw new TooManyRuntimes("too many runtimes are attached: try again later");
    }
    const follower = new Follower(who, this.#on.monotonic_ms(), (left) => this.#left(left));
    const set = this.#by_agent.get(who.agent_key) ?? own;
    this.#by_agent.set(who.agent_key, set.add(follower));
    this.#size++;
    const cancel = () => follower.end("cancelled");
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    this.#refresh(follower, record);
    return follower;
  }

  /** Takes a ping: what it acknowledges is noted, what has changed by time alone is told first. */
  ping(follower: Follower, number: bigint, epoch: bigint): void {
    const record = this.#live(follower);
    if (record === undefined) return;
    this.#refresh(follower, record);
    follower.answer(number, epoch, this.#on.now_ms(), this.#on.monotonic_ms());
  }

  /** Another policy is in force: every runtime is told at once. */
  policyReplaced(): void {
    for (const follower of [...this.all()]) this.#look(follower);
  }

  /** Orders changed, of one agent or of everybody. */
  ordered(agent: string | undefined): void {
    for (const follower of [...this.all()]) {
      const { agent_key, agent_id } = follower.who;
      const key = agentKey({ registry_key: agent_key, agent_id });
      if (agent === undefined || agent === key) this.#look(follower);
    }
  }

  /** A record changed: its own runtimes are told, and those of the agents right below it. */
  recordChanged({ before, after }: RegistryChange): void {
    for (const follower of [...this.all()]) {
      const { agent_key } = follower.who;
      const own = agent_key === after.key || agent_key === before?.key;
      if (own || this.#on.registry.byKey(agent_key)?.parent_key === after.key) {
        this.#look(follower);
      }
    }
  }

  /** Whether no runtime decides by anything older than what it was sent. */
  get all_acknowledged(): boolean {
    const now_ms = this.#on.monotonic_ms();
    return this.all().every((follower) => follower.isCurrent(now_ms));
  }

  /** Ends every stream: the gateway stops. */
  stop(): void {
    for (const follower of [...this.all()]) follower.end("stopped");
  }

  #look(follower: Follower): void {
    const record = this.#live(follower);
    if (record !== undefined) this.#refresh(follower, record);
  }

  /** The record, while the credential that the runtime came with is the agent's live one. */
  #live(follower: Follower): AgentRecord | undefined {
    const record = this.#on.registry.byToken(follower.who.token);
    if (record?.key === follower.who.agent_key) return record;
    follower.end("credential");
    return undefined;
  }

  #refresh(follower: Follower, record: AgentRecord): void {
    follower.tell(this.#stateFor(follower, record), () => ++this.#epoch);
  }

  #stateFor(follower: Follower, record: AgentRecord): FollowedState {
    const { registry, orders: ordersOf } = this.#on;
    const now_ms = this.#on.now_ms();
    const principal = registry.principalOf(record, now_ms);
    const orders = ordersOf({ registry_key: record.key, agent_id: record.agent_id });
    const in_force = this.#on.policy();
    const known = follower.epoch_sent > 0 && follower.policy_digest === in_force.digest;
    const policy = known ? undefined : policyMessage(in_force, principal);
    const too_large = !known && policy === undefined;
    return {
      ...(policy === undefined ? {} : { policy }),
      principal: principalMessage(principal, record, now_ms),
      orders: orders ?? [],
      suspended: orders === undefined ? ORDERS_UNREADABLE : too_large ? TOO_LARGE : "",
    };
  }

  #left(follower: Follower): void {
    const set = this.#by_agent.get(follower.who.agent_key);
    if (set?.delete(follower) === true) this.#size--;
    if (set?.size === 0) this.#by_agent.delete(follower.who.agent_key);
  }
}

/** What a runtime is told of a policy that does not fit one message. */
export const TOO_LARGE = "the policy of this agent is too large to be handed to a runtime";
