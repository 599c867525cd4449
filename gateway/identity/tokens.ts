/**
 * Bearer tokens: how they are made, hashed and compared (contract `wire` §6.4).
 *
 * Only hashes are kept. A token is drawn at random with at least 122 bits, so a plain SHA-256 is
 * enough: there is nothing to guess offline.
 *
 * @module
 */
import { hash } from "node:crypto";

/** Longest token looked at, in UTF-16 units; a longer one cannot be ours. */
export const TOKEN_CHARS_MAX = 1_024;
/** Start of every operator token, so that scanners can recognise a leaked one. */
export const OPERATOR_TOKEN_PREFIX = "aasm_operator_";

/** Start of every enrolment token. */
export const ENROLMENT_TOKEN_PREFIX = "aasm_enrol_";

/** A new agent credential: UUID v4 text, lower case, from the platform's CSPRNG. */
export function newCredentialToken(): string {
  return crypto.randomUUID();
}

/** A new operator token: the prefix and 256 random bits as base64url. */
export function newOperatorToken(): string {
  return OPERATOR_TOKEN_PREFIX + randomSecret();
}

/** A new enrolment token: the prefix and 256 random bits as base64url. */
export function newEnrolmentToken(): string {
  return ENROLMENT_TOKEN_PREFIX + randomSecret();
}

function randomSecret(): string {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  return secret.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** SHA-256 of a token's UTF-8 text, 64 lower-case hex. */
export function tokenHash(token: string): string {
  return hash("sha256", token, "hex");
}

/**
 * Whether a presented token is the one whose hash is kept. Takes the same time wherever the hashes
 * differ.
 *
 * @param token As presented; empty and overlong ones are refused.
 * @param expected_hash 64 lower-case hex.
 */
export function tokenMatches(token: string, expected_hash: string): boolean {
  if (token === "" || token.length > TOKEN_CHARS_MAX) return false;
  return hashesEqual(tokenHash(token), expected_hash);
}

/**
 * Comparison of two hashes in hex that looks at every digit. Even without that, timing would tell
 * about the hash of a guess, never about the token.
 */
export function hashesEqual(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let index = 0; index < one.length; index++) {
    difference |= one.charCodeAt(index) ^ other.charCodeAt(index);
  }
  return difference === 0;
}
