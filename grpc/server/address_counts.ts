/**
 * How many connections each peer address has, so that one of them cannot take every place.
 *
 * @module
 */

import type { Peer } from "../peer.ts";

/** Groups of an IPv6 address that one customer's network shares (RFC 6177): a /64. */
const IPV6_PREFIX_GROUPS = 4;

/** Counts connections by address. Unix sockets have none: their peers are not counted. */
export class AddressCounts {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  /** @param limit connections one address may have */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts one more connection; false, and not counted, when its address has enough. */
  take(peer: Peer): boolean {
    if (peer.transport === "unix") return true;
    const key = addressKey(peer.address);
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.#limit) return false;
    this.#counts.set(key, count + 1);
    return true;
  }

  /** Counts one less; of a connection that was taken. */
  release(peer: Peer): void {
    if (peer.transport === "unix") return;
    const key = addressKey(peer.address);
    const count = this.#counts.get(key) ?? 0;
    if (count > 1) this.#counts.set(key, count - 1);
    else this.#counts.delete(key);
  }
}

/**
 * What stands for a peer's address: an IPv4 address, also where it is written as IPv6, or the
 * first 64 bits of an IPv6 address, within which a single machine may choose.
 *
 * @param address `host:port`, IPv6 hosts in brackets or not
 */
export function addressKey(address: string): string {
  const host = address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host);
  if (mapped !== null) return mapped[1] ?? host;
  if (!host.includes(":")) return host;
  const [left = "", right] = host.split("::");
  const groups = left === "" ? [] : left.split(":");
  if (right !== undefined) {
    const tail = right === "" ? 0 : right.split(":").length + (right.includes(".") ? 1 : 0);
    while (groups.length < 8 - tail) groups.push("0");
  }
  return groups.slice(0, IPV6_PREFIX_GROUPS).map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}
