/**
 * What each peer address takes of a server, so that one of them cannot take every place.
 *
 * @module
 */

import type { Peer } from "../peer.ts";

/** Groups of an IPv6 address that one customer's network shares (RFC 6177): a /64. */
const IPV6_PREFIX_GROUPS = 4;

/** What one address may have. */
export interface AddressLimits {
  readonly connections_per_address: number;
  readonly calls_per_address: number;
}

/** The limits of peers that have no address. */
export const NO_LIMITS: AddressLimits = {
  connections_per_address: Number.POSITIVE_INFINITY,
  calls_per_address: Number.POSITIVE_INFINITY,
};

/** What one address has. */
export class AddressAccount {
  readonly #limits: AddressLimits;
  readonly #onEmpty: () => void;
  #connections = 0;
  #calls = 0;

  /** @param onEmpty called when nothing is left on the account */
  constructor(limits: AddressLimits, onEmpty: () => void) {
    this.#limits = limits;
    this.#onEmpty = onEmpty;
  }

  /** Counts one more connection; false, and not counted, when there are enough. */
  takeConnection(): boolean {
    if (this.#connections < this.#limits.connections_per_address) {
      this.#connections++;
      return true;
    }
    this.#dropIfEmpty();
    return false;
  }

  /** Counts one connection less. */
  releaseConnection(): void {
    this.#connections--;
    this.#dropIfEmpty();
  }

  /** Counts one more call; false, and not counted, when there are enough. */
  takeCall(): boolean {
    if (this.#calls >= this.#limits.calls_per_address) return false;
    this.#calls++;
    return true;
  }

  /** Counts one more call, which has begun already. */
  addCall(): void {
    this.#calls++;
  }

  /** Counts one call less, perhaps long after its connection. */
  releaseCall(): void {
    this.#calls--;
    if (this.#connections === 0) this.#dropIfEmpty();
  }

  #dropIfEmpty(): void {
    if (this.#connections === 0 && this.#calls === 0) this.#onEmpty();
  }
}

/** The accounts of a server's peers. Unix sockets have no addresses: their peers have no limits. */
export class AddressCounts {
  readonly #limits: AddressLimits;
  readonly #accounts = new Map<string, AddressAccount>();
  readonly #local: AddressAccount;

  constructor(limits: AddressLimits) {
    this.#limits = limits;
    this.#local = new AddressAccount(NO_LIMITS, () => {});
  }

  /** Addresses that have something on their account. */
  get size(): number {
    return this.#accounts.size;
  }

  /** The account of a peer; a new one is kept once something is taken on it. */
  of(peer: Peer): AddressAccount {
    if (peer.transport === "unix") return this.#local;
    const key = addressKey(peer.address);
    let account = this.#accounts.get(key);
    if (account === undefined) {
      account = new AddressAccount(this.#limits, () => this.#accounts.delete(key));
      this.#accounts.set(key, account);
    }
    return account;
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
