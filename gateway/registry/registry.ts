/**
 * The authoritative registry of agents: in memory, loaded from the store at start, written through.
 * This file holds what agents do themselves; `operator_changes.ts` what is done to them,
 * `changing.ts` how a change is made, `lookups.ts` reads.
 *
 * @module
 */
import type { AgentRecord, Mutation } from "../../storage/sqlite/records.ts";
import { registryKeyOf } from "../identity/keys.ts";
import { newCredentialToken, tokenHash } from "../identity/tokens.ts";
import { type Actor, GATEWAY, type RegistryChange } from "./changes.ts";
import type { ChangeResult, ChangingOptions } from "./changing.ts";
import { effectiveEnforcement } from "./enforcement.ts";
import { RegistryError } from "./failure.ts";
import { Heartbeats } from "./heartbeats.ts";
import { REGISTRY_LIMITS } from "./limits.ts";
import {
  checkLineage,
  ended,
  findParent,
  isKilled,
  type OrphanMode,
  orphansOf,
  placeBelow,
  withoutToken,
} from "./lineage.ts";
import { OperatorChanges } from "./operator_changes.ts";
import {
  checkFields,
  checkTenant,
  type Issued,
  recordOf,
  type Registration,
} from "./registration.ts";
import type { Planned } from "./write_through.ts";

export { registryKeyOf } from "../identity/keys.ts";
export type { ChangeResult } from "./changing.ts";
export type { SuspendOptions } from "./operator_changes.ts";

/** What the registry is built from. */
export interface RegistryOptions extends ChangingOptions {
  /** What becomes of descendants when a registration ends. Default `suspend`. */
  readonly orphan_mode?: OrphanMode;
  /** How long a token lives; absent: until it is rotated, revoked or its registration ends. */
  readonly token_ttl_ms?: number;
}

/** A new registration. The token is shown this once. */
export interface Registered extends ChangeResult {
  readonly credential_token: string;
}

/** On whose word an agent joins its organisation and team. */
export interface Admission {
  readonly enrolment_id: string;
  /** Stored in the same write as the new agent: the use that the enrolment has spent. */
  readonly beside: readonly Mutation[];
}

/** The registry of one gateway. Open it with {@linkcode Registry.open}. */
export class Registry extends OperatorChanges {
  readonly #options: RegistryOptions;
  readonly #heartbeats: Heartbeats;

  private constructor(options: RegistryOptions) {
    super(options);
    this.#options = options;
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
   * An agent that is registered but whose token has ended (trap 42) gets a new one for the same
   * record, when it has proven the same key: everything else it says is ignored.
   *
   * @param admission The enrolment that names organisation and team; absent when the agent says
   * them itself.
   * @throws {RegistryError}
   */
  register(registration: Registration, admission?: Admission): Promise<Registered> {
    const key = registryKeyOf(registration);
    return this.queue.withAgent(key, async () => {
      if (this.awaitsToken(registration)) return await this.#reissue(key, registration.agent_id);
      checkFields(registration);
      const parent = findParent(this.index, registration, registration.parent_agent_id);
      checkTenant(registration);
      const placement = placeBelow(this.index, key, parent, this.registering);
      // A collision of two different triples counts: the key names one agent on the wire.
      if (this.index.byKey(key) !== undefined) throw alreadyExists();
      this.#checkCapacity();
      const now_ms = this.now_ms();
      const { credential_token, token } = this.#newToken(now_ms);
      const placed: Issued = {
        ...placement,
        ...token,
        key,
        ...(admission === undefined ? {} : { enrolment_id: admission.enrolment_id }),
      };
      const after = recordOf(registration, placed, now_ms, this.#options.redact);
      const actor: Actor = { kind: "agent", agent_id: registration.agent_id };
      this.registering.set(key, placement.parent?.record.key);
      try {
        const result = await this.make([
          { action: "agent_registered", actor, reason: "", before: undefined, after },
        ], admission?.beside);
        return { ...result, credential_token };
      } finally {
        this.registering.delete(key);
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
    entry.heard_monotonic_ms = this.monotonic_ms();
    this.#heartbeats.note(key, heard_ms, now_ms);
    return entry.record;
  }

  /**
   * Ends a registration; the token is dead at once and descendants follow the orphan mode.
   *
   * @param orphan_mode For this once; the registry's otherwise.
   * @throws {RegistryError} `not_found`, and as for every change.
   */
  deregister(
    key: string,
    reason: string,
    actor: Actor = GATEWAY,
    orphan_mode?: OrphanMode,
  ): Promise<ChangeResult> {
    return this.queue.alone(() => {
      const entry = this.registered(key);
      const now_ms = this.now_ms();
      const text = this.reason(reason);
      const mode = orphan_mode ?? this.#options.orphan_mode ?? "suspend";
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
      return this.make([own, ...others]);
    });
  }

  /**
   * Replaces the token of an agent that has shown the old one, or proven its key again. The old one
   * is dead at once.
   *
   * @param proof The old token; or `key_proven`, when a signature over a fresh challenge was checked.
   * @throws {RegistryError} `not_found`; `token_refused` when the old token is not the live one any
   * more; `wrong_status` when the agent was killed.
   */
  rotateToken(key: string, proof: { readonly token: string } | "key_proven"): Promise<Registered> {
    return this.queue.withAgent(key, async () => {
      const { record } = this.registered(key);
      if (isKilled(record)) {
        throw new RegistryError("wrong_status", "the agent was killed: it gets no token any more");
      }
      // Looked at again here: of two rotations with one token, the second comes too late.
      if (proof !== "key_proven" && this.byToken(proof.token) !== record) {
        throw new RegistryError("token_refused", "the token is not the agent's live one any more");
      }
      return await this.#issue(record, "agent_token_rotated");
    });
  }

  /** Writes collected heartbeats; call before the store closes. */
  async close(): Promise<void> {
    await this.#heartbeats.flush();
  }

  #reissue(key: string, agent_id: string): Promise<Registered> {
    const { record } = this.registered(key);
    if (record.agent_id !== agent_id) throw alreadyExists();
    return this.#issue(record, "agent_token_reissued");
  }

  async #issue(before: AgentRecord, action: RegistryChange["action"]): Promise<Registered> {
    const { credential_token, token } = this.#newToken(this.now_ms());
    const actor: Actor = { kind: "agent", agent_id: before.agent_id };
    const after: AgentRecord = { ...withoutToken(before), ...token };
    const result = await this.make([{ action, actor, reason: "", before, after }]);
    return { ...result, credential_token };
  }

  #newToken(now_ms: number): {
    readonly credential_token: string;
    readonly token: { readonly token_hash: string; readonly token_expires_at_ms?: number };
  } {
    const credential_token = newCredentialToken();
    const token_hash = tokenHash(credential_token);
    const { token_ttl_ms } = this.#options;
    const token = token_ttl_ms === undefined
      ? { token_hash }
      : { token_hash, token_expires_at_ms: now_ms + token_ttl_ms };
    return { credential_token, token };
  }

  #checkCapacity(): void {
    const limit = REGISTRY_LIMITS.agents;
    if (this.index.size + this.registering.size < limit) return;
    throw new RegistryError(
      "limit_reached",
      `\`${limit}\` agents are registered; deregister those that have ended`,
    );
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
