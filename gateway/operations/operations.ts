/**
 * Operator control: pause, resume and terminate of one operation, one agent, or everything
 * (contract `policy-and-gateway` §7.7, §12). Orders are enforced on the decision path and told to
 * whoever listens; neither depends on the other.
 *
 * A tightening order (pause, terminate) is in force as soon as its evidence is durable, even when
 * the store then fails; a loosening one (resume, lift) only once the store has it.
 *
 * @module
 */
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import type { Principal } from "../../core/principal.ts";
import type { OperationsPart } from "../engine/parts.ts";
import { Turns, TurnsBusy } from "../turns.ts";
import { OperationError } from "./failure.ts";
import { OPERATION_LIMITS } from "./limits.ts";
import { type Op, OpList } from "./op_list.ts";
import { mayBecome, type OpState } from "./op_state.ts";
import { type Order, orderFrom, orderText, type StandingSignal } from "./order.ts";
import { StandingOrders } from "./standing_orders.ts";
import { type OpMessage, OpSubscribers, type OpSubscription } from "./subscribers.ts";
import {
  agentKey,
  agentOf,
  opIdOf,
  type OrderedAgent,
  type OrderTarget,
  recordKey,
  wireOpId,
} from "./target.ts";

/** What the room works with. */
export interface OperationsOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  /** Makes evidence durable and gives its index in the log. @throws when it cannot. */
  readonly record: (action: string, facts: Readonly<Record<string, unknown>>) => Promise<bigint>;
  readonly now_ms: () => number;
  /** Takes credentials out of a text before it is recorded. */
  readonly redact: (text: string) => string;
}

/** Who orders, and why. */
export interface Ordering {
  /** E.g. `operator:alice`. */
  readonly actor: string;
  readonly reason: string;
}

/** What an order did. */
export interface Ordered {
  readonly before: string;
  readonly now: string;
  /** Index of the evidence in the audit log; absent when there was nothing to do. */
  readonly audit_index?: bigint;
  /** Subscribers that were told. */
  readonly told: number;
}

/** What a listing shows. */
export interface OperationsStatus {
  readonly fleet: "running" | "paused" | "terminated" | "damaged";
  readonly agent_orders: number;
  readonly op_orders: number;
  readonly listed_ops: number;
  readonly subscribers: number;
  /** Orders in force that are not on disk yet. */
  readonly unsaved: number;
  /** Stored orders that could not be read. */
  readonly damaged: readonly string[];
}

const WORDS = { pause: "paused", terminate: "terminated" } as const;
const SUBJECTS = { fleet: "all operations", agent: "agent", op: "operation" } as const;

/** Reason of a denial while stored orders cannot be read. */
export const ORDERS_UNREADABLE = "operator orders cannot be read: all operations are halted";

/** Operator control of one gateway. */
export class Operations implements OperationsPart {
  readonly #on: OperationsOptions;
  readonly #orders = new StandingOrders();
  readonly #list = new OpList();
  readonly #subscribers = new OpSubscribers();
  /** Numbers under which standing orders were told, by record key. */
  readonly #numbers = new Map<string, bigint>();
  readonly #unsaved = new Set<string>();
  readonly #listeners = new Set<(agent: string | undefined) => void>();
  #damaged: readonly string[] = [];
  #sequence = 0n;
  readonly #turns = new Turns(OPERATION_LIMITS.orders_under_way);
  #swept_ms = -Infinity;

  private constructor(options: OperationsOptions) {
    this.#on = options;
  }

  /**
   * Loads the standing orders. One that cannot be read halts everything until an operator lifts the
   * halt: it may have been any order.
   */
  static async open(options: OperationsOptions): Promise<Operations> {
    const operations = new Operations(options);
    const damaged: string[] = [];
    for await (const page of options.store.records("operations")) {
      for (const { key, value } of page) {
        const order = orderFrom(key, value);
        if (order === undefined) damaged.push(key);
        else operations.#putInForce(order);
      }
    }
    operations.#damaged = damaged;
    return operations;
  }

  /** How things stand. */
  status(): OperationsStatus {
    const fleet = this.#orders.get({ kind: "fleet" });
    return {
      fleet: this.#damaged.length > 0
        ? "damaged"
        : fleet === undefined
        ? "running"
        : WORDS[fleet.signal],
      agent_orders: this.#orders.agent_count,
      op_orders: this.#orders.op_count,
      listed_ops: this.#list.size,
      subscribers: this.#subscribers.size,
      unsaved: this.#unsaved.size,
      damaged: this.#damaged,
    };
  }

