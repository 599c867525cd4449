/**
 * How a registry changes: in order, recorded, durable, then shown. The half of the registry that
 * every change goes through.
 *
 * @module
 */
import type { AgentStatus } from "../../core/principal.ts";
import type { AgentRecord, Mutation, StateStore } from "../../storage/sqlite/records.ts";
import type { AgentEntry } from "./agent_index.ts";
import { ChangeQueue } from "./change_queue.ts";
import type { Actor, RegistryChange } from "./changes.ts";
import { RegistryError } from "./failure.ts";
import { REGISTRY_LIMITS } from "./limits.ts";
import { type LookupOptions, Lookups } from "./lookups.ts";
import type { ChangeTerms } from "./plans.ts";
import { type Planned, WriteThrough, type WriteThroughOptions } from "./write_through.ts";

/** What changes need. */
export interface ChangingOptions extends LookupOptions, WriteThroughOptions {
  readonly store: Pick<StateStore, "agents" | "commit">;
  /** Removes credentials from free text before it is kept or recorded (design law 5). */
  readonly redact: (text: string) => string;
}

/** What came of a change. */
export interface ChangeResult {
  /** The agent as it is now. */
  readonly agent: AgentRecord;
  /** Its status before, staleness included. */
  readonly previous_status: AgentStatus;
  /** Audit index of the agent's own change. */
  readonly audit_index: bigint | undefined;
  /** Other agents changed with it. */
  readonly also: readonly AgentRecord[];
}

/** A registry that can change. */
export class Changing extends Lookups {
  protected readonly queue = new ChangeQueue();
  /** Registrations under way: parent keys by child key. */
  protected readonly registering = new Map<string, string | undefined>();
  readonly #changes: WriteThrough;
  readonly #redact: (text: string) => string;

  protected constructor(options: ChangingOptions) {
    super(options);
    this.#changes = new WriteThrough(this.index, options);
    this.#redact = options.redact;
  }

  /**
   * Calls `listener` after a change has been made. It must not throw.
   *
   * @returns Ends the subscription.
   */
  onApplied(listener: (change: RegistryChange) => void): () => void {
    return this.#changes.subscribe(listener);
  }

  /** Terms of a change that is planned now. */
  protected terms(actor: Actor, reason: string): ChangeTerms {
    return { actor, reason: this.reason(reason), now_ms: this.now_ms() };
  }

  /** Makes planned changes; the first is the one that was asked for. */
  protected async make(
    planned: readonly Planned[],
    beside: readonly Mutation[] = [],
  ): Promise<ChangeResult> {
    const [own, ...others] = planned;
    if (own === undefined) throw new RegistryError("not_found", "no agent was named");
    const previous_status = own.before === undefined ? "deregistered" : this.statusOf(own.before);
    const [audit_index] = await this.#changes.make(planned, beside);
    const also = others.map(({ after }) => after);
    return { agent: own.after, previous_status, audit_index, also };
  }

  /** @throws {RegistryError} `not_found`. */
  protected registered(key: string): AgentEntry {
    const entry = this.index.byKey(key);
    if (entry !== undefined) return entry;
    throw new RegistryError("not_found", `no agent \`${key.slice(0, 64)}\` is registered`);
  }

  /** A reason as it is kept: bounded, without credentials or control characters. */
  protected reason(text: string): string {
    // Redacted before it is cut: half a credential would not be recognised.
    const looked_at = text.slice(0, 8 * REGISTRY_LIMITS.reason_chars);
    const clean = this.#redact(looked_at.replaceAll(/\p{Cc}/gu, " ").trim());
    return clean.slice(0, REGISTRY_LIMITS.reason_chars).toWellFormed();
  }
}
