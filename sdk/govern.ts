/**
 * Starts a governed agent: finds the way to the answers, proves who the agent is, and refuses to
 * start where nobody would decide.
 *
 * @module
 */
import { publicIdKey, seededKey } from "@agent-assembly/proto/ipc";
import type { CheckClient } from "./check_client.ts";
import { isDeno, variable } from "./environment.ts";
import { ConfigurationError, GatewayUnavailableError } from "./errors.ts";
import type { EnforcementMode } from "./enforcement_mode.ts";
import type { GovernedAgent } from "./governed_agent.ts";
import { type GovernOptions, governWith } from "./govern_with.ts";
import { AgentKey } from "./identity/agent_key.ts";
import { identityDirectory, IdentityStore } from "./identity/store.ts";
import { GatewayClient } from "./transports/gateway/gateway_client.ts";
import { registerAgent, type Registration } from "./transports/gateway/registration.ts";
import type { GatewayRpc } from "./transports/gateway/rpc.ts";
import { TRANSPORT_LIMITS } from "./transports/limits.ts";
import { SocketClient } from "./transports/socket/socket_client.ts";
import { requireOwnSocket } from "./transports/socket/socket_owner.ts";
import { SDK_VERSION } from "./version.ts";

/** Where the gateway listens unless something says otherwise (contract `interception` §3). */
const GATEWAY_ENDPOINT_DEFAULT = "http://127.0.0.1:50051";

/** How to start a governed agent. At most one of `client`, `socket`, `grpc` and `http` is given. */
export interface StartOptions extends Omit<GovernOptions, "agent" | "client"> {
  /** Name of the agent. @default the variable `AA_AGENT_ID` */
  readonly agent_id?: string;
  /** Tenant organisation; may be empty. */
  readonly org_id?: string;
  /** Team inside it; may be empty. */
  readonly team_id?: string;
  /** A client that exists; nothing is connected or registered. */
  readonly client?: CheckClient;
  /** Path of the runtime's socket; `true`: `AA_RUNTIME_SOCKET`, or the conventional place. */
  readonly socket?: string | true;
  /** The gateway's gRPC address, e.g. `http://127.0.0.1:50051`; on Deno. */
  readonly grpc?: string;
  /** The gateway's web address, e.g. `https://gateway.example:7391`. */
  readonly http?: string;
  /** How the socket and its runtime are trusted. */
  readonly runtime?: RuntimeOptions;
  /** How the agent registers with a gateway. */
  readonly registration?: RegisterOptions;
}

/** Options of the way over the socket. */
export interface RuntimeOptions {
  /**
   * The agent's credential, or where it is after it was rotated: a runtime passes on what its agent
   * shows. Without one a registered agent is refused as `missing credential token`.
   *
   * @default none: for agents that never registered
   */
  readonly token?: string | (() => string | undefined);
  /** Seed of an installed handshake key, 32 bytes. @default the key anyone can make from the id */
  readonly key_seed?: Uint8Array;
  /** Speak to a runtime of the reference. @default false */
  readonly reference_protocol?: boolean;
  /**
   * Gateway to register with first, as `registration` says: the runtime then learns the agent's
   * credential from its questions. Absent: the agent asks under its plain name, without one.
   */
  readonly register_over?: { readonly grpc: string } | { readonly http: string };
  /** Who must own the socket. @default the user of this process */
  readonly socket_owner_uid?: number;
}

/** Options of the ways to a gateway. */
export interface RegisterOptions {
  /**
   * `durable`: a key kept in `${AASM_STATE_DIR:-$HOME/.aasm}/identity`; `ephemeral`: a new agent at
   * each start; or a key of your own.
   *
   * @default "durable"
   */
  readonly identity?: "durable" | "ephemeral" | AgentKey;
  /** Directory of durable keys. */
  readonly identity_directory?: string;
  /** Operator's enrolment token, where the gateway asks for one. */
  readonly enrolment?: string;
  /** e.g. `langgraph`. */
  readonly framework?: string;
  /** Tools it declares. */
  readonly tool_names?: readonly string[];
  /** Risk it declares. */
  readonly risk_tier?: "low" | "medium" | "high" | "critical";
  /** Id of the agent that started it. */
  readonly parent_agent_id?: string;
  /** Why it was started. */
  readonly delegation_reason?: string;
  /** Tool that started it. */
  readonly spawned_by_tool?: string;
  /** A claim; only `enforce` has effect. */
  readonly enforcement_mode?: EnforcementMode;
  /** End the registration with the agent. @default true for an ephemeral identity */
  readonly deregister_on_shutdown?: boolean;
  /** Lets the credential travel unprotected to another machine. @default false */
  readonly allow_plaintext?: boolean;
}

