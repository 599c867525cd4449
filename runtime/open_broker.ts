/**
 * Deno's permission broker, opened where it was asked for: beside the socket for clients, under the
 * same decisions and the same check of who connects.
 *
 * @module
 */
import { dirname } from "node:path";
import { Broker } from "./broker/broker.ts";
import { denoFiles } from "./broker/deno_files.ts";
import { libcFiles } from "./broker/libc_files.ts";
import { repeatEvents } from "./broker/repeat_report.ts";
import { PeerFinder } from "./ipc/peer_credentials.ts";
import { bindSocket } from "./ipc/socket_file.ts";
import type { DecisionsPart, Origin, PipelinePart } from "./parts.ts";
import type { Shared } from "./rooms.ts";
import type { Timers } from "./timers.ts";

/** A served broker. */
export interface OpenBroker {
  readonly serving: () => boolean;
  readonly status: () => Readonly<Record<string, unknown>>;
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
  const path = config.broker_socket;
  if (path === undefined) return undefined;
  const agent = {
    org_id: config.org_id,
    team_id: config.team_id,
    agent_id: config.agent_id,
    credential_token,
    trace_id: newId(),
  };
  Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const file = await bindSocket(path, own_uid);
  const finder = libc === undefined ? undefined : new PeerFinder(libc, file.bound_path);
  const origin: Origin = { source: "broker", pid: Deno.pid };
  const broker = new Broker(file, {
    agent,
    decisions,
    recordRepeats: async (repeats) => {
      for (const event of repeatEvents(agent, repeats, newId)) {
        await pipeline.report(event, origin);
      }
    },
    clock: { now_ms: timers.now_ms, after: (delay_ms, run) => after(timers, delay_ms, run) },
    files: libc === undefined ? denoFiles : libcFiles(libc),
    temp_directory: "/tmp",
    protected_paths: [path, config.ipc.socket, config.state_dir, dirname(config.spool)],
    ...finder === undefined ? {} : { peer: () => finder.newest() },
    uid: own_uid,
    metrics,
    onEvent: (event) => {
      if (event.event === "turned_away") {
        log("warn", "a process was turned away from the permission broker", { why: event.why });
      }
    },
  });
  return {
    serving: () => file.inPlace(),
    status: () => ({
      state: file.inPlace() ? "serving" : "socket_replaced",
      processes: broker.connections,
      cached: broker.cached,
    }),
    close: () => broker.close(),
  };
}

function after(timers: Timers, delay_ms: number, run: () => void): () => void {
  const cancelled = new AbortController();
  timers.sleep(delay_ms, cancelled.signal).then(() => {
    if (!cancelled.signal.aborted) run();
  });
  return () => cancelled.abort();
}
