/**
 * One agent's runtime: its rooms put together in the order in which they need each other, and taken
 * apart in the reverse one.
 *
 * @module
 */
import { Attestation, type Degradation } from "./attestation/attestation.ts";
import { parseLayers } from "./attestation/layers.ts";
import { systemLooks } from "./attestation/system_looks.ts";
import type { RuntimeConfig } from "./config.ts";
import { isLoopback } from "./flags.ts";
import { type HealthReport, type HealthServer, serveHealth } from "./health/health_server.ts";
import { HEALTH_LIMITS } from "./health/limits.ts";
import { Metrics } from "./health/metrics.ts";
import { IpcServer, type PeerCheck } from "./ipc/ipc_server.ts";
import { PeerFinder } from "./ipc/peer_credentials.ts";
import { bindSocket, directoryAdvice, type SocketFile } from "./ipc/socket_file.ts";
import { handshakeKeys, readTrustedKeys } from "./ipc/trusted_keys.ts";
import { type Libc, openLibc } from "./libc/libc.ts";
import { libcPaths } from "./libc/paths.ts";
import {
  dropPrivileges,
  privilegeRefusal,
  type PrivilegeReport,
  unmeasuredPrivileges,
} from "./libc/privileges.ts";
import type { Log } from "./log.ts";
import type { ClientMessages } from "./parts.ts";
import { openRooms } from "./open_rooms.ts";
import { degradationEvent } from "./pipeline/own_events.ts";
import type { Rooms } from "./rooms.ts";
import { readSecretLine } from "./secret_file.ts";
import type { Timers } from "./timers.ts";
import { VERSION } from "../core/version.ts";

/** What the machine lends the runtime. */
export interface Surroundings {
  readonly timers: Timers;
  readonly log: Log;
  /** Fresh randomness. */
  readonly random: (bytes: number) => Uint8Array;
  /** Opens the rooms behind the socket. @default openRooms */
  readonly rooms?: typeof openRooms;
}

/** A running runtime. */
export interface Runtime {
  readonly socket: string;
  readonly health: { readonly hostname: string; readonly port: number };
  readonly report: () => HealthReport;
  /** Answers what is in flight, keeps what was accepted, and ends. */
  readonly stop: () => Promise<void>;
}

/** What the C library told, or why it could not be asked. */
interface System {
  readonly own_uid: number;
  readonly libc: Libc | undefined;
  readonly privileges: PrivilegeReport;
}

/**
 * Starts a runtime.
 *
 * @throws {Error} saying what could not be had and what to do about it; nothing is left open
 */
export async function startRuntime(
  config: RuntimeConfig,
  surroundings: Surroundings,
): Promise<Runtime> {
  const { timers, log } = surroundings;
  for (const warning of config.warnings) log("warn", warning);
  const system = await systemOf(config, log);
  const keys = handshakeKeys(
    config.ipc.handshake,
    config.agent_id,
    await readTrustedKeys(config.ipc),
  );
  const shown = await readSecretLine(config.health.token_file);
  const token = shown === undefined ? undefined : new TextEncoder().encode(shown);
  const view = new RuntimeView(config, system, timers, log);
  // What is opened first is closed last: health speaks until everything else has ended.
  await using opened = new AsyncDisposableStack();
  const time: { left: AbortSignal } = { left: AbortSignal.abort() };

  const health = serveHealth(config.health, {
    health: () => view.report(),
    ready: () => view.file?.inPlace() === true,
    metrics: () => view.metrics.text(),
    ...token === undefined ? {} : { token },
  });
  opened.defer(() => health.close());
  warnOfReaders(health, token, log);

  const relay = new MessageRelay();
  const rooms = await (surroundings.rooms ?? openRooms)({
    config,
    metrics: view.metrics,
    messages: relay,
    timers,
    log,
    attestation: view.attestation,
    newId: () => crypto.randomUUID(),
    own_uid: system.own_uid,
    ...system.libc === undefined ? {} : { libc: system.libc },
  });
  view.opened(rooms);
  opened.defer(() => rooms.close(time.left));

  const file = await bindSocket(config.ipc.socket, system.own_uid);
  opened.defer(() => file.close());
  const advice = directoryAdvice(config.ipc.socket, system.own_uid);
  if (advice !== undefined) log("warn", advice);
  const server = new IpcServer({
    acceptor: { accept: () => file.listener.accept(), close: () => file.close() },
    connections_max: config.ipc.connections_max,
    peer_check: peerCheckOf(system, file),
    keys,
    decisions: rooms.decisions,
    pipeline: rooms.pipeline,
    metrics: view.metrics,
    timers,
    random: surroundings.random,
    log,
  });
  relay.target = server;
  const serving = server.run();
  opened.defer(async () => {
    await server.stop(time.left);
    await serving;
  });
  view.server = server;
  view.file = file;

  const looking = new AbortController();
  const probing = reprobe(view.attestation, config.layers.reprobe_ms, timers, looking.signal);
  opened.defer(async () => {
    looking.abort();
    await probing;
  });
  const running = opened.move();
  return {
    socket: config.ipc.socket,
    health,
    report: () => view.report(),
    stop: async () => {
      time.left = AbortSignal.timeout(config.shutdown_timeout_ms);
      await running.disposeAsync();
    },
  };
}

/** What `/health` sees of a runtime that is starting, running or stopping. */
class RuntimeView {
  readonly metrics = new Metrics();
  readonly attestation: Attestation;
  server: IpcServer | undefined;
  file: SocketFile | undefined;
  readonly #config: RuntimeConfig;
  readonly #system: System;
  readonly #timers: Timers;
  readonly #started_us: number;
  readonly #degradations: Degradation[] = [];
  #rooms: Rooms | undefined;