  /** @inheritdoc */
  denial(principal: Principal, trace_id: string, span_id: string): string | undefined {
    if (this.#damaged.length > 0) return ORDERS_UNREADABLE;
    if (this.#orders.empty) return undefined;
    const agent = agentKey(agentOf(principal));
    const found = this.#orders.governing(agent, opIdOf(trace_id, span_id));
    if (found === undefined) return undefined;
    return `${SUBJECTS[found.kind]} ${WORDS[found.signal]} by an operator`;
  }

  /** @inheritdoc */
  answered(
    principal: Principal,
    trace_id: string,
    span_id: string,
    wire_decision: 1 | 2 | 3 | 4,
  ): void {
    const op_id = opIdOf(trace_id, span_id);
    if (op_id === undefined) return;
    const agent = agentOf(principal);
    // What an order says of an operation stands above what a verdict says.
    if (this.#orders.governing(agentKey(agent), op_id) !== undefined) return;
    const state = wire_decision === 2 ? "terminated" : wire_decision === 3 ? "pending" : "running";
    const detail = wire_decision === 2 ? "denied" : "";
    this.#list.follow(agent, op_id, state, detail, this.#on.now_ms());
  }

  /** Orders in force, the fleet's and agents' first; bounded by the caller. */
  orders(): Order[] {
    return [...this.#orders.wide(), ...this.#orders.ops()];
  }

  /** The operations that are listed. */
  ops(): Op[] {
    return this.#list.all();
  }

  /**
   * The agent whose operation an op id names.
   *
   * @throws {OperationError} `not_found`, or `ambiguous` when several agents use the id.
   */
  agentOfOp(op_id: string): OrderedAgent {
    const known = new Map<string, OrderedAgent>();
    for (const { agent } of this.#list.named(op_id)) known.set(agentKey(agent), agent);
    for (const { target } of this.#orders.ops()) {
      if (target.kind === "op" && target.op_id === op_id) {
        known.set(agentKey(target.agent), target.agent);
      }
    }
    const [agent, ...others] = known.values();
    if (agent === undefined) {
      throw new OperationError(
        "not_found",
        `target: no operation \`${
          op_id.slice(0, 128)
        }\` is known: list them with \`aasm ops list\`, ` +
          "or name its agent as well",
      );
    }
    if (others.length > 0) {
      throw new OperationError(
        "ambiguous",
        `target: ${known.size} agents have an operation \`${
          op_id.slice(0, 128)
        }\`: name the agent as well`,
      );
    }
    return agent;
  }

  /** Denies what the target asks until it is resumed. */
  pause(target: OrderTarget, ordering: Ordering): Promise<Ordered> {
    return this.#inTurn(async () => {
      const before = this.#stateOf(target);
      // An operation that this gateway has not seen yet may be paused ahead of its first question.
      if (before !== "unknown" && !mayBecome(before, "paused")) {
        throw refused(target, before, "paused");
      }
      return await this.#tighten(target, "pause", before, ordering);
    });
  }

  /** Ends a pause. */
  resume(target: OrderTarget, ordering: Ordering): Promise<Ordered> {
    return this.#inTurn(async () => {
      const before = this.#stateOf(target);
      if (before !== "paused" || this.#orders.get(target) === undefined) {
        throw refused(target, before, "resumed");
      }
      return await this.#loosen(target, before, "resumed", ordering);
    });
  }

  /** Ends the target for good. Doing it again changes nothing and is no mistake. */
  terminate(target: OrderTarget, ordering: Ordering): Promise<Ordered> {
    return this.#inTurn(async () => {
      const before = this.#stateOf(target);
      if (this.#orders.get(target)?.signal === "terminate") {
        return { before, now: before, told: 0 };
      }
      return await this.#tighten(target, "terminate", before, ordering);
    });
  }

  /** Ends any order, a termination included: the way back from a mistake. */
  lift(target: OrderTarget, ordering: Ordering): Promise<Ordered> {
    return this.#inTurn(async () => {
      const before = target.kind === "fleet" && this.#damaged.length > 0
        ? "damaged"
        : this.#stateOf(target);
      if (before !== "damaged" && this.#orders.get(target) === undefined) {
        throw new OperationError(
          "not_found",
          `target: no order stands for \`${wireOpId(target).slice(0, 128)}\`: nothing to lift`,
        );
      }
      return await this.#loosen(target, before, "lifted", ordering);
    });
  }

  /**
   * Listens to the orders for one agent and the whole fleet.
   *
   * @returns `undefined` when there are too many subscribers.
   */
  subscribe(agent: OrderedAgent, signal: AbortSignal): OpSubscription | undefined {
    const key = agentKey(agent);
    const standing = this.#orders.concerning(key).map((order) => this.#messageOf(order));
    return this.#subscribers.open(key, standing, signal);
  }

  /** The orders that stand for one agent and the whole fleet; `undefined` while they cannot be read. */
  standing(agent: OrderedAgent): readonly OpMessage[] | undefined {
    if (this.#damaged.length > 0) return undefined;
    return this.#orders.concerning(agentKey(agent)).map((order) => this.#messageOf(order));
  }

  /**
   * Calls `listener` after each change of orders, with the key of the agent it is for, or `undefined`
   * for everybody. It must not throw.
   *
   * @returns Ends it.
   */
  onOrdered(listener: (agent: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Subscriptions cut off because they were not read. */
  get lagging(): number {
    return this.#subscribers.lagging;
  }

  /** Sweeps the list when it is time, and tries again to store what could not be stored. */
  async tick(now_ms: number): Promise<void> {
    // A clock set back must not stop the sweeping.
    if (now_ms < this.#swept_ms) this.#swept_ms = now_ms;
    if (now_ms - this.#swept_ms >= OPERATION_LIMITS.sweep_interval_ms) {
      this.#swept_ms = now_ms;
      this.#list.sweep(now_ms);
    }
    if (this.#unsaved.size > 0) await this.#inTurn(() => this.#saveUnsaved()).catch(() => {});
  }

  /** Ends every subscription: the gateway stops serving. */
  stopTelling(): void {
    this.#subscribers.stop();
  }

  /** Ends every subscription and waits for orders under way. */
  async close(): Promise<void> {
    this.stopTelling();
    await this.#turns.idle();
  }

  async #tighten(
    target: OrderTarget,
    signal: StandingSignal,
    before: string,
    ordering: Ordering,
  ): Promise<Ordered> {
    const replaced = this.#orders.get(target);
    const forgotten = replaced === undefined ? this.#makeRoom(target) : [];
    const now_ms = this.#on.now_ms();
    const order: Order = {
      target,
      signal,
      reason: this.#reason(ordering),
      actor: ordering.actor,
      since_ms: now_ms,
    };
    const now = WORDS[signal];
    const audit_index = await this.#evidence(target, now, before, ordering);
    for (const old of forgotten) this.#orders.delete(old.target);
    const message = this.#putInForce(order);
    if (target.kind === "op") {
      this.#list.order(target.agent, target.op_id, WORDS[signal], ordering.actor, now_ms);
    }
    const told = this.#tell(target, message);
    const key = recordKey(target);
    this.#unsaved.add(key);
    try {
      await this.#on.store.commit([
        put(order),
        ...forgotten.map((old): Mutation => remove(recordKey(old.target))),
      ]);
      this.#unsaved.delete(key);
    } catch (error) {
      throw new OperationError(
        "storage_failed",
        "the order is in force, but could not be stored and would not survive a restart; it is " +
          `tried again: ${messageOf(error)}`,
        { cause: error },
      );
    }
    return { before, now, audit_index, told };
  }

  async #loosen(
    target: OrderTarget,
    before: string,
    word: "resumed" | "lifted",
    ordering: Ordering,
  ): Promise<Ordered> {
    const audit_index = await this.#evidence(target, word, before, ordering);
    const key = recordKey(target);
    const damaged = target.kind === "fleet" ? this.#damaged : [];
    try {
      await this.#on.store.commit([key, ...damaged].map(remove));
    } catch (error) {
      throw new OperationError(
        "storage_failed",
        `the order still stands: its end could not be stored: ${messageOf(error)}`,
        { cause: error },
      );
    }
    if (target.kind === "fleet") this.#damaged = [];
    this.#orders.delete(target);
    this.#numbers.delete(key);
    this.#unsaved.delete(key);
    if (target.kind === "op") {
      const now_ms = this.#on.now_ms();
      this.#list.order(target.agent, target.op_id, "running", ordering.actor, now_ms);
    }
    const sequence = this.#sequence++;
    const told = this.#tell(target, { op_id: wireOpId(target), signal: "resume", sequence });
    return { before, now: "running", audit_index, told };
  }

  /** What an order would have to start from. */
  #stateOf(target: OrderTarget): OpState | "unknown" {
    const order = this.#orders.get(target);
    if (order !== undefined) return WORDS[order.signal];
    if (target.kind !== "op") return "running";
    return this.#list.get(target.agent, target.op_id)?.state ?? "unknown";
  }

  /** The orders to forget so that one more fits. */
  #makeRoom(target: OrderTarget): Order[] {
    if (target.kind === "fleet") return [];
    if (target.kind === "agent") {
      if (this.#orders.agent_count < OPERATION_LIMITS.agent_orders) return [];
      throw new OperationError(
        "limit_reached",
        `orders stand for \`${OPERATION_LIMITS.agent_orders}\` agents: lift some, or halt everything`,
      );
    }
    if (this.#orders.op_count < OPERATION_LIMITS.op_orders) return [];
    const before_ms = this.#on.now_ms() - OPERATION_LIMITS.op_order_kept_ms;
    const old = [...this.#orders.ops()].filter((order) =>
      order.signal === "terminate" && order.since_ms < before_ms
    );
    if (old.length > 0) return old;
    throw new OperationError(
      "limit_reached",
      `orders stand for \`${OPERATION_LIMITS.op_orders}\` operations: give the order to the whole ` +
        "agent instead",
    );
  }

  async #evidence(
    target: OrderTarget,
    word: string,
    before: string,
    ordering: Ordering,
  ): Promise<bigint> {
    const { redact } = this.#on;
    const agent = target.kind === "fleet" ? undefined : target.agent;
    try {
      return await this.#on.record(`operations_${word}`, {
        actor: ordering.actor,
        target: redact(wireOpId(target)),
        agent_id: agent === undefined ? null : redact(agent.agent_id),
        agent_key: agent?.registry_key ?? null,
        before: { state: before },
        after: { state: word === "resumed" || word === "lifted" ? "running" : word },
        reason: this.#reason(ordering),
      });
    } catch (error) {
      throw new OperationError(
        "audit_unavailable",
        `nothing was changed: the order could not be recorded: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  #reason({ reason }: Ordering): string {
    return this.#on.redact(reason.slice(0, OPERATION_LIMITS.reason_chars));
  }

  #putInForce(order: Order): OpMessage {
    this.#orders.put(order);
    this.#numbers.set(recordKey(order.target), this.#sequence++);
    return this.#messageOf(order);
  }

  #messageOf({ target, signal }: Order): OpMessage {
    const sequence = this.#numbers.get(recordKey(target)) ?? 0n;
    return { op_id: wireOpId(target), signal, sequence };
  }

  #tell(target: OrderTarget, message: OpMessage): number {
    const agent = target.kind === "fleet" ? undefined : agentKey(target.agent);
    for (const listener of this.#listeners) listener(agent);
    return this.#subscribers.tell(agent, message);
  }

  async #saveUnsaved(): Promise<void> {
    const orders = this.orders().filter((order) => this.#unsaved.has(recordKey(order.target)));
    await this.#on.store.commit(orders.map(put));
    for (const order of orders) this.#unsaved.delete(recordKey(order.target));
  }

  /** Orders are carried out one after the other, so that what each starts from is true. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#turns.run(work);
    } catch (error) {
      if (error instanceof TurnsBusy) throw new OperationError("busy", error.message);
      throw error;
    }
  }
}

function put(order: Order): Mutation {
  const key = recordKey(order.target);
  return { kind: "put_record", collection: "operations", key, value: orderText(order) };
}

function remove(key: string): Mutation {
  return { kind: "delete_record", collection: "operations", key };
}

function refused(
  target: OrderTarget,
  state: OpState | "unknown",
  wanted: string,
): OperationError {
  const name = wireOpId(target).slice(0, 128);
  if (state === "unknown") {
    return new OperationError("not_found", `target: no operation \`${name}\` is known`);
  }
  return new OperationError(
    "invalid_transition",
    `target: \`${name}\` is ${state} and cannot be ${wanted}`,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
