/**
 * What a room of the gateway is to the rest: state that was opened, parts of the engine, services,
 * a status, and an end. A new room is one file here and one line in `mod.ts`.
 *
 * @module
 */
import type { RateBuckets } from "../../core/policy/rate_limit.ts";
import type { GrpcServer, ServiceHandlers } from "../../grpc/mod.ts";
import type { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import type { AgentRecord, StateStore } from "../../storage/sqlite/records.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { GatewayConfig } from "../config.ts";
import type { Counters } from "../counters.ts";
import type { DecisionEngine } from "../engine/engine.ts";
import type { EngineParts } from "../engine/parts.ts";
import type { PolicyStore } from "../engine/policy_store.ts";
import type { Challenges } from "../identity/challenges.ts";
import type { Operators } from "../identity/operators.ts";
import type { PolicyHistory } from "../policy/history.ts";
import type { ControlStreams } from "../registry/control_streams.ts";
import type { Enrolments } from "../registry/enrolments.ts";
import type { Registry } from "../registry/registry.ts";

/** What rooms stand on. */
export interface House {
  readonly config: GatewayConfig;
  readonly clock: Clock;
  readonly store: StateStore;
  readonly audit: AuditLog;
  readonly registry: Registry;
  readonly operators: Operators;
  readonly enrolments: Enrolments;
  /** Nonces for proofs of possession. */
  readonly challenges: Challenges;
  readonly control_streams: ControlStreams;
  readonly policy: PolicyStore;
  readonly policy_history: PolicyHistory;
  readonly buckets: RateBuckets;
  readonly counters: Counters;
  /** The engine; made after the rooms, so only to be called once the gateway serves. */
  readonly engine: () => DecisionEngine;
}

/** How one control stands, for `aasm status`. */
export interface ComponentState {
  readonly name: string;
  /** `enforcing`, `degraded`, `unavailable`, `unconfigured`, `not_built`. */
  readonly state: string;
  /** One sentence a person can act on. */
  readonly detail: string;
}

/** Methods of the decision service that a room answers. */
export type PolicyMethods = Partial<ServiceHandlers<typeof PolicyService>>;

/** One open room. */
export interface Room {
  /** What it adds to decisions. */
  readonly parts?: EngineParts;
  /** What it adds to the decision service, beside CheckAction and BatchCheck. */
  readonly policy_methods?: PolicyMethods;
  /**
   * Registers its services.
   *
   * @returns Full names of those that health reports.
   */
  serve(server: GrpcServer): readonly string[];
  /** How it stands now. */
  components(): readonly ComponentState[];
  /** Whether an agent that was suspended for its budget is within it again. */
  withinBudget?(agent: AgentRecord): boolean;
  /** What a team's monthly limit leaves, in micro-dollars; `undefined` when nobody knows. */
  teamBudgetRemaining?(org_id: string, team_id: string): number | undefined;
  /** Ends what would otherwise run for ever, such as streams: the gateway is stopping. */
  hush?(): void;
  /** Makes everything durable and lets go. */
  close(): Promise<void>;
}

/** The rooms of one gateway, open together. */
export class Rooms {
  readonly #rooms: readonly Room[];

  constructor(rooms: readonly Room[]) {
    this.#rooms = rooms;
  }

  /** All parts together. No two rooms may give the same one; observers add up. */
  get parts(): EngineParts {
    let all: EngineParts = {};
    for (const { parts = {} } of this.#rooms) {
      const twice = Object.keys(parts).find((name) => name !== "observers" && name in all);
      if (twice !== undefined) throw new Error(`two rooms give the engine its \`${twice}\``);
      const observers = [...all.observers ?? [], ...parts.observers ?? []];
      all = { ...all, ...parts, observers };
    }
    return all;
  }

  /** Methods of the decision service that rooms answer. */
  get policy_methods(): PolicyMethods {
    return Object.assign({}, ...this.#rooms.map((room) => room.policy_methods ?? {}));
  }

  /** Registers every service. @returns Names for health. */
  serve(server: GrpcServer): string[] {
    return this.#rooms.flatMap((room) => room.serve(server));
  }

  /** How all stand. */
  components(): ComponentState[] {
    return this.#rooms.flatMap((room) => room.components());
  }

  /** Whether a suspended agent's budget has room again; without a ledger it has none. */
  withinBudget(agent: AgentRecord): boolean {
    return this.#rooms.some((room) => room.withinBudget?.(agent) === true);
  }

  /** What a team's monthly limit leaves; `undefined` when nobody knows. */
  teamBudgetRemaining(org_id: string, team_id: string): number | undefined {
    for (const room of this.#rooms) {
      const remaining = room.teamBudgetRemaining?.(org_id, team_id);
      if (remaining !== undefined) return remaining;
    }
    return undefined;
  }

  /** Ends streams. */
  hush(): void {
    for (const room of this.#rooms) room.hush?.();
  }

  /** Closes all, the last opened first, whatever becomes of each; the first failure is reported. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const room of this.#rooms.toReversed()) {
      await room.close().catch((error) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
