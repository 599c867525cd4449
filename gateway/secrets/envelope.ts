/**
 * Envelope encryption: each record under a key of its own (AES-256-GCM), that key wrapped by the
 * master key. What a record is for is bound in as additional data, so that no record can take
 * another's place, and a new master key re-wraps 32 bytes, never the secret.
 *
 * @module
 */
import { SealError } from "./failure.ts";
import type { KeyRing, MasterKey } from "./key_ring.ts";

const IV_BYTES = 12;
const KEY_BYTES = 32;
const ENCODER = new TextEncoder();

/** A sealed text; binary parts in base64. */
export interface Sealed {
  /** Master key that wraps the data key. */
  readonly key_id: string;
  readonly wrap_iv: string;
  readonly wrapped_key: string;
  readonly iv: string;
  readonly ciphertext: string;
}

/**
 * Seals bytes; they are left as they are.
 *
 * @param purpose What the record is, whose and which version: needed again to open it.
 */
export async function seal(
  master: MasterKey,
  purpose: string,
  plaintext: Uint8Array,
): Promise<Sealed> {
  const data_key = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  try {
    const key = await dataKey(data_key, "encrypt");
    const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
    const ciphertext = await encrypt(key, iv, purpose, plaintext);
    return {
      ...await wrap(master, purpose, data_key),
      iv: iv.toBase64(),
      ciphertext: ciphertext.toBase64(),
    };
  } finally {
    data_key.fill(0);
  }
}

/**
 * Opens a sealed record. The caller overwrites the bytes after use.
 *
 * @throws {SealError} `wrong_key` when the ring lacks its master key, `damaged` otherwise.
 */
export async function unseal(
  ring: KeyRing,
  purpose: string,
  sealed: Sealed,
): Promise<Uint8Array<ArrayBuffer>> {
  const data_key = await unwrap(ring, purpose, sealed);
  try {
    const key = await dataKey(data_key, "decrypt");
    return await decrypt(key, sealed.iv, purpose, sealed.ciphertext);
  } finally {
    data_key.fill(0);
  }
}

/** The same record with its data key wrapped by the active master key. @throws {SealError} */
export async function rewrapped(ring: KeyRing, purpose: string, sealed: Sealed): Promise<Sealed> {
  const data_key = await unwrap(ring, purpose, sealed);
  try {
    return { ...sealed, ...await wrap(ring.active, purpose, data_key) };
  } finally {
    data_key.fill(0);
  }
}

/** Reads the stored form back. @returns `undefined` when it is not one. */
export function sealedFrom(raw: unknown): Sealed | undefined {
  if (typeof raw !== "object" || raw === null) return undefined;
  const { key_id, wrap_iv, wrapped_key, iv, ciphertext } = raw as Record<string, unknown>;
  const texts = [key_id, wrap_iv, wrapped_key, iv, ciphertext];
  if (!texts.every((text) => typeof text === "string" && text !== "")) return undefined;
  return { key_id, wrap_iv, wrapped_key, iv, ciphertext } as Sealed;
}

async function wrap(
  master: MasterKey,
  purpose: string,
  data_key: Uint8Array<ArrayBuffer>,
): Promise<Pick<Sealed, "key_id" | "wrap_iv" | "wrapped_key">> {
  const wrap_iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const wrapped = await encrypt(master.key, wrap_iv, wrapPurpose(master.id, purpose), data_key);
  return { key_id: master.id, wrap_iv: wrap_iv.toBase64(), wrapped_key: wrapped.toBase64() };
}

async function unwrap(
  ring: KeyRing,
  purpose: string,
  sealed: Sealed,
): Promise<Uint8Array<ArrayBuffer>> {
  const master = ring.keys.get(sealed.key_id);
  if (master === undefined) {
    throw new SealError("wrong_key", `it is wrapped under key \`${sealed.key_id.slice(0, 16)}\``);
  }
  const data_key = await decrypt(
    master.key,
    sealed.wrap_iv,
    wrapPurpose(master.id, purpose),
    sealed.wrapped_key,
  );
  if (data_key.length === KEY_BYTES) return data_key;
  data_key.fill(0);
  throw new SealError("damaged", "its data key has another length");
}

function wrapPurpose(key_id: string, purpose: string): string {
  return JSON.stringify(["aasm-wrap/1", key_id, purpose]);
}

async function dataKey(
  raw: Uint8Array<ArrayBuffer>,
  use: "encrypt" | "decrypt",
): Promise<CryptoKey> {
  return await crypto.subtle.importKey("raw", raw, "AES-GCM", false, [use]);
}

async function encrypt(
  key: CryptoKey,
  iv: Uint8Array<ArrayBuffer>,
  purpose: string,
  plaintext: Uint8Array,
): Promise<Uint8Array> {
  const additionalData = ENCODER.encode(purpose);
  // The type wants memory of its own; a view into shared memory cannot occur here.
  const data = plaintext as Uint8Array<ArrayBuffer>;
  return new Uint8Array(
    await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, key, data),
  );
}

async function decrypt(
  key: CryptoKey,
  iv: string,
  purpose: string,
  ciphertext: string,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const algorithm = {
      name: "AES-GCM",
      iv: Uint8Array.fromBase64(iv),
      additionalData: ENCODER.encode(purpose),
    };
    const data = Uint8Array.fromBase64(ciphertext);
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, data));
  } catch (error) {
    throw new SealError("damaged", "it does not authenticate", { cause: error });
  }
}
