/**
 * The runtime's command line, parsed and checked. Flags only: the variables of the reference are
 * turned into flags before (`environment.ts`), so that what the process may do can be derived from
 * what it was told (`permissions.ts`).
 *
 * @module
 */
import { HELP } from "./help.ts";
import {
  booleans,
  FlagError,
  type Flags,
  fromBase,
  integerIn,
  oneOf,
  optional,
  parseGateway,
  parseListen,
  pathOf,
  readFlags,
} from "./flags.ts";
import type { HandshakeMode } from "./ipc/trusted_keys.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";

export { HELP };

/** Where the gateway is, as a channel's target and as a grant. */
export interface GatewayAddress {
  /** `host:port` or `unix:/path`, for `Channel`. */
  readonly target: string;
  readonly tls: boolean;
  /** What the process is granted: `host:port`, or the socket's path. */
  readonly grant: { readonly kind: "tcp" | "unix"; readonly value: string };
}

/** How the runtime asks the gateway. */
export interface GatewayConfig {
  readonly address: GatewayAddress;
  readonly timeout_ms: number;
  /** Opted into by name: queries fall back to local rules while the gateway is away. */
  readonly fail_open: boolean;
  /** PEM file of the authority that signed the gateway's certificate. */
  readonly ca_file?: string;
  /** File with the agent's credential token; absent: learnt from its first query. */
  readonly token_file?: string;
}

/** How clients of the socket are known. */
export interface IpcConfig {
  readonly socket: string;
  readonly connections_max: number;
  readonly handshake: HandshakeMode;
  /** Public keys as given; read when the runtime starts. */
  readonly trusted_keys: readonly string[];
  readonly trusted_keys_file?: string;
  /** Ask the kernel who a peer is. Off: the socket's file mode alone protects it. */
  readonly peer_credentials: boolean;
  /** The C library, where it lies in none of the usual places. */
  readonly libc?: string;
}

/** Bounds and times of the pipeline. */
export interface PipelineConfig {
  readonly input_buffer: number;
  readonly batch_size: number;
  readonly flush_interval_ms: number;
  readonly broadcast_capacity: number;
  readonly field_bytes_max: number;
  readonly correlation_window_ms: number;
  readonly correlation_interval_ms: number;
}

/** Where `/health`, `/ready` and `/metrics` are. */
export interface HealthConfig {
  readonly hostname: string;
  readonly port: number;
  /** File with a token that readers must show. */
  readonly token_file?: string;
}

/** Everything the runtime was told. */
export interface RuntimeConfig {
  readonly agent_id: string;
  readonly team_id: string;
  readonly org_id: string;
  readonly ipc: IpcConfig;
  readonly pipeline: PipelineConfig;
  readonly health: HealthConfig;
  /** Absent: local policy alone; with none of that either, the runtime is unconfigured and denies. */
  readonly gateway?: GatewayConfig;
  /** Absent: disabled by name. `defaulted`: nobody named it, and it may be missing. */
  readonly local_policy?: { readonly path: string; readonly defaulted: boolean };
  readonly nats?: {
    readonly config_file: string;
    readonly server: string;
    /** Files that its table `tls` may name. */
    readonly tls_files: readonly string[];
  };
  readonly state_dir: string;
  /** The durable record. */
  readonly spool: string;
  /** Where Deno agents ask for permissions; absent: no broker. */
  readonly broker_socket?: string;
  /** File in which an operator gives orders at this runtime; absent: nobody does. */
  readonly orders?: string;
  readonly layers: LayersConfig;
  readonly shutdown_timeout_ms: number;
  readonly allow_privileged: boolean;
  readonly log_level: LogLevel;
  /** What was ignored before it became a flag, for the log. */
  readonly warnings: readonly string[];
  readonly stop_on_stdin_end: boolean;
}

/** What layer detection looks at. */
export interface LayersConfig {
  /** Replaces detection; absent: detect. */
  readonly override?: string;
  readonly ebpf_socket: string;
  /** Absolute places where `aa-proxy` may lie. */
  readonly proxy_candidates: readonly string[];
  readonly reprobe_ms: number;
}

/** What a command line asks for. */
export type ParsedArguments =
  | { readonly action: "run"; readonly config: RuntimeConfig }
  | { readonly action: "help" | "version" }
  | { readonly action: "refuse"; readonly message: string };

