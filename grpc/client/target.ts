/**
 * Where a channel connects to (gRPC core documentation, "gRPC Name Resolution").
 *
 * @module
 */

import { CHANNEL_ADDRESSES_MAX } from "../bounds.ts";

/** One place a connection can be made to. */
export type Address =
  /** A host is an IP address, or a name that connecting resolves. */
  | { readonly kind: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** A parsed target. */
export interface Target {
  /** As the user wrote it; stands in errors. */
  readonly text: string;
  /** At least one. */
  readonly addresses: readonly Address[];
  /** The one host name there is, which a resolver may turn into many addresses. */
  readonly name: { readonly hostname: string; readonly port: number } | undefined;
}

const HOST_PORT = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:/,\s[\]]+)):([0-9]{1,5})$/;
const IPV4 = /^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$/;
const FORMS = "`host:port`, `dns:///host:port`, `unix:/path`, `ipv4:a:port,b:port` or " +
  "`ipv6:[a]:port,[b]:port`";

/**
 * Parses a target, or a list whose members are `host:port` or `unix:/path`. A port is always
 * asked for: what listens on 443 rarely is the gRPC service meant.
 *
 * @throws TypeError when a text is none of these, or the list is empty or too long
 */
export function parseTarget(target: string | readonly string[]): Target {
  if (typeof target !== "string") return parseList(target);
  const listed = /^(ipv4|ipv6):(.+)$/.exec(target);
  if (listed !== null) return parseAddresses(target, listed[1] ?? "", listed[2] ?? "");
  const address = parseAddress(target) ?? parseAddress(target.replace(/^dns:(?:\/\/\/)?/, ""));
  if (address === undefined) throw new TypeError(`target \`${target}\` is none of ${FORMS}`);
  const name = address.kind === "tcp" && !isIpAddress(address.hostname) ? address : undefined;
  return { text: target, addresses: [address], name };
}

function parseList(texts: readonly string[]): Target {
  checkCount(texts.length);
  const addresses = texts.map((text, index) => {
    const address = parseAddress(text);
    if (address !== undefined) return address;
    throw new TypeError(`target[${index}] \`${text}\` is neither \`host:port\` nor \`unix:/path\``);
  });
  return { text: texts.join(","), addresses: distinct(addresses), name: undefined };
}

function parseAddresses(target: string, scheme: string, list: string): Target {
  const texts = list.split(",");
  checkCount(texts.length);
  const addresses = texts.map((text) => {
    const address = parseAddress(text);
    const fits = address?.kind === "tcp" && isIpAddress(address.hostname) &&
      address.hostname.includes(":") === (scheme === "ipv6");
    if (fits) return address;
    throw new TypeError(`target \`${target}\`: \`${text}\` is no ${scheme} address with a port`);
  });
  return { text: target, addresses: distinct(addresses), name: undefined };
}

function checkCount(count: number): void {
  if (count >= 1 && count <= CHANNEL_ADDRESSES_MAX) return;
  throw new TypeError(
    `target lists ${count} addresses: expected 1 to ${CHANNEL_ADDRESSES_MAX}`,
  );
}

/** Parses `host:port`, `[::1]:port`, `unix:/path` or `unix:///path`. */
export function parseAddress(text: string): Address | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice(text.startsWith("unix://") ? 7 : 5);
    return path === "" ? undefined : { kind: "unix", path };
  }
  const match = HOST_PORT.exec(text);
  const port = Number(match?.[3]);
  const hostname = match?.[1] ?? match?.[2];
  if (hostname === undefined || port < 1 || port > 65_535) return undefined;
  return { kind: "tcp", hostname, port };
}

/** An address as {@linkcode parseAddress} reads it; equal texts are equal addresses. */
export function addressText(address: Address): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  const { hostname, port } = address;
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

/** The addresses without repetitions, in order. */
export function distinct(addresses: readonly Address[]): Address[] {
  return [...new Map(addresses.map((address) => [addressText(address), address])).values()];
}

/** Whether a host is an address already. */
export function isIpAddress(hostname: string): boolean {
  return hostname.includes(":") || IPV4.test(hostname);
}

/** What `:authority` says for a target. */
export function authorityOf(target: Target, server_name: string | undefined): string {
  const address = target.addresses[0];
  if (address === undefined || address.kind === "unix") return server_name ?? "localhost";
  return addressText({ ...address, hostname: server_name ?? address.hostname });
}
