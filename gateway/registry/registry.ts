/**
 * The authoritative registry of agents: in memory, loaded from the store at start, written through.
 * This file holds the rules of each change; `write_through.ts` makes them, `lookups.ts` reads.
 *
 * @module
 */
import type { AgentStatus } from "../../core/principal.ts";
import type { AgentRecord, StateStore, SuspensionCause } from "../../storage/sqlite/records.ts";
import { registryKeyOf } from "../identity/keys.ts";
import { newCredentialToken, tokenHash } from "../identity/tokens.ts";
import type { AgentEntry } from "./agent_index.ts";
import { ChangeQueue } from "./change_queue.ts";
import { type Actor, GATEWAY, type RegistryChange } from "./changes.ts";
import { effectiveEnforcement, ENFORCE } from "./enforcement.ts";
import { RegistryError } from "./failure.ts";
import { Heartbeats } from "./heartbeats.ts";
import { REGISTRY_LIMITS } from "./limits.ts";
import {
  checkLineage,
  ended,
  findParent,
  type OrphanMode,
  orphansOf,
  placeBelow,
} from "./lineage.ts";
import { type LookupOptions, Lookups } from "./lookups.ts";
import { checkFields, checkTenant, recordOf, type Registration } from "./registration.ts";
import { type Planned, WriteThrough, type WriteThroughOptions } from "./write_through.ts";

export { registryKeyOf } from "../identity/keys.ts";

/** What the registry is built from. */
export interface RegistryOptions extends LookupOptions, WriteThroughOptions {
  readonly store: Pick<StateStore, "agents" | "commit">;
  /** Removes credentials from free text before it is kept or recorded (design law 5). */
  readonly redact: (text: string) => string;
  /** What becomes of descendants when a registration ends. Default `suspend`. */
  readonly orphan_mode?: OrphanMode;
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

/** A new registration. The token is shown this once. */
export interface Registered extends ChangeResult {
  readonly credential_token: string;
}

/** How to suspend. */
export interface SuspendOptions {
  readonly actor?: Actor;
  /** Default `manual`. */
  readonly cause?: SuspensionCause;
  /** Suspend all descendants too. Default false. */
  readonly cascade?: boolean;
}

/** The registry of one gateway. Open it with {@linkcode Registry.open}. */
export class Registry extends Lookups {
  readonly #options: RegistryOptions;
  readonly #queue = new ChangeQueue();
  readonly #changes: WriteThrough;
  readonly #heartbeats: Heartbeats;
  /** Registrations under way: parent keys by child key. */
  readonly #registering = new Map<string, string | undefined>();

  private constructor(options: RegistryOptions) {
    super(options);
    this.#options = options;
    this.#changes = new WriteThrough(this.index, options);
    this.#heartbeats = new Heartbeats(options.store, this.opened_ms);
  }

  /**
   * Loads the registry. Overrides that ended meanwhile are gone; staleness counts from now, because
   * a restart of the gateway is not an agent's silence.
   *
   * @throws {StoreError} when the store cannot be read.
   * @throws {RegistryError} `inconsistent` when its records contradict each other.
   */
  static async open(options: RegistryOptions): Promise<Registry> {
    const registry = new Registry(options);
    const registered: AgentRecord[] = [];
    const past: AgentRecord[] = [];
    for await (const page of options.store.agents()) {
      for (const record of page) {
        (record.state.status === "deregistered" ? past : registered).push(record);
      }
    }
    // Parents before children; ended registrations in the order in which they ended.
    registered.sort((a, b) => a.depth - b.depth);
    past.sort((a, b) => sinceMs(a) - sinceMs(b));
    for (const record of [...registered, ...past]) {
      const enforcement = effectiveEnforcement(record.enforcement, registry.opened_ms);
      registry.index.install({ ...record, enforcement });
    }
    checkLineage(registry.index);
    return registry;
  }

  /** Heartbeat writes that failed and will be tried again. */
  get heartbeat_write_failures(): number {
    return this.#heartbeats.write_failures;
  }

