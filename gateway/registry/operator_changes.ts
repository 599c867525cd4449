/**
 * What operators, and the gateway for them, do to registered agents.
 *
 * @module
 */
import type { AgentStatus, GovernanceLevel, RiskTier } from "../../core/principal.ts";
import type { AgentRecord, SuspensionCause } from "../../storage/sqlite/records.ts";
import { type Actor, GATEWAY, type RegistryChange } from "./changes.ts";
import { type ChangeResult, Changing } from "./changing.ts";
import { ENFORCE } from "./enforcement.ts";
import { RegistryError } from "./failure.ts";
import { isKilled, parentIn, placeBelow } from "./lineage.ts";
import { planKill, planReparent, planRevocation } from "./plans.ts";
import type { Planned } from "./write_through.ts";

/** How to suspend. */
export interface SuspendOptions {
  readonly actor?: Actor;
  /** Default `manual`. */
  readonly cause?: SuspensionCause;
  /** Suspend all descendants too. Default false. */
  readonly cascade?: boolean;
}

/** The operators' half of the registry. */
export class OperatorChanges extends Changing {
  /**
   * Suspends an active or stale agent.
   *
   * @throws {RegistryError} `not_found`; `wrong_status` when it is suspended already.
   */
  suspend(key: string, reason: string, options: SuspendOptions = {}): Promise<ChangeResult> {
    const { actor = GATEWAY, cause = "manual", cascade = false } = options;
    const change = () => {
      const entry = this.registered(key);
      if (entry.record.state.status !== "active") throw wrongStatus(entry.record, "active");
      const since_ms = this.now_ms();
      const text = this.reason(reason);
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
      return this.make(changes);
    };
    return cascade ? this.queue.alone(change) : this.queue.withAgent(key, change);
  }

  /**
   * Makes a suspended agent active again, whatever it was suspended for. Does not cascade.
   *
   * @throws {RegistryError} `not_found`; `wrong_status` when it is not suspended, or was killed.
   */
  resume(key: string, reason: string, actor: Actor = GATEWAY): Promise<ChangeResult> {
    return this.queue.withAgent(key, async () => {
      const { record } = this.registered(key);
      if (record.state.status !== "suspended") throw wrongStatus(record, "suspended");
      if (isKilled(record)) {
        throw new RegistryError(
          "wrong_status",
          "the agent was killed, which is for good: deregister it, and let it register anew",
        );
      }
      const after: AgentRecord = { ...record, state: { status: "active" } };
      const text = this.reason(reason);
      return await this.make([
        { action: "agent_resumed", actor, reason: text, before: record, after },
      ]);
    });
  }

  /**
   * Ends an agent for good: its token is dead, it is denied, and its control stream hears `kill`.
   *
   * @param cascade Descendants are killed too; otherwise they are suspended.
   * @throws {RegistryError} `not_found`; `wrong_status` when it is killed already.
   */
  kill(key: string, reason: string, actor: Actor, cascade = false): Promise<ChangeResult> {
    return this.queue.alone(() => {
      const terms = this.terms(actor, reason);
      return this.make(planKill(this.index, this.registered(key), cascade, terms));
    });
  }

  /**
   * Takes an agent's token away. Whoever holds its key can register for a new one; kill the agent if
   * the key itself is lost.
   *
   * @throws {RegistryError} `not_found`; `wrong_status` when it has none.
   */
  revokeToken(key: string, reason: string, actor: Actor): Promise<ChangeResult> {
    return this.queue.withAgent(key, () => {
      return this.make([planRevocation(this.registered(key), this.terms(actor, reason))]);
    });
  }

  /**
   * Moves an agent and everything below it under another agent of its organisation and team, or
   * makes it a root. Moving it where it stands changes nothing.
   *
   * @param parent_key Registry key of the new parent; `undefined` for none.
   * @throws {RegistryError} `not_found`, `parent_not_registered`, `depth_exceeded`, `lineage_loop`.
   */
  reparent(
    key: string,
    parent_key: string | undefined,
    reason: string,
    actor: Actor,
  ): Promise<ChangeResult> {
    return this.queue.alone(async () => {
      const entry = this.registered(key);
      const parent = parentIn(this.index, entry, parent_key);
      const placement = placeBelow(this.index, key, parent, this.registering);
      const planned = planReparent(this.index, entry, placement, this.terms(actor, reason));
      if (planned.length > 0) return await this.make(planned);
      const previous_status = this.statusOf(entry.record);
      return { agent: entry.record, previous_status, audit_index: undefined, also: [] };
    });
  }

  /** Sets the level that policies read as `governance_level`. @throws {RegistryError} */
  setGovernanceLevel(
    key: string,
    governance_level: GovernanceLevel,
    reason: string,
    actor: Actor,
  ): Promise<ChangeResult> {
    return this.#set(key, "governance_level_set", { governance_level }, reason, actor);
  }

  /** Sets the risk tier, whatever the agent declared. @throws {RegistryError} */
  setRiskTier(
    key: string,
    risk_tier: RiskTier,
    reason: string,
    actor: Actor,
  ): Promise<ChangeResult> {
    return this.#set(key, "risk_tier_set", { risk_tier }, reason, actor);
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
    return this.queue.alone(() => {
      const text = this.reason(reason);
      const mode = enforcement.mode === "observe" ? { ...enforcement, reason: text } : ENFORCE;
      return this.make(keys.map((key): Planned => {
        const { record } = this.registered(key);
        const after = { ...record, enforcement: mode };
        return { action: "enforcement_mode_changed", actor, reason: text, before: record, after };
      }));
    });
  }

  #set(
    key: string,
    action: RegistryChange["action"],
    fields: Partial<Pick<AgentRecord, "governance_level" | "risk_tier">>,
    reason: string,
    actor: Actor,
  ): Promise<ChangeResult> {
    return this.queue.withAgent(key, () => {
      const { record: before } = this.registered(key);
      const after = { ...before, ...fields };
      return this.make([{ action, actor, reason: this.reason(reason), before, after }]);
    });
  }
}

function wrongStatus(record: AgentRecord, wanted: AgentStatus): RegistryError {
  const { status } = record.state;
  return new RegistryError("wrong_status", `the agent is \`${status}\`, not \`${wanted}\``);
}
