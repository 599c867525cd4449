/**
 * The file that `AA_NATS_CONFIG_PATH` names: TOML, table `[gateway.nats]` (contract `wire` §4.2).
 *
 * @module
 */
import { parse } from "smol-toml";

/** Where audit entries are published. */
export interface NatsConfig {
  /** `nats://host:port`, or `tls://host:port`; without user or password. */
  readonly url: string;
  readonly token?: string;
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** Entries published before the server is asked whether it has them. */
  readonly max_inflight: number;
}

/** Address when the table names none. */
export const NATS_URL = "nats://127.0.0.1:4222";
/** Entries in flight, at most and by default. More in the file: refused. */
export const NATS_INFLIGHT_MAX = 1_024;
/** Bytes of the file. Larger: refused unread. */
export const NATS_CONFIG_BYTES_MAX = 65_536;

/** A file that cannot be used; says where and what was expected. Never shows a token. */
export class NatsConfigError extends Error {
  override readonly name = "NatsConfigError";
}

/**
 * Reads the table.
 *
 * @param text The file's text. @param path Its path, for messages.
 * @returns `undefined` when the file has no such table: then nothing is published.
 * @throws {NatsConfigError}
 */
export function parseNatsConfig(text: string, path: string): NatsConfig | undefined {
  const refuse = (what: string): never => {
    throw new NatsConfigError(`cannot publish to NATS: \`${path}\` ${what}`);
  };
  if (text.length > NATS_CONFIG_BYTES_MAX) {
    refuse(`is longer than \`${NATS_CONFIG_BYTES_MAX}\` bytes`);
  }
  const root = parsed(text) ?? refuse("is not TOML; see AA_NATS_CONFIG_PATH");
  const gateway = tableOf(root["gateway"]);
  if (gateway?.["nats"] === undefined) return undefined;
  const nats = tableOf(gateway["nats"]) ?? refuse("has `gateway.nats`, but not as a table");
  for (const key of Object.keys(nats)) {
    if (!["url", "token", "tls", "max_inflight"].includes(key)) {
      refuse(`has \`gateway.nats.${key}\`, expected url, token, tls or max_inflight`);
    }
  }
  const url = nats["url"] ?? NATS_URL;
  if (typeof url !== "string" || !isServerUrl(url)) {
    return refuse(
      "has another `gateway.nats.url` than `nats://host:port` or `tls://host:port`; " +
        "a token belongs into `gateway.nats.token`",
    );
  }
  const { token } = nats;
  if (token !== undefined && (typeof token !== "string" || token === "")) {
    return refuse("has a `gateway.nats.token` that is no text");
  }
  const max_inflight = nats["max_inflight"] ?? NATS_INFLIGHT_MAX;
  if (
    typeof max_inflight !== "number" || !Number.isInteger(max_inflight) || max_inflight < 1 ||
    max_inflight > NATS_INFLIGHT_MAX
  ) return refuse(`has a \`gateway.nats.max_inflight\` outside 1 to ${NATS_INFLIGHT_MAX}`);
  const tls = nats["tls"] === undefined ? undefined : tlsOf(nats["tls"]) ??
    refuse("has a `gateway.nats.tls` that is not a table of paths `ca`, `cert` and `key`");
  return {
    url,
    max_inflight,
    ...(token === undefined ? {} : { token }),
    ...(tls === undefined ? {} : { tls }),
  };
}

/** Host and port of a configured address, for permissions and messages. */
export function serverOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === "" ? "4222" : port}`;
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    return parse(text);
  } catch {
    // The parser's message quotes the line, and the line may be the token's.
    return undefined;
  }
}

function isServerUrl(text: string): boolean {
  if (!/^(?:nats|tls):\/\/[^/?#@]+$/.test(text)) return false;
  return URL.canParse(text) && new URL(text).hostname !== "";
}

function tlsOf(value: unknown): NatsConfig["tls"] {
  const table = tableOf(value);
  if (table === undefined) return undefined;
  const files: { ca?: string; cert?: string; key?: string } = {};
  for (const [key, path] of Object.entries(table)) {
    if (key !== "ca" && key !== "cert" && key !== "key") return undefined;
    if (typeof path !== "string" || path === "") return undefined;
    files[key] = path;
  }
  return (files.cert === undefined) === (files.key === undefined) ? files : undefined;
}

function tableOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Record<string, unknown>
    : undefined;
}