/**
 * Starts a governed agent.
 *
 * With none of `client`, `socket`, `grpc` and `http`: the variables `AA_RUNTIME_SOCKET`, then
 * `AA_GATEWAY_ENDPOINT`; then the runtime's socket at its conventional place, when it is there; then,
 * on Deno, the gateway at `http://127.0.0.1:50051`.
 *
 * @throws {ConfigurationError} when nothing can decide, or an option is not sound.
 * @throws {GatewayUnavailableError} when the runtime or the gateway cannot be reached.
 * @throws {RegistrationError} when the gateway does not take the agent.
 * @throws {IdentityUnavailableError} when the stored key cannot be trusted.
 */
export async function govern(options: StartOptions): Promise<GovernedAgent> {
  return governWith(await connect(options));
}

/** The same, up to the agent itself: what it is made of. */
export async function connect(options: StartOptions): Promise<GovernOptions> {
  const agent_id = options.agent_id ?? variable("AA_AGENT_ID");
  if (agent_id === undefined || agent_id.trim() === "") {
    throw new ConfigurationError("`agent_id` is missing: give it, or set `AA_AGENT_ID`");
  }
  const { client, socket, grpc, http, org_id, team_id } = options;
  const given = [client, socket, grpc, http].filter((one) => one !== undefined);
  if (given.length > 1) {
    throw new ConfigurationError("give one of `client`, `socket`, `grpc` and `http`, not several");
  }
  const agent = {
    agent_id,
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
  };
  const common = { ...options, agent };
  if (client !== undefined) return { ...common, client };
  const way = await wayOf(options, agent_id);
  if (way.kind === "socket") {
    return { ...common, ...await overSocket(way.path, agent_id, options) };
  }
  const { client: registered, agent: triple } = await overGateway(way, agent_id, options);
  return { ...common, client: registered, agent: triple };
}

type Way =
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "grpc" | "http"; readonly url: string };

async function wayOf({ socket, grpc, http }: StartOptions, agent_id: string): Promise<Way> {
  const from_variable = variable("AA_RUNTIME_SOCKET");
  const path = typeof socket === "string" ? socket : from_variable ?? conventional(agent_id);
  if (socket !== undefined) return { kind: "socket", path };
  if (http !== undefined) return { kind: "http", url: http };
  if (grpc !== undefined) return overGrpc(grpc);
  if (from_variable !== undefined) return { kind: "socket", path };
  const endpoint = variable("AA_GATEWAY_ENDPOINT");
  if (endpoint !== undefined) return overGrpc(endpoint);
  try {
    await requireOwnSocket(path);
    return { kind: "socket", path };
  } catch (error) {
    // A socket that cannot be trusted is told of; one that is not there is looked past.
    if (!(error instanceof GatewayUnavailableError)) throw error;
  }
  if (isDeno()) return { kind: "grpc", url: GATEWAY_ENDPOINT_DEFAULT };
  throw new ConfigurationError(
    `no runtime listens at \`${path}\`: start it, or say with \`socket\` or \`http\` who decides; ` +
      "without anybody every act would pass",
  );
}

/** The runtime's socket where nothing else is said (contract `wire` §3.1). */
function conventional(agent_id: string): string {
  if (agent_id.includes("/") || agent_id.includes("..")) {
    throw new ConfigurationError(
      "an `agent_id` with `/` or `..` has no socket at the conventional place: give `socket`",
    );
  }
  return `/tmp/aa-runtime-${agent_id}.sock`;
}

function overGrpc(url: string): Way {
  if (isDeno()) return { kind: "grpc", url };
  throw new ConfigurationError(
    "gRPC is spoken on Deno: here use `http` with the gateway's `--web-listen`, or the runtime's `socket`",
  );
}

