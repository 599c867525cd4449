/**
 * The one way in which a change is made: record it in the audit log, make it durable, then show it.
 * A change that cannot be recorded or stored is not made (design law 2).
 *
 * @module
 */
import type { AgentRecord, Mutation, StateStore } from "../../storage/sqlite/records.ts";
import type { AgentIndex } from "./agent_index.ts";
import type { RecordChanges, RegistryChange } from "./changes.ts";
import { RegistryError } from "./failure.ts";
import { REGISTRY_LIMITS } from "./limits.ts";

/** A change that has been checked and not yet been made. */
export type Planned = Omit<RegistryChange, "outcome">;

/** What changes go through. */
export interface WriteThroughOptions {
  readonly store: Pick<StateStore, "commit">;
  /** Makes changes durable evidence before they are made; see {@linkcode RecordChanges}. */
  readonly onChange: RecordChanges;
}

/** Makes changes of one index. */
export class WriteThrough {
  readonly #index: AgentIndex;
  readonly #options: WriteThroughOptions;
  readonly #listeners = new Set<(change: RegistryChange) => void>();

  constructor(index: AgentIndex, options: WriteThroughOptions) {
    this.#index = index;
    this.#options = options;
  }

  /** Calls `listener` after a change has been made; the result ends the subscription. */
  subscribe(listener: (change: RegistryChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Makes changes together, or none of them.
   *
   * @param beside What must become durable in the same write, e.g. the use of an enrolment.
   * @returns The audit index of each change, in order.
   * @throws {RegistryError} `audit_unavailable`, `storage_failed`.
   */
  async make(
    planned: readonly Planned[],
    beside: readonly Mutation[] = [],
  ): Promise<readonly bigint[]> {
    const indexes = await this.#record(planned, "applying");
    const forgotten = this.#forgottenWith(planned);
    await this.#store(planned, forgotten, beside);
    for (const { after } of planned) this.#install(after);
    for (const key of forgotten) this.#index.forget(key);
    for (const change of planned) this.#announce({ ...change, outcome: "applying" });
    return indexes;
  }

  async #record(
    planned: readonly Planned[],
    outcome: RegistryChange["outcome"],
  ): Promise<readonly bigint[]> {
    try {
      return await this.#options.onChange(planned.map((change) => ({ ...change, outcome })));
    } catch (cause) {
      throw new RegistryError(
        "audit_unavailable",
        "the change cannot be recorded in the audit log and was not made; check the gateway",
        { cause },
      );
    }
  }

  async #store(
    planned: readonly Planned[],
    forgotten: readonly string[],
    beside: readonly Mutation[],
  ): Promise<void> {
    const puts = planned.map(({ after }): Mutation => ({ kind: "put_agent", agent: after }));
    const forgets = forgotten.map((key): Mutation => ({ kind: "forget_agent", key }));
    try {
      await this.#options.store.commit([...puts, ...forgets, ...beside]);
    } catch (cause) {
      // The log said that the change was coming; it must also say that it did not come.
      await this.#record(planned, "not_applied").catch(() => {});
      throw new RegistryError(
        "storage_failed",
        "the change cannot be made durable and was not made; check the gateway's disk",
        { cause },
      );
    }
  }

  /** A heartbeat may have come while the change was being stored. */
  #install(after: AgentRecord): void {
    const heard_ms = this.#index.byKey(after.key)?.record.last_heartbeat_ms;
    this.#index.install(
      heard_ms === undefined ? after : { ...after, last_heartbeat_ms: heard_ms },
    );
  }

  #announce(change: RegistryChange): void {
    // Apart from this call: a listener's failure cannot make a change look as if it failed.
    for (const listener of this.#listeners) queueMicrotask(() => listener(change));
  }

  /** Ended registrations that make room for the ones that end now. */
  #forgottenWith(planned: readonly Planned[]): string[] {
    const ending = planned.filter(({ after }) => after.state.status === "deregistered").length;
    if (ending === 0) return [];
    const excess = this.#index.ended.size + ending - REGISTRY_LIMITS.ended_registrations;
    return [...this.#index.ended.keys().take(Math.max(0, excess))];
  }
}
