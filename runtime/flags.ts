/**
 * Reading the runtime's flags: words to values, each refusal naming its flag and what was expected.
 *
 * @module
 */
import { resolve } from "node:path";
import type { GatewayAddress } from "./config.ts";

/** A command line that is not understood. The message is for the operator. */
export class FlagError extends Error {}

const VALUES = [
  "agent-id",
  "team-id",
  "org-id",
  "shutdown-timeout-secs",
  "max-connections",
  "pipeline-input-buffer",
  "pipeline-batch-size",
  "pipeline-flush-interval-ms",
  "pipeline-broadcast-capacity",
  "field-bytes-max",
  "correlation-window-ms",
  "correlation-interval-ms",
  "metrics-listen",
  "gateway",
  "gateway-timeout-ms",
  "nats-server",
  "handshake",
  "layers",
  "base-dir",
  "reprobe-ms",
  "log-level",
] as const;
/** Flags whose value becomes a path in the permission list. */
const PATHS = [
  "socket",
  "state-dir",
  "spool",
  "local-policy",
  "nats-config",
  "nats-ca",
  "nats-cert",
  "nats-key",
  "metrics-token-file",
  "gateway-ca",
  "gateway-token-file",
  "trust-agent-keys-file",
  "broker-socket",
  "ebpf-socket",
  "orders",
  "libc",
] as const;
const SWITCHES = [
  "help",
  "version",
  "no-peer-credentials",
  "allow-privileged",
  "allow-remote-plaintext",
  "gateway-fail-open",
  "no-local-policy",
  "stop-on-stdin-end",
] as const;
/** Flags that may come more than once. */
const REPEATED = ["trust-agent-key", "proxy-candidate", "warning"] as const;

/** Name of a flag that takes one value. */
export type ValueFlag = typeof VALUES[number];
/** Name of a flag that takes one path. */
export type PathFlag = typeof PATHS[number];
/** Name of a flag that takes nothing. */
export type SwitchFlag = typeof SWITCHES[number];
/** Name of a flag that may be repeated. */
export type RepeatedFlag = typeof REPEATED[number];

type FlagName = ValueFlag | PathFlag | SwitchFlag | RepeatedFlag;

/** Most values of one repeated flag. */
const REPEATED_MAX = 256;

/** The flags of one command line. */
export class Flags {
  readonly #values = new Map<string, string[]>();

  add(name: string, value: string): void {
    const values = this.#values.get(name) ?? [];
    values.push(value);
    this.#values.set(name, values);
  }

  has(name: FlagName): boolean {
    return this.#values.has(name);
  }

  count(name: string): number {
    return this.#values.get(name)?.length ?? 0;
  }

  one(name: ValueFlag | PathFlag): string | undefined {
    return this.#values.get(name)?.[0];
  }

  all(name: RepeatedFlag): readonly string[] {
    return this.#values.get(name) ?? [];
  }
}

/**
 * @throws {FlagError} naming the word that is not understood
 */
export function readFlags(argv: readonly string[]): Flags {
  const flags = new Flags();
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? "";
    if (word === "--") continue;
    const match = /^--([a-z-]+)(?:=(.*))?$/s.exec(word);
    const name = word === "-h" ? "help" : word === "-V" ? "version" : match?.[1];
    if (name === undefined) {
      throw new FlagError(`unexpected argument \`${word}\`: flags start with \`--\``);
    }
    if (includes(SWITCHES, name)) {
      if (match?.[2] !== undefined) throw new FlagError(`flag \`--${name}\` takes no value`);
      if (!flags.has(name)) flags.add(name, "");
      continue;
    }
    if (!includes(VALUES, name) && !includes(PATHS, name) && !includes(REPEATED, name)) {
      throw new FlagError(`unknown flag \`${word}\`: see --help`);
    }
    const most = includes(REPEATED, name) ? REPEATED_MAX : 1;
    if (flags.count(name) >= most) {
      throw new FlagError(
        most === 1
          ? `flag \`--${name}\` is given twice: give it once`
          : `flag \`--${name}\` is given more than ${most} times`,
      );
    }
    const value = match?.[2] ?? argv[++index];
    if (value === undefined || value === "") {
      throw new FlagError(`flag \`--${name}\` needs a value`);
    }
    if ((includes(PATHS, name) || name === "proxy-candidate") && /[,\0]/.test(value)) {
      throw new FlagError(
        `flag \`--${name}\` cannot be \`${value}\`: a comma would end the path in the permission list; rename it`,
      );
    }
    flags.add(name, value);
  }
  return flags;
}

