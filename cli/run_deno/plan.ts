/**
 * What `aasm run deno` starts, and with which words: pure, so that the permissions of the process
 * that starts it all can be derived from the same.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { CommandNamed, GlobalFlags } from "../arguments/parse.ts";
import type { GatewayAddress } from "../arguments/values.ts";

/** The launcher of the suite's programs: each gets exactly the permissions its flags need. */
export const LAUNCHER = fileURLToPath(new URL("../../launch/main.ts", import.meta.url));

/** Files and directories of one run, all absolute. */
export interface RunPlaces {
  /**
   * Mode 0700; made when it is not there. The broker refuses everything beside its socket to agents
   * whatever their policy, so the run's keys and records lie here.
   */
  readonly directory: string;
  readonly broker: string;
  readonly runtime_socket: string;
  readonly runtime_state: string;
  readonly gateway_socket: string;
  readonly gateway_state: string;
  /** Where the runtime of a registered agent finds its token; mode 0600. */
  readonly agent_token: string;
}

/** Longest path a Unix socket may have, less what binding adds to it for a moment. */
const SOCKET_PATH_BYTES_MAX = 100;

/** Where one agent's run keeps what it needs. */
export function placesOf(command: CommandNamed<"run deno">, cwd: string): RunPlaces {
  const directory = resolve(cwd, stateDirectory(command));
  return {
    directory,
    broker: command.broker === undefined
      ? join(directory, "broker.sock")
      : resolve(cwd, command.broker),
    runtime_socket: join(directory, "runtime.sock"),
    runtime_state: join(directory, "runtime"),
    gateway_socket: join(directory, "gateway.sock"),
    gateway_state: join(directory, "gateway"),
    agent_token: join(directory, "agent.token"),
  };
}

/** What a run keeps, as given or beside the operator's other files. */
export function stateDirectory(command: CommandNamed<"run deno">): string {
  return command.state_dir ?? join(".aasm", "run", shortName(agentOf(command)));
}

/** A did:key and a working directory together are longer than a socket's path may be. */
const NAME_CHARS_MAX = 20;

function shortName(agent: string): string {
  return agent.length <= NAME_CHARS_MAX ? agent : agent.slice(-NAME_CHARS_MAX);
}

/** The agent's id; a run without one is `deno`. */
export function agentOf(command: CommandNamed<"run deno">): string {
  return command.agent ?? "deno";
}

/** A path that is too long for a socket, if there is one. */
export function tooLong({ broker, runtime_socket, gateway_socket }: RunPlaces): string | undefined {
  const bytes = (path: string) => new TextEncoder().encode(path).length;
  return [broker, runtime_socket, gateway_socket].find((path) =>
    bytes(path) > SOCKET_PATH_BYTES_MAX
  );
}

/** Words for the launcher: a gateway of this run's own, under a policy file. */
export function gatewayWords(policy: string, places: RunPlaces, cwd: string): string[] {
  return [
    "gateway",
    `--policy=${resolve(cwd, policy)}`,
    `--socket=${places.gateway_socket}`,
    `--state-dir=${places.gateway_state}`,
    "--no-facts",
  ];
}

/** Words for the launcher: the agent's runtime with its broker. */
export function runtimeWords(
  command: CommandNamed<"run deno">,
  flags: Pick<GlobalFlags, "gateway" | "tls_ca">,
  places: RunPlaces,
  cwd: string,
): string[] {
  const own = command.policy !== undefined;
  const address = own ? `unix:${places.gateway_socket}` : urlOf(flags.gateway, flags.tls_ca);
  return [
    "runtime",
    `--agent-id=${agentOf(command)}`,
    ...given("--team-id", command.team),
    ...given("--org-id", command.org),
    `--gateway=${address}`,
    ...given("--gateway-ca", own ? undefined : absolute(flags.tls_ca, cwd)),
    ...given("--gateway-token-file", absolute(command.agent_token_file, cwd)),
    `--socket=${places.runtime_socket}`,
    `--state-dir=${places.runtime_state}`,
    `--broker-socket=${places.broker}`,
    "--no-local-policy",
    "--metrics-listen=127.0.0.1:0",
    ...command.allow_privileged ? ["--allow-privileged"] : [],
  ];
}

function urlOf(address: GatewayAddress, tls_ca: string | undefined): string {
  if (address.kind === "unix") return `unix:${resolve(address.path)}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${tls_ca === undefined ? "http" : "https"}://${host}:${address.port}`;
}

function absolute(path: string | undefined, cwd: string): string | undefined {
  return path === undefined ? undefined : resolve(cwd, path);
}

function given(flag: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`${flag}=${value}`];
}

/** Flags of Deno under which a program of the suite is launched from here. */
export function launcherArguments(deno: string, words: readonly string[]): string[] {
  return [
    "run",
    "--no-prompt",
    "--no-remote",
    "--quiet",
    `--allow-run=${deno}`,
    // Everything the programs need stands in their flags; their variables are for operators.
    "--ignore-env",
    LAUNCHER,
    ...words,
    // Nothing of a run outlives the command, whatever ends that.
    "--stop-on-stdin-end",
  ];
}

/** What identifies one run in the agent's environment. */
export interface RunIds {
  readonly trace_id: string;
  readonly session_id: string;
}

/**
 * Variables of the agent (contract `wire` §7.3). `AA_REGISTRATION_ID` is left out: this run
 * registers nobody.
 */
export function agentVariables(
  command: CommandNamed<"run deno">,
  places: RunPlaces,
  ids: RunIds,
  cwd: string,
): Record<string, string> {
  const agent = agentOf(command);
  return {
    DENO_PERMISSION_BROKER_PATH: places.broker,
    AA_AGENT_ID: agent,
    ...(agent.startsWith("did:") ? { AA_AGENT_DID: agent } : {}),
    AA_TRACE_ID: ids.trace_id,
    AA_SESSION_ID: ids.session_id,
    ...(command.team === undefined ? {} : { AA_TEAM_ID: command.team }),
    AA_ENFORCEMENT_MODE: "enforce",
    AA_POLICY_STATE: "enforced",
    AA_POLICY_SOURCE: command.policy === undefined ? "gateway" : resolve(cwd, command.policy),
    ...(command.broker === undefined ? { AA_RUNTIME_SOCKET: places.runtime_socket } : {}),
  };
}