  constructor(config: RuntimeConfig, system: System, timers: Timers, log: Log) {
    this.#config = config;
    this.#system = system;
    this.#timers = timers;
    this.#started_us = timers.monotonic_us();
    this.attestation = new Attestation({
      looks: systemLooks(config.layers, system.libc),
      override: parseLayers(config.layers.override),
      version: VERSION,
      platform: `${Deno.build.arch}-${Deno.build.os}`,
      now_ms: timers.now_ms,
      broker: () => ({
        selected: config.broker_socket !== undefined,
        serving: this.#rooms?.brokerServing() === true,
      }),
      onDegraded: (degradation) => this.#degraded(degradation, log),
    });
  }

  /** There is a pipeline now: what was missing from the start goes into it. */
  opened(rooms: Rooms): void {
    this.#rooms = rooms;
    for (const degradation of this.#degradations) this.#record(degradation, rooms);
  }

  report(): HealthReport {
    const { attestation, file, server } = this;
    const rooms = this.#rooms;
    const sound = rooms?.failed() !== true && file?.inPlace() !== false;
    const attested = attestation.report();
    const verified_states = attestation.verifiedStates();
    return {
      status: sound ? "healthy" : "degraded",
      uptime_secs: Math.floor((this.#timers.monotonic_us() - this.#started_us) / 1_000_000),
      events_processed: this.metrics.total("aa_events_received_total"),
      active_layers: attestation.active,
      degraded_layers: attestation.degraded,
      protection: {
        attestation: attested,
        evaluated_at_unix_secs: attested.generated_at_unix_secs,
        verified_states,
        any_coverage_verified: verified_states.length > 0,
      },
      rooms: {
        ipc: {
          state: file === undefined ? "starting" : file.inPlace() ? "serving" : "socket_replaced",
          connections: server?.connections ?? 0,
          connections_max: this.#config.ipc.connections_max,
          handshake: this.#config.ipc.handshake,
          peer_check: this.#system.libc === undefined ? "file_mode" : "kernel",
        },
        privileges: {
          state: this.#system.privileges.state,
          effective: this.#system.privileges.effective,
        },
        degradations: this.#degradations,
        ...rooms?.states(),
      },
    };
  }

  #degraded(degradation: Degradation, log: Log): void {
    if (this.#degradations.push(degradation) > HEALTH_LIMITS.degradations_max) {
      this.#degradations.shift();
    }
    this.metrics.add("aa_layer_degradations_total", 1, { layer: degradation.layer });
    const { layer, reason, remaining_layers } = degradation;
    log("warn", "a protection layer is missing", { layer, reason, remaining_layers });
    if (this.#rooms !== undefined) this.#record(degradation, this.#rooms);
  }

  #record(degradation: Degradation, { pipeline }: Rooms): void {
    const event = degradationEvent(crypto.randomUUID(), degradation);
    pipeline.report(event, { source: "runtime" }).catch(() => {
      this.metrics.add("aa_layer_degradation_events_lost_total");
    });
  }
}

function warnOfReaders(health: HealthServer, token: Uint8Array | undefined, log: Log): void {
  if (isLoopback(health.hostname) || token !== undefined) return;
  log("warn", "whoever reaches this address may read /health: use --metrics-token-file", {
    address: `${health.hostname}:${health.port}`,
  });
}

async function systemOf(config: RuntimeConfig, log: Log): Promise<System> {
  if (!config.ipc.peer_credentials) return withoutLibc("--no-peer-credentials was given");
  const paths = config.ipc.libc === undefined
    ? libcPaths(Deno.build.os, Deno.build.arch)
    : [config.ipc.libc];
  if (paths.length === 0) {
    log("warn", "this system does not say who a peer is: the socket's file mode alone protects it");
    return withoutLibc("not Linux");
  }
  const opened = await openLibc(paths);
  if (!opened.ok) {
    throw new Error(
      `the kernel cannot be asked who a peer is: ${opened.reason}; name the library with ` +
        "--libc, or do without by --no-peer-credentials",
    );
  }
  const privileges = dropPrivileges(opened.libc);
  if (privileges.state === "privileged") {
    if (!config.allow_privileged) throw new Error(privilegeRefusal(privileges));
    log("warn", "the runtime is privileged", { effective: privileges.effective });
  }
  return { own_uid: opened.libc.geteuid(), libc: opened.libc, privileges };
}

function withoutLibc(why: string): System {
  return { own_uid: Deno.uid() ?? -1, libc: undefined, privileges: unmeasuredPrivileges(why) };
}

function peerCheckOf({ libc, own_uid }: System, file: SocketFile): PeerCheck {
  if (libc === undefined) return { kind: "file_mode" };
  const finder = new PeerFinder(libc, file.bound_path);
  return { kind: "kernel", own_uid, newest: () => finder.newest() };
}

async function reprobe(
  attestation: Attestation,
  interval_ms: number,
  timers: Timers,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await timers.sleep(interval_ms, signal);
    if (!signal.aborted) attestation.reprobe();
  }
}

/** Rooms are opened before the socket that carries their messages. */
class MessageRelay implements ClientMessages {
  target: ClientMessages | undefined;

  readonly violation: ClientMessages["violation"] = (id, violation) => {
    this.target?.violation(id, violation);
  };
  readonly approvalDecided: ClientMessages["approvalDecided"] = (id, decision) => {
    this.target?.approvalDecided(id, decision);
  };
}