function includes<const T extends string>(names: readonly T[], name: string): name is T {
  return names.some((known) => known === name);
}

/** Whether a switch was given. */
export function booleans(flags: Flags, name: SwitchFlag): boolean {
  return flags.has(name);
}

/** A flag's text, if it was given. */
export function optional(flags: Flags, name: ValueFlag): string | undefined {
  return flags.one(name);
}

/** A flag's path, if it was given; absolute where the launcher said what it is relative to. */
export function pathOf(flags: Flags, name: PathFlag): string | undefined {
  const path = flags.one(name);
  return path === undefined ? undefined : fromBase(flags, path);
}

/** A path from the directory that the launcher was started in; as it is without a launcher. */
export function fromBase(flags: Flags, path: string): string {
  const base = flags.one("base-dir");
  return base === undefined ? path : resolve(base, path);
}

/** @throws {FlagError} when the value is none of the allowed */
export function oneOf<const T extends string>(
  flags: Flags,
  name: ValueFlag,
  allowed: readonly T[],
  fallback: T,
): T {
  const value = flags.one(name);
  if (value === undefined) return fallback;
  const found = allowed.find((word) => word === value);
  if (found !== undefined) return found;
  throw new FlagError(
    `flag \`--${name}\` cannot be \`${value}\`: expected ${allowed.join(" or ")}`,
  );
}

/** @throws {FlagError} when the value is no whole number in the range */
export function integerIn(
  flags: Flags,
  name: ValueFlag,
  min: number,
  max: number,
  fallback: number,
): number {
  const value = flags.one(name);
  if (value === undefined) return fallback;
  const number = /^\d{1,9}$/.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw new FlagError(`flag \`--${name}\` cannot be \`${value}\`: expected ${min} to ${max}`);
}

const DEFAULT_LISTEN = "127.0.0.1:8080";

/** @throws {FlagError} when the text is no HOST:PORT */
export function parseListen(
  name: "metrics-listen" | "nats-server",
  text: string | undefined,
): { readonly hostname: string; readonly port: number } {
  const value = text ?? DEFAULT_LISTEN;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(value);
  const hostname = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (hostname !== undefined && port <= 65_535) return { hostname, port };
  throw new FlagError(
    `flag \`--${name}\` cannot be \`${value}\`: expected HOST:PORT, e.g. ${DEFAULT_LISTEN}`,
  );
}

/** Whether a host can only be this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname);
}

/**
 * Reads the gateway's address.
 *
 * @param text `http://HOST:PORT`, `https://HOST:PORT`, `HOST:PORT` (loopback) or `unix:/PATH`.
 * @throws {FlagError} when it is none of these, or would send credentials in clear to another machine
 */
export function parseGateway(text: string, allow_remote_plaintext: boolean): GatewayAddress {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (!path.startsWith("/") || /[,\0]/.test(path)) {
      throw new FlagError(
        `flag \`--gateway\` cannot be \`${text}\`: expected unix:/absolute/path without a comma`,
      );
    }
    return { target: text, tls: false, grant: { kind: "unix", value: path } };
  }
  const url = URL.parse(/^https?:\/\//.test(text) ? text : `http://${text}`);
  const whole = url !== null && url.username === "" && url.password === "" &&
    (url.pathname === "/" || url.pathname === "") && url.search === "" && url.hash === "";
  if (!whole || url.hostname === "") {
    throw new FlagError(
      "flag `--gateway` is not understood: expected http://HOST:PORT, https://HOST:PORT or unix:/path",
    );
  }
  const tls = url.protocol === "https:";
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  if (!tls && !isLoopback(hostname) && !allow_remote_plaintext) {
    throw new FlagError(
      `flag \`--gateway\` cannot be \`${text}\`: agents' credentials would cross the network in ` +
        "clear; use https://, or permit it with `--allow-remote-plaintext`",
    );
  }
  const port = url.port === "" ? (tls ? "443" : "80") : url.port;
  const host_port = `${url.hostname}:${port}`;
  return { target: host_port, tls, grant: { kind: "tcp", value: host_port } };
}