async function overSocket(
  path: string,
  agent_id: string,
  options: StartOptions,
): Promise<{ client: CheckClient; agent?: GovernOptions["agent"] }> {
  const { runtime = {}, onNotice } = options;
  const { key_seed, reference_protocol, socket_owner_uid, register_over } = runtime;
  if (runtime.token !== undefined && register_over !== undefined) {
    throw new ConfigurationError("give `token` or `register_over`, not both");
  }
  const registered = register_over === undefined
    ? undefined
    : await registeredOver(gatewayWay(register_over), agent_id, options);
  // The runtime asks the gateway from here on.
  await registered?.rpc.close();
  const token = registered?.registration.token ?? runtime.token;
  const client = new SocketClient({
    path,
    key: key_seed === undefined ? publicIdKey(agent_id) : seededKey(key_seed),
    sdk_version: SDK_VERSION,
    verify: () => requireOwnSocket(path, socket_owner_uid),
    ...(token === undefined ? {} : { token: typeof token === "string" ? () => token : token }),
    ...(reference_protocol === undefined ? {} : { reference_protocol }),
    ...(onNotice === undefined ? {} : { onNotice }),
  });
  await client.connect();
  return registered === undefined ? { client } : { client, agent: registered.registration.agent };
}

function gatewayWay(
  over: NonNullable<RuntimeOptions["register_over"]>,
): Extract<Way, { url: string }> {
  if ("http" in over) return { kind: "http", url: over.http };
  const way = overGrpc(over.grpc);
  if (way.kind === "socket") throw new ConfigurationError("a gateway's address is expected");
  return way;
}

interface Registered {
  readonly rpc: GatewayRpc;
  readonly registration: Registration;
}

async function registeredOver(
  way: Extract<Way, { url: string }>,
  agent_id: string,
  options: StartOptions,
): Promise<Registered> {
  const { registration = {}, org_id, team_id } = options;
  const { identity = "durable", allow_plaintext } = registration;
  const key = await keyOf(identity, agent_id, registration.identity_directory);
  const rpc = await rpcOf(way, allow_plaintext);
  try {
    const registered = await registerAgent(rpc, {
      ...registration,
      key,
      name: agent_id,
      sdk_version: SDK_VERSION,
      ...(org_id === undefined ? {} : { org_id }),
      ...(team_id === undefined ? {} : { team_id }),
    }, { timeout_ms: TRANSPORT_LIMITS.connect_timeout_ms, signal: new AbortController().signal });
    return { rpc, registration: registered };
  } catch (error) {
    await rpc.close();
    throw error;
  }
}

async function overGateway(
  way: Extract<Way, { url: string }>,
  agent_id: string,
  options: StartOptions,
): Promise<{ client: CheckClient; agent: GovernOptions["agent"] }> {
  const { registration: terms = {}, onNotice } = options;
  const { rpc, registration } = await registeredOver(way, agent_id, options);
  const client = GatewayClient.registered(registration, {
    rpc,
    deregister_on_close: terms.deregister_on_shutdown ?? terms.identity === "ephemeral",
    ...(onNotice === undefined ? {} : { onNotice }),
  });
  return { client, agent: registration.agent };
}

async function rpcOf(
  { kind, url }: Extract<Way, { url: string }>,
  allow_plaintext = false,
): Promise<GatewayRpc> {
  // Loaded when it is wanted: an agent with a runtime needs neither.
  if (kind === "http") {
    const { HttpRpc } = await import("./transports/gateway/http_rpc.ts");
    return new HttpRpc({ url, allow_plaintext });
  }
  const { GrpcRpc } = await import("./transports/gateway/grpc_rpc.ts");
  return new GrpcRpc({ url, allow_plaintext });
}

async function keyOf(
  identity: NonNullable<RegisterOptions["identity"]>,
  agent_id: string,
  directory: string | undefined,
): Promise<AgentKey> {
  if (identity instanceof AgentKey) return identity;
  if (identity === "ephemeral") return AgentKey.ephemeral();
  const place = directory ?? identityDirectory(variable);
  if (place === undefined) {
    throw new ConfigurationError(
      "there is no place for the agent's key: set `AASM_STATE_DIR` or `HOME`, or say " +
        '`identity: "ephemeral"` to be a new agent at each start',
    );
  }
  return await new IdentityStore({ directory: place }).key(agent_id);
}

export { governWith };
