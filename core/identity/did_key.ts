/**
 * `did:key` for Ed25519 (https://w3c-ccg.github.io/did-key-spec/, contract `wire` §6.2).
 *
 * @module
 */
import { base58 } from "@scure/base";

/** Prefix of every did:key in base58btc multibase. */
const PREFIX = "did:key:z";
/** Multicodec `ed25519-pub`, as varint bytes. */
const ED25519_MULTICODEC = [0xed, 0x01] as const;
/** Bytes of an Ed25519 public key. */
export const PUBLIC_KEY_BYTES = 32;
/** Decoding base58 is quadratic and open to anyone, so it is bounded; ours are 56 characters. */
export const DID_KEY_CHARS_MAX = 128;

/** A did:key taken apart. */
export type DidKey =
  /** `bytes` holds multicodec and key, at least one byte. */
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly message: string };

/**
 * Decodes the multibase part; what kind of key it holds is not looked at.
 *
 * @param text The agent id string, exactly as received.
 */
export function parseDidKey(text: string): DidKey {
  if (text === "") return refused("is empty: send the agent's did:key");
  if (text.length > DID_KEY_CHARS_MAX) {
    return refused(`is longer than ${DID_KEY_CHARS_MAX} characters`);
  }
  if (!text.startsWith("did:key:")) return refused("does not start with `did:key:`");
  if (!text.startsWith(PREFIX)) return refused("has no `z` (base58btc) multibase prefix");
  let bytes: Uint8Array;
  try {
    bytes = base58.decode(text.slice(PREFIX.length));
  } catch {
    return refused("is not base58btc after `did:key:z`");
  }
  return bytes.length === 0 ? refused("holds no key after `did:key:z`") : { ok: true, bytes };
}

/**
 * The Ed25519 public key in decoded did:key bytes.
 *
 * @returns 32 bytes, or `undefined` when the multicodec is another or the length is wrong.
 */
export function ed25519KeyOf(bytes: Uint8Array): Uint8Array | undefined {
  const [first, second] = ED25519_MULTICODEC;
  if (bytes[0] !== first || bytes[1] !== second) return undefined;
  const key = bytes.slice(2);
  return key.length === PUBLIC_KEY_BYTES ? key : undefined;
}

/** The did:key of an Ed25519 public key of 32 bytes. */
export function didKeyOf(public_key: Uint8Array): string {
  return PREFIX + base58.encode(Uint8Array.of(...ED25519_MULTICODEC, ...public_key));
}

function refused(message: string): DidKey {
  return { ok: false, message };
}
