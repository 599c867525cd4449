/**
 * The broker as a room of the runtime: bound, served, recorded, told of, ended.
 *
 * @module
 */
import { dirname } from "node:path";
import { PeerFinder } from "../ipc/peer_credentials.ts";
import { bindSocket, type SocketFile } from "../ipc/socket_file.ts";
import { AGENT_CONNECTED, AGENT_DISCONNECTED, AGENT_VIOLATION } from "../../proto/runtime_log.ts";
import type { Libc } from "../libc/libc.ts";
import type { Log } from "../log.ts";
import type { DecisionsPart, MetricsPart, Origin, PipelinePart } from "../parts.ts";
import type { Timers } from "../timers.ts";
import { Broker, type BrokerAgent, type BrokerEvent } from "./broker.ts";
import { denoFiles } from "./deno_files.ts";
import { libcFiles } from "./libc_files.ts";
import { repeatEvents } from "./repeat_report.ts";
import type { RepeatClock, Repeats } from "./repeats.ts";

/** What the room is opened with. */
export interface OpenBrokerOptions {
  /** Absolute path of the socket; its directory is made when it is not there. */
  readonly socket: string;
  readonly agent: BrokerAgent;
  readonly decisions: DecisionsPart;
  readonly pipeline: PipelinePart;
  readonly metrics: MetricsPart;
  readonly timers: Timers;
  readonly log: Log;
  readonly own_uid: number;
  /**
   * Tells who connects, where links lead and where processes are. Without it everyone who passes
   * the socket's file mode may ask, and a path is followed only where this process may read.
   */
  readonly libc?: Libc;
  /** Absolute paths that no agent touches, whatever its policy. */
  readonly protected_paths: readonly string[];
  /** Fresh UUIDs. */
  readonly newId: () => string;
}

/** How the room stands. */
export interface BrokerStatus {
  /** `socket_replaced`: something else is at its path, so no new agent reaches it. */
  readonly state: "serving" | "socket_replaced" | "closed";
  readonly processes: number;
  readonly cached_answers: number;
  /** Connections that spoke something other than Deno's protocol. */
  readonly violations: number;
}

/** The open room. */
export interface OpenBroker extends AsyncDisposable {
  readonly status: BrokerStatus;
}

/** Directory in which Deno makes temporary files when nothing else is said. */
const TEMP_DIRECTORY = "/tmp";

/**
 * Opens the room.
 *
 * @throws {Error} saying why the socket cannot be served, and what to do about it
 */
export async function openBroker(options: OpenBrokerOptions): Promise<OpenBroker> {
  const { socket, own_uid, libc, metrics, log } = options;
  await privateDirectory(dirname(socket), own_uid);
  const file = await bindSocket(socket, own_uid);
  const peers = libc === undefined ? {} : peersOf(libc, file);
  let violations = 0;
  const broker = new Broker(file, {
    agent: options.agent,
    decisions: options.decisions,
    recordRepeats: (repeats) => reportRepeats(options, repeats),
    clock: clockOf(options.timers),
    files: libc === undefined ? denoFiles : libcFiles(libc),
    temp_directory: TEMP_DIRECTORY,
    protected_paths: [...options.protected_paths, dirname(socket)],
    ...peers,
    uid: own_uid,
    metrics,
    onEvent: (event) => {
      if (event.event === "ended" && event.end.kind === "violation") violations += 1;
      tell(log, event);
    },
  });
  let closed = false;
  return {
    get status(): BrokerStatus {
      const serving = file.inPlace() ? "serving" : "socket_replaced";
      return {
        state: closed ? "closed" : serving,
        processes: broker.connections,
        cached_answers: broker.cached,
        violations,
      };
    },
    [Symbol.asyncDispose]: async () => {
      closed = true;
      await broker.close();
    },
  };
}

/** Made for this user alone; one that is there must be this user's and closed to everyone else. */
async function privateDirectory(path: string, own_uid: number): Promise<void> {
  await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  const { isDirectory, mode, uid } = await Deno.lstat(path);
  const fault = !isDirectory
    ? "it is not a directory"
    : uid !== own_uid
    ? "it belongs to another user"
    : mode !== null && (mode & 0o077) !== 0
    ? `others may enter it (mode ${(mode & 0o777).toString(8)}): \`chmod 700\` it`
    : undefined;
  if (fault === undefined) return;
  throw new Error(
    `the permission broker cannot be served in \`${path}\`: ${fault}, or name a socket in another ` +
      "directory with --broker-socket",
  );
}

function peersOf(libc: Libc, file: SocketFile) {
  const finder = new PeerFinder(libc, file.bound_path);
  return { peer: () => finder.newest() };
}

/** Counts of repeated answers belong to no one process. */
const ORIGIN: Origin = { source: "broker", pid: 0 };

async function reportRepeats(options: OpenBrokerOptions, repeats: Repeats): Promise<void> {
  for (const event of repeatEvents(options.agent, repeats, options.newId)) {
    await options.pipeline.report(event, ORIGIN);
  }
}

function clockOf(timers: Timers): RepeatClock {
  return {
    now_ms: timers.now_ms,
    after: (delay_ms, run) => {
      const cancelled = new AbortController();
      void timers.sleep(delay_ms, cancelled.signal).then(() => {
        if (!cancelled.signal.aborted) run();
      });
      return () => cancelled.abort();
    },
  };
}

function tell(log: Log, event: BrokerEvent): void {
  switch (event.event) {
    case "connected":
      return log("info", AGENT_CONNECTED, pidOf(event));
    case "turned_away":
      return log("warn", "a process was turned away from the broker", { why: event.why });
    case "ended":
      if (event.end.kind === "closed") return log("info", AGENT_DISCONNECTED, pidOf(event));
      return log("error", AGENT_VIOLATION, { ...pidOf(event), why: event.end.why });
  }
}

function pidOf({ pid }: { readonly pid?: number }): { readonly pid?: number } {
  return pid === undefined ? {} : { pid };
}
