/**
 * Finds any secret ever issued in outbound bytes, without keeping one.
 *
 * For every form of a secret a fingerprint is kept: its length, a rolling hash of 8 bytes from its
 * middle under a secret base, and an HMAC-SHA-256 of all of it under a secret key. A scan rolls the
 * hash over the bytes and confirms each match by the HMAC.
 *
 * What holds: a form that stands whole and contiguous in a view of the bytes (`forms.ts`) is always
 * found; a find is wrong with a probability of 2^-128. What does not: a secret that is split,
 * compressed, encrypted, encoded twice, re-cased, or put into an encoding that is not listed is not
 * found. Fingerprints reveal lengths; with the key, a secret that can be guessed can be confirmed.
 *
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { type FormName, formsOf, viewsOf } from "./forms.ts";
import { SECRET_LIMITS } from "./limits.ts";

/** Bytes of the rolling window. */
const WINDOW = SECRET_LIMITS.scanned_bytes_min;
/** Bytes kept of each HMAC. */
const MAC_BYTES = 16;
/** Bits of the filter that is asked before the table. */
const FILTER_BITS = 1 << 20;

/** One form of one secret, unreadable. */
export interface Fingerprint {
  readonly form: FormName;
  readonly length: number;
  /** Where in the form the window begins. */
  readonly anchor: number;
  /** Rolling hash of the window, unsigned 32-bit. */
  readonly hash: number;
  /** HMAC of the whole form, 32 lower-case hex. */
  readonly mac: string;
}

/** Keys of fingerprints: derived from 32 secret bytes. */
export interface FingerprintKey {
  /** Odd multiplier of the rolling hash. */
  readonly base: number;
  readonly mac_key: Uint8Array;
}

/** Derives the keys. */
export function fingerprintKey(secret: Uint8Array): FingerprintKey {
  const seed = createHmac("sha256", secret).update("aasm-fingerprint/base").digest();
  const mac_key = createHmac("sha256", secret).update("aasm-fingerprint/mac").digest();
  return { base: (seed.readUInt32LE(0) | 1) >>> 0, mac_key: new Uint8Array(mac_key) };
}

/**
 * Fingerprints of every form of a secret.
 *
 * @returns None when the secret is too short to be told from chance.
 */
export function fingerprintsOf(secret: Uint8Array, key: FingerprintKey): Fingerprint[] {
  if (secret.length < SECRET_LIMITS.scanned_bytes_min) return [];
  return formsOf(secret).map(({ form, bytes }) => {
    // From the middle: beginnings and ends are what secrets of one kind have in common.
    const anchor = (bytes.length - WINDOW) >> 1;
    const fingerprint = {
      form,
      length: bytes.length,
      anchor,
      hash: hashOf(bytes, anchor, key.base),
      mac: macOf(bytes, key.mac_key).toHex(),
    };
    bytes.fill(0);
    return fingerprint;
  });
}

/** A secret found. */
export interface Hit<L> {
  readonly label: L;
  readonly form: FormName;
}

/** What a scan found. `complete` false is to be treated as a find. */
export interface ScanResult<L> {
  readonly hits: readonly Hit<L>[];
  readonly complete: boolean;
}

interface Known<L> extends Fingerprint {
  readonly label: L;
}

/** The fingerprints of everything issued. `L` names a secret to whoever is told of a find. */
export class OutboundIndex<L> {
  readonly #key: FingerprintKey;
  readonly #known = new Map<number, Known<L>[]>();
  readonly #filter = new Uint8Array(FILTER_BITS / 8);
  #size = 0;

  constructor(key: FingerprintKey) {
    this.#key = key;
  }

  /** Fingerprints held. */
  get size(): number {
    return this.#size;
  }

  /** Adds a secret by its fingerprints. */
  add(fingerprints: readonly Fingerprint[], label: L): void {
    for (const fingerprint of fingerprints) {
      const known = { ...fingerprint, label };
      const others = this.#known.get(fingerprint.hash);
      if (others === undefined) this.#known.set(fingerprint.hash, [known]);
      else others.push(known);
      const bit = filterBit(fingerprint.hash);
      this.#filter[bit >> 3] = (this.#filter[bit >> 3] ?? 0) | (1 << (bit & 7));
      this.#size++;
    }
  }

  /** Looks for every secret in every view of the bytes. Each secret and form is reported once. */
  scan(outbound: Uint8Array): ScanResult<L> {
    if (this.#size === 0) return { hits: [], complete: true };
    const found = new Set<Known<L>>();
    const budget = { left: SECRET_LIMITS.confirmed_bytes };
    for (const view of viewsOf(outbound)) {
      if (!this.#scanView(view, found, budget)) return result(found, false);
    }
    return result(found, true);
  }

  /** @returns Whether the view was looked through to its end. */
  #scanView(view: Uint8Array, found: Set<Known<L>>, budget: { left: number }): boolean {
    if (view.length < WINDOW) return true;
    const { base } = this.#key;
    const leaving = power(base, WINDOW - 1);
    let hash = hashOf(view, 0, base);
    for (let at = 0;; at++) {
      const bit = filterBit(hash);
      if (((this.#filter[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0) {
        for (const known of this.#known.get(hash) ?? []) {
          if (found.has(known) || found.size >= SECRET_LIMITS.hits) continue;
          const start = at - known.anchor;
          if (start < 0 || start + known.length > view.length) continue;
          budget.left -= known.length;
          if (budget.left < 0) return false;
          const mac = macOf(view.subarray(start, start + known.length), this.#key.mac_key);
          if (timingSafeEqual(mac, Uint8Array.fromHex(known.mac))) found.add(known);
        }
      }
      const next = view[at + WINDOW];
      if (next === undefined) return true;
      const without = (hash - Math.imul(view[at] ?? 0, leaving)) | 0;
      hash = (Math.imul(without, base) + next) >>> 0;
    }
  }
}

function result<L>(found: ReadonlySet<Known<L>>, complete: boolean): ScanResult<L> {
  return { hits: [...found].map(({ label, form }) => ({ label, form })), complete };
}

function hashOf(bytes: Uint8Array, from: number, base: number): number {
  let hash = 0;
  for (let at = from; at < from + WINDOW; at++) {
    hash = (Math.imul(hash, base) + (bytes[at] ?? 0)) | 0;
  }
  return hash >>> 0;
}

function power(base: number, exponent: number): number {
  let value = 1;
  for (let n = 0; n < exponent; n++) value = Math.imul(value, base);
  return value;
}

/** The low bits of a product modulo 2^32 depend on little: fold the high ones in. */
function filterBit(hash: number): number {
  return (hash ^ (hash >>> 12)) & (FILTER_BITS - 1);
}

function macOf(bytes: Uint8Array, key: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(bytes).digest().subarray(0, MAC_BYTES));
}
