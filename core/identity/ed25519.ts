/**
 * Strict Ed25519 verification (contract `wire` §6.2): one signature, one answer.
 *
 * Beyond RFC 8032 it refuses public keys and `R` of small order, for which a signature can hold
 * for many messages, and it checks the equation without the cofactor, so that no two verifiers of
 * one log can disagree (see "Taming the many EdDSAs", https://eprint.iacr.org/2020/1244).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519";

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;

/** Bytes of an Ed25519 signature. */
export const SIGNATURE_BYTES = 64;

/** Whether 32 bytes are the canonical encoding of a point of the curve. */
export function isPublicKey(bytes: Uint8Array): boolean {
  return decodePoint(bytes) !== undefined;
}

/**
 * Verifies a signature; every malformed input is a plain `false`.
 *
 * @param signature 64 bytes: `R`, then `s` little-endian.
 * @param message The signed bytes.
 * @param public_key 32 bytes.
 */
export function verifyStrict(
  signature: Uint8Array,
  message: Uint8Array,
  public_key: Uint8Array,
): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const encoded_r = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  if (s >= ORDER) return false;
  const key = decodePoint(public_key);
  const r = decodePoint(encoded_r);
  if (key === undefined || r === undefined || key.isSmallOrder() || r.isSmallOrder()) return false;
  const digest = createHash("sha512").update(encoded_r).update(public_key).update(message).digest();
  const k = littleEndian(digest) % ORDER;
  // s·B = R + k·A, with every value public: variable-time multiplication leaks nothing.
  return Point.BASE.multiplyUnsafe(s).equals(r.add(key.multiplyUnsafe(k)));
}

function decodePoint(bytes: Uint8Array): InstanceType<typeof Point> | undefined {
  if (bytes.length !== 32) return undefined;
  try {
    return Point.fromBytes(bytes, false);
  } catch {
    return undefined;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let hex = "";
  for (const byte of bytes) hex = byte.toString(16).padStart(2, "0") + hex;
  return BigInt(`0x${hex}`);
}