  /**
   * Registers an agent whose key has been proven. Checks, in order: fields, parent, tenant
   * characters, depth, loop, duplicate, capacity (contract `wire` §1.2, Register 7-10).
   *
   * @throws {RegistryError}
   */
  register(registration: Registration): Promise<Registered> {
    const key = registryKeyOf(registration);
    return this.#queue.withAgent(key, async () => {
      checkFields(registration);
      const parent = findParent(this.index, registration, registration.parent_agent_id);
      checkTenant(registration);
      const placement = placeBelow(this.index, key, parent, this.#registering);
      // A collision of two different triples counts: the key names one agent on the wire.
      if (this.index.byKey(key) !== undefined) throw alreadyExists();
      this.#checkCapacity();
      const credential_token = newCredentialToken();
      const placed = { ...placement, key, token_hash: tokenHash(credential_token) };
      const now_ms = this.now_ms();
      const after = recordOf(registration, placed, now_ms, this.#options.redact);
      const actor: Actor = { kind: "agent", agent_id: registration.agent_id };
      this.#registering.set(key, placement.parent?.record.key);
      try {
        const result = await this.#make([
          { action: "agent_registered", actor, reason: "", before: undefined, after },
        ]);
        return { ...result, credential_token };
      } finally {
        this.#registering.delete(key);
      }
    });
  }

  /**
   * Notes a sign of life. Memory changes at once, the store within seconds: losing the last ones in
   * a crash cannot make an agent stale, because staleness counts from the restart.
   *
   * @returns The agent, or `undefined` when it is not registered.
   */
  heartbeat(key: string): AgentRecord | undefined {
    const entry = this.index.byKey(key);
    if (entry === undefined) return undefined;
    const now_ms = this.now_ms();
    const heard_ms = Math.max(now_ms, entry.record.last_heartbeat_ms ?? 0);
    entry.record = { ...entry.record, last_heartbeat_ms: heard_ms };
    this.#heartbeats.note(key, heard_ms, now_ms);
    return entry.record;
  }

  /**
   * Ends a registration; the token is dead at once and descendants follow the orphan mode.
   *
   * @throws {RegistryError} `not_found`, and as for every change.
   */
  deregister(key: string, reason: string, actor: Actor = GATEWAY): Promise<ChangeResult> {
    return this.#queue.alone(() => {
      const entry = this.#registered(key);
      const now_ms = this.now_ms();
      const text = this.#reason(reason);
      const mode = this.#options.orphan_mode ?? "suspend";
      const orphans = orphansOf(this.index, entry, mode, now_ms);
      const own: Planned = {
        action: "agent_deregistered",
        actor,
        reason: text,
        before: entry.record,
        after: ended(entry.record, text, now_ms),
      };
      const others = orphans.map((after): Planned => ({
        action: ORPHAN_ACTIONS[mode],
        actor: GATEWAY,
        reason: `parent deregistered: ${entry.record.agent_id}`,
        before: this.index.recordOf(after.key),
        after,
      }));
      return this.#make([own, ...others]);
    });
  }

  /**
   * Suspends an active or stale agent.
   *
   * @throws {RegistryError} `not_found`; `wrong_status` when it is suspended already.
   */
  suspend(key: string, reason: string, options: SuspendOptions = {}): Promise<ChangeResult> {
    const { actor = GATEWAY, cause = "manual", cascade = false } = options;
    const change = () => {
      const entry = this.#registered(key);
      if (entry.record.state.status !== "active") throw wrongStatus(entry.record, "active");
      const since_ms = this.now_ms();
      const text = this.#reason(reason);
      const family = cascade ? this.index.family(entry) : [entry];
      const changes = family.filter(({ record }) => record.state.status === "active")
        .map(({ record }): Planned => {
          const own = record === entry.record;
          const why = own ? text : `parent suspended: ${entry.record.agent_id}`;
          const state = {
            status: "suspended",
            cause: own ? cause : "parent_suspended",
            reason: why,
            since_ms,
          } as const;
          const after = { ...record, state };
          return { action: "agent_suspended", actor, reason: why, before: record, after };
        });
      return this.#make(changes);
    };
    return cascade ? this.#queue.alone(change) : this.#queue.withAgent(key, change);
  }

  /**
   * Makes a suspended agent active again, whatever it was suspended for. Does not cascade.
   *
   * @throws {RegistryError} `not_found`; `wrong_status` when it is not suspended.
   */
  resume(key: string, reason: string, actor: Actor = GATEWAY): Promise<ChangeResult> {
    return this.#queue.withAgent(key, async () => {
      const { record } = this.#registered(key);
      if (record.state.status !== "suspended") throw wrongStatus(record, "suspended");
      const after: AgentRecord = { ...record, state: { status: "active" } };
      const text = this.#reason(reason);
      return await this.#make([
        { action: "agent_resumed", actor, reason: text, before: record, after },
      ]);
    });
  }

  /**
   * Sets the mode of agents, all or none. The change must have passed `validateEnforcementChange`.
   *
   * @param keys Registry keys, the agent that was named first.
   * @throws {RegistryError} `not_found` when one of them is not registered any more.
   */
  setEnforcementMode(
    keys: readonly string[],
    enforcement: AgentRecord["enforcement"],
    reason: string,
    actor: Actor,
  ): Promise<ChangeResult> {
    return this.#queue.alone(() => {
      const text = this.#reason(reason);
      const mode = enforcement.mode === "observe" ? { ...enforcement, reason: text } : ENFORCE;
      return this.#make(keys.map((key): Planned => {
        const { record } = this.#registered(key);
        const after = { ...record, enforcement: mode };
        return { action: "enforcement_mode_changed", actor, reason: text, before: record, after };
      }));
    });
  }

  /**
   * Calls `listener` after a change has been made. It must not throw.
   *
   * @returns Ends the subscription.
   */
  onApplied(listener: (change: RegistryChange) => void): () => void {
    return this.#changes.subscribe(listener);
  }

  /** Writes collected heartbeats; call before the store closes. */
  async close(): Promise<void> {
    await this.#heartbeats.flush();
  }

  async #make(planned: readonly Planned[]): Promise<ChangeResult> {
    const [own, ...others] = planned;
    if (own === undefined) throw new RegistryError("not_found", "no agent was named");
    const previous_status = own.before === undefined
      ? "deregistered"
      : this.statusOf(own.before, this.now_ms());
    const [audit_index] = await this.#changes.make(planned);
    const also = others.map(({ after }) => after);
    return { agent: own.after, previous_status, audit_index, also };
  }

  #checkCapacity(): void {
    const limit = REGISTRY_LIMITS.agents;
    if (this.index.size + this.#registering.size < limit) return;
    throw new RegistryError(
      "limit_reached",
      `\`${limit}\` agents are registered; deregister those that have ended`,
    );
  }

  #registered(key: string): AgentEntry {
    const entry = this.index.byKey(key);
    if (entry !== undefined) return entry;
    throw new RegistryError("not_found", `no agent \`${key.slice(0, 64)}\` is registered`);
  }

  /** A reason as it is kept: bounded, without credentials or control characters. */
  #reason(text: string): string {
    // Redacted before it is cut: half a credential would not be recognised.
    const looked_at = text.slice(0, 8 * REGISTRY_LIMITS.reason_chars);
    const clean = this.#options.redact(looked_at.replaceAll(/\p{Cc}/gu, " ").trim());
    return clean.slice(0, REGISTRY_LIMITS.reason_chars).toWellFormed();
  }
}

const ORPHAN_ACTIONS: Readonly<Record<OrphanMode, RegistryChange["action"]>> = {
  suspend: "agent_suspended",
  promote_to_root: "agent_promoted_to_root",
  cascade_deregister: "agent_deregistered",
};

function sinceMs({ state }: AgentRecord): number {
  return state.status === "active" ? 0 : state.since_ms;
}

function alreadyExists(): RegistryError {
  return new RegistryError(
    "already_exists",
    "an agent of this org, team and agent id is registered already; deregister it first",
  );
}

function wrongStatus(record: AgentRecord, wanted: AgentStatus): RegistryError {
  const { status } = record.state;
  return new RegistryError("wrong_status", `the agent is \`${status}\`, not \`${wanted}\``);
}