/**
 * Parses the command line.
 *
 * @param argv Words after the program's name; `--flag value` and `--flag=value` are equal.
 */
export function parseArguments(argv: readonly string[]): ParsedArguments {
  try {
    const flags = readFlags(argv);
    if (flags.has("help")) return { action: "help" };
    if (flags.has("version")) return { action: "version" };
    return { action: "run", config: configFrom(flags) };
  } catch (error) {
    if (error instanceof FlagError) return { action: "refuse", message: error.message };
    throw error;
  }
}

function configFrom(flags: Flags): RuntimeConfig {
  const agent_id = agentIdFrom(flags);
  const state_dir = pathOf(flags, "state-dir") ??
    fromBase(flags, `.aasm/runtime-${agent_id}`);
  return {
    agent_id,
    team_id: optional(flags, "team-id") ?? "",
    org_id: optional(flags, "org-id") ?? "",
    ipc: ipcFrom(flags, agent_id),
    pipeline: pipelineFrom(flags),
    health: healthFrom(flags),
    ...gatewayFrom(flags),
    ...localPolicyFrom(flags),
    ...natsFrom(flags),
    state_dir,
    spool: inOwnDirectory("spool", pathOf(flags, "spool")) ?? `${state_dir}/spool.db`,
    ...present("broker_socket", inOwnDirectory("broker-socket", pathOf(flags, "broker-socket"))),
    ...present("orders", pathOf(flags, "orders")),
    layers: {
      ...present("override", optional(flags, "layers")),
      ebpf_socket: pathOf(flags, "ebpf-socket") ?? "/run/aa-ebpf-loaderd.sock",
      proxy_candidates: flags.all("proxy-candidate"),
      reprobe_ms: integerIn(flags, "reprobe-ms", 1_000, 3_600_000, 30_000),
    },
    shutdown_timeout_ms: integerIn(flags, "shutdown-timeout-secs", 1, 3_600, 30) * 1_000,
    allow_privileged: booleans(flags, "allow-privileged"),
    log_level: oneOf(flags, "log-level", LOG_LEVELS, "info"),
    warnings: flags.all("warning"),
    stop_on_stdin_end: booleans(flags, "stop-on-stdin-end"),
  };
}

/**
 * The folders of these two are granted as a whole, for the files that appear beside them; such a
 * grant must not be everybody's folder, or the one that the runtime was started in.
 */
function inOwnDirectory(
  flag: "spool" | "broker-socket",
  path: string | undefined,
): string | undefined {
  if (path === undefined) return undefined;
  const folder = /^(.*)\/[^/]+$/s.exec(path)?.[1];
  const shared = ["", ".", "..", "/tmp", "/var/tmp", "/dev/shm", "/run", "/etc"];
  if (folder !== undefined && !shared.includes(folder.replace(/\/+$/, ""))) return path;
  throw new FlagError(
    `flag \`--${flag}\` cannot be \`${path}\`: it needs a directory of its own, mode 0700, ` +
      "that the runtime is granted as a whole",
  );
}

/** Names the socket, the spool and the handshake key (contract `wire` §3.1). */
function agentIdFrom(flags: Flags): string {
  const id = optional(flags, "agent-id");
  if (id === undefined || id.trim() === "") {
    throw new FlagError(
      "no agent is named: give `--agent-id ID`, or AA_AGENT_ID to `deno task runtime`",
    );
  }
  // deno-lint-ignore no-control-regex
  const bad = id.includes("/") || id.includes("..") || /[,\u0000-\u001f\u007f]/.test(id);
  if (bad || id.length > 256) {
    throw new FlagError(
      `flag \`--agent-id\` cannot be \`${id.slice(0, 64)}\`: it becomes part of file names, ` +
        "so that it holds no `/`, `..`, comma or control character and at most 256 characters",
    );
  }
  return id;
}

