/**
 * Deno's permission broker, opened where it was asked for: beside the socket for clients, under the
 * same decisions and the same check of who connects.
 *
 * @module
 */
import { resolve } from "node:path";
import { type BrokerStatus, openBroker as openRoom } from "./broker/room.ts";
import type { DecisionsPart, PipelinePart } from "./parts.ts";
import type { Shared } from "./rooms.ts";

/** A served broker. */
export interface OpenBroker {
  readonly serving: () => boolean;
  readonly status: () => BrokerStatus;
  readonly close: () => Promise<void>;
}

/**
 * Serves the broker, if a socket is configured for it.
 *
 * @param credential_token The agent's; empty while none is known.
 * @throws {Error} when the socket cannot be had
 */
export async function openBroker(
  shared: Shared,
  decisions: DecisionsPart,
  pipeline: PipelinePart,
  credential_token: string,
): Promise<OpenBroker | undefined> {
  const { config, own_uid, libc, timers, log, metrics, newId } = shared;
  if (config.broker_socket === undefined) return undefined;
  const { org_id, team_id, agent_id } = config;
  const room = await openRoom({
    socket: resolve(config.broker_socket),
    agent: { org_id, team_id, agent_id, credential_token, trace_id: newId() },
    decisions,
    pipeline,
    metrics,
    timers,
    log,
    own_uid,
    ...libc === undefined ? {} : { libc },
    protected_paths: [
      config.state_dir,
      config.ipc.socket,
      // What an operator says to the runtime, and who may speak to it.
      ...[config.orders, config.local_policy?.path, config.health.token_file],
      config.ipc.trusted_keys_file,
      // The database and what SQLite keeps beside it; not the whole folder, which may be anyone's.
      ...["", "-wal", "-shm", "-journal"].map((suffix) => `${config.spool}${suffix}`),
    ].filter((path) => path !== undefined).map((path) => resolve(path)),
    newId,
  });
  return {
    serving: () => room.status.state === "serving",
    status: () => room.status,
    close: async () => await room[Symbol.asyncDispose](),
  };
}
