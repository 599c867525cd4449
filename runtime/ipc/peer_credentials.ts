/**
 * Who is at the other end of an accepted connection, by the kernel's word.
 *
 * Deno hands out no descriptor, so the new connection's is looked for: the one stream socket bound
 * to our path that is not listening and whose cookie, a number the kernel never gives twice, was not
 * there before. Anything but exactly one such socket is no answer, and the connection is refused.
 *
 * @module
 */
import type { Libc } from "../libc/libc.ts";
import type { Connection } from "../parts.ts";
import { IPC_ROOM_LIMITS } from "./limits.ts";

// asm-generic/socket.h, as on every architecture that Deno runs on.
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_ACCEPTCONN = 30;
const SO_COOKIE = 57;
const AF_UNIX = 1;
/** Descriptors looked at beyond the highest socket known: the kernel gives the lowest that is free. */
const BEYOND_HIGHEST = 64;

/** What the kernel says of a peer. */
export type PeerCredentials = NonNullable<Connection["peer"]>;

/** Finds the connections of one listener. One accept at a time, and one call after each. */
export class PeerFinder {
  readonly #libc: Libc;
  readonly #path: string;
  /** Every socket looked at, by descriptor: a cookie that is still there is no new connection. */
  readonly #known = new Map<number, bigint>();
  #highest = 0;
  readonly #cookie = new BigUint64Array(1);
  readonly #cookie_bytes = new Uint8Array(this.#cookie.buffer);
  readonly #value = new Int32Array(3);
  readonly #name = new Uint8Array(128);
  readonly #length = new Uint32Array(1);

  /**
   * @param path The path that the listener was bound to.
   */
  constructor(libc: Libc, path: string) {
    this.#libc = libc;
    this.#path = path;
    this.#scan(IPC_ROOM_LIMITS.descriptors_max);
  }

  /**
   * The peer of the connection that was accepted since the last call.
   *
   * @returns `undefined` when it cannot be told for certain.
   */
  newest(): PeerCredentials | undefined {
    let found = this.#scan(this.#highest + BEYOND_HIGHEST);
    if (found.length === 0) found = this.#scan(IPC_ROOM_LIMITS.descriptors_max);
    const [descriptor] = found;
    return descriptor === undefined || found.length > 1 ? undefined : this.#peerOf(descriptor);
  }

  #scan(end: number): number[] {
    const found: number[] = [];
    const last = Math.min(end, IPC_ROOM_LIMITS.descriptors_max);
    for (let descriptor = 0; descriptor < last; descriptor++) {
      if (!this.#option(descriptor, SO_COOKIE, this.#cookie_bytes)) continue;
      const cookie = this.#cookie[0] ?? 0n;
      if (this.#known.get(descriptor) === cookie) continue;
      this.#known.set(descriptor, cookie);
      this.#highest = Math.max(this.#highest, descriptor);
      if (this.#isConnection(descriptor)) found.push(descriptor);
    }
    return found;
  }

  #isConnection(descriptor: number): boolean {
    const listening = this.#integer(descriptor, SO_ACCEPTCONN);
    return listening === 0 && this.#nameOf(descriptor) === this.#path;
  }

  #nameOf(descriptor: number): string | undefined {
    this.#length[0] = this.#name.length;
    if (this.#libc.getsockname(descriptor, this.#name, this.#length) !== 0) return undefined;
    const length = this.#length[0] ?? 0;
    const family = (this.#name[0] ?? 0) | (this.#name[1] ?? 0) << 8;
    if (family !== AF_UNIX || length <= 2) return undefined;
    const path = this.#name.subarray(2, Math.min(length, this.#name.length));
    const end = path.indexOf(0);
    return new TextDecoder().decode(end < 0 ? path : path.subarray(0, end));
  }

  #peerOf(descriptor: number): PeerCredentials | undefined {
    const value = new Uint8Array(this.#value.buffer);
    if (!this.#option(descriptor, SO_PEERCRED, value)) return undefined;
    const [pid, uid, gid] = this.#value;
    // `struct ucred` is pid, uid, gid; the ids are unsigned.
    return { pid: pid ?? 0, uid: (uid ?? -1) >>> 0, gid: (gid ?? -1) >>> 0 };
  }

  #integer(descriptor: number, option: number): number | undefined {
    const value = new Uint8Array(this.#value.buffer, 0, 4);
    return this.#option(descriptor, option, value) ? this.#value[0] : undefined;
  }

  /** Whether the kernel filled the whole value. */
  #option(descriptor: number, option: number, into: Uint8Array<ArrayBuffer>): boolean {
    this.#length[0] = into.length;
    return this.#libc.getsockopt(descriptor, SOL_SOCKET, option, into, this.#length) === 0 &&
      this.#length[0] === into.length;
  }
}

/**
 * Whether a peer may speak to the runtime: only its own user, and root only to root
 * (contract `interception` §1.3).
 *
 * @param own_uid The runtime's effective user.
 */
export function peerMaySpeak(peer: PeerCredentials, own_uid: number): boolean {
  return peer.uid === own_uid;
}