function ipcFrom(flags: Flags, agent_id: string): IpcConfig {
  const handshake = oneOf(flags, "handshake", ["public_id", "installed", "either"], "public_id");
  const trusted_keys = flags.all("trust-agent-key");
  const file = pathOf(flags, "trust-agent-keys-file");
  if (handshake === "installed" && trusted_keys.length === 0 && file === undefined) {
    throw new FlagError(
      "`--handshake installed` takes no client without `--trust-agent-key` or `--trust-agent-keys-file`",
    );
  }
  if (handshake === "public_id" && (trusted_keys.length > 0 || file !== undefined)) {
    throw new FlagError(
      "trusted keys are not looked at with `--handshake public_id`: add `--handshake installed` or `either`",
    );
  }
  return {
    socket: pathOf(flags, "socket") ?? `/tmp/aa-runtime-${agent_id}.sock`,
    connections_max: integerIn(flags, "max-connections", 1, 1_024, 64),
    handshake,
    trusted_keys,
    ...present("trusted_keys_file", file),
    peer_credentials: !booleans(flags, "no-peer-credentials"),
    ...present("libc", pathOf(flags, "libc")),
  };
}

function pipelineFrom(flags: Flags): PipelineConfig {
  return {
    input_buffer: integerIn(flags, "pipeline-input-buffer", 1, 1_000_000, 10_000),
    batch_size: integerIn(flags, "pipeline-batch-size", 1, 10_000, 100),
    flush_interval_ms: integerIn(flags, "pipeline-flush-interval-ms", 1, 60_000, 100),
    broadcast_capacity: integerIn(flags, "pipeline-broadcast-capacity", 1, 1_000_000, 1_024),
    field_bytes_max: integerIn(flags, "field-bytes-max", 1, 8_388_608, 65_536),
    correlation_window_ms: integerIn(flags, "correlation-window-ms", 1, 600_000, 5_000),
    correlation_interval_ms: integerIn(flags, "correlation-interval-ms", 1, 600_000, 1_000),
  };
}

function healthFrom(flags: Flags): HealthConfig {
  const listen = parseListen("metrics-listen", optional(flags, "metrics-listen"));
  return { ...listen, ...present("token_file", pathOf(flags, "metrics-token-file")) };
}

function gatewayFrom(flags: Flags): { readonly gateway?: GatewayConfig } {
  const text = optional(flags, "gateway");
  const fail_open = booleans(flags, "gateway-fail-open");
  const timeout_ms = integerIn(flags, "gateway-timeout-ms", 1, 600_000, 5_000);
  const ca_file = pathOf(flags, "gateway-ca");
  const token_file = pathOf(flags, "gateway-token-file");
  if (text === undefined) {
    if (ca_file !== undefined || token_file !== undefined) {
      throw new FlagError("`--gateway-ca` and `--gateway-token-file` need `--gateway URL`");
    }
    return {};
  }
  const address = parseGateway(text, booleans(flags, "allow-remote-plaintext"));
  if (ca_file !== undefined && !address.tls) {
    throw new FlagError("`--gateway-ca` needs a gateway with https://");
  }
  return {
    gateway: {
      address,
      timeout_ms,
      fail_open,
      ...present("ca_file", ca_file),
      ...present("token_file", token_file),
    },
  };
}

function localPolicyFrom(flags: Flags): Pick<RuntimeConfig, "local_policy"> {
  if (booleans(flags, "no-local-policy")) return {};
  const path = pathOf(flags, "local-policy");
  return {
    local_policy: path === undefined
      ? { path: "/etc/aa/policy.toml", defaulted: true }
      : { path, defaulted: false },
  };
}

function natsFrom(flags: Flags): Pick<RuntimeConfig, "nats"> {
  const config_file = pathOf(flags, "nats-config");
  const server = optional(flags, "nats-server");
  const tls_files = (["nats-ca", "nats-cert", "nats-key"] as const)
    .flatMap((flag) => pathOf(flags, flag) ?? []);
  if (config_file === undefined) {
    if (server !== undefined) throw new FlagError("`--nats-server` needs `--nats-config FILE`");
    if (tls_files.length > 0) {
      throw new FlagError("`--nats-ca`, `--nats-cert` and `--nats-key` need `--nats-config FILE`");
    }
    return {};
  }
  const { hostname, port } = parseListen("nats-server", server ?? "127.0.0.1:4222");
  return {
    nats: {
      config_file,
      server: `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`,
      tls_files,
    },
  };
}

function present<K extends string>(
  key: K,
  value: string | undefined,
): { readonly [P in K]?: string } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: string };
}
