/**
 * One API key as it is kept, and read back strictly (contract `policy-and-gateway` §11.3).
 *
 * @module
 */
import { bindingProblem, type Grant } from "../../core/iam/permits.ts";
import { ROLES } from "../../core/iam/role.ts";
import { KEY_SCOPES, type KeyScope } from "../../core/iam/table.ts";

/** Start of every API key, so that scanners can recognise a leaked one. */
export const API_KEY_PREFIX = "aa_live_";
/** Characters of a key that stay visible. */
export const VISIBLE_CHARS = API_KEY_PREFIX.length + 4;

/** One API key: a further credential of an operator, at most as strong as the operator. */
export interface ApiKey extends Grant {
  /** `key_` and 16 hex. */
  readonly id: string;
  /** The operator whose key it is, and who acts when it is used. */
  readonly operator: string;
  readonly label: string;
  readonly key_scopes: readonly KeyScope[];
  /** The first characters of the present secret, `aa_live_xxxx`. */
  readonly prefix: string;
  /** SHA-256 of the present secret, 64 lower-case hex. */
  readonly hash: string;
  /** The secret before the last rotation, while it is still good. */
  readonly previous?: { readonly hash: string; readonly until_ms: number };
  readonly created_at_ms: number;
  readonly rotated_at_ms?: number;
  readonly expires_at_ms: number;
  readonly revoked_at_ms?: number;
  /** To the hour; absent: never used. */
  readonly last_used_ms?: number;
}

/** What a key is worth at a moment. `expired` is computed, never stored. */
export type KeyStatus = "active" | "revoked" | "expired";

/** The status of a key. */
export function keyStatus(key: ApiKey, now_ms: number): KeyStatus {
  if (key.revoked_at_ms !== undefined) return "revoked";
  return key.expires_at_ms <= now_ms ? "expired" : "active";
}

/** A secret and what is kept of it. */
export interface KeySecret {
  readonly secret: string;
  readonly prefix: string;
}

/** A new secret: the prefix and 256 bits of the platform's CSPRNG as base64url. */
export function newKeySecret(): KeySecret {
  const random = crypto.getRandomValues(new Uint8Array(32));
  const secret = API_KEY_PREFIX + random.toBase64({ alphabet: "base64url", omitPadding: true });
  return { secret, prefix: secret.slice(0, VISIBLE_CHARS) };
}

/** A new key id. */
export function newKeyId(): string {
  return `key_${crypto.getRandomValues(new Uint8Array(8)).toHex()}`;
}

/** The record of a key. */
export function keyText(key: ApiKey): string {
  return JSON.stringify(key);
}

/** Fields of a record and how each one must look. */
const FIELDS: Readonly<Record<keyof ApiKey, (value: unknown) => boolean>> = {
  id: (value) => isText(value) && /^key_[0-9a-f]{16}$/.test(value),
  operator: (value) => isText(value) && value !== "",
  label: isText,
  role: (value) => ROLES.some((role) => role === value),
  org_id: optional(isText),
  team_id: optional(isText),
  key_scopes: (value) =>
    Array.isArray(value) && value.length > 0 &&
    value.every((scope) => KEY_SCOPES.some((known) => known === scope)),
  prefix: (value) => isText(value) && value.length === VISIBLE_CHARS,
  hash: isHash,
  previous: optional((value) => {
    return isObject(value) && Object.keys(value).length === 2 && isHash(value["hash"]) &&
      isTime(value["until_ms"]);
  }),
  created_at_ms: isTime,
  rotated_at_ms: optional(isTime),
  expires_at_ms: isTime,
  revoked_at_ms: optional(isTime),
  last_used_ms: optional(isTime),
};

/**
 * The key of a record, or what is wrong with it. A record with a field too many or too few is
 * damage: what it was narrowed to can no longer be known.
 *
 * @param id The key under which it is stored.
 */
export function readKey(id: string, text: string): ApiKey | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "is no JSON";
  }
  if (!isObject(value)) return "is no object";
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(FIELDS, name));
  if (unknown !== undefined) return `has the unknown field \`${unknown.slice(0, 40)}\``;
  for (const [name, fits] of Object.entries(FIELDS)) {
    if (!fits(value[name])) return `field \`${name}\` is missing or wrong`;
  }
  // Every field was looked at above.
  const key = value as unknown as ApiKey;
  if (key.id !== id) return `belongs to \`${key.id}\``;
  const binding = bindingProblem(key);
  return binding === undefined ? key : `cannot be: ${binding}`;
}

function optional(fits: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => value === undefined || fits(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isTime(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isHash(value: unknown): boolean {
  return isText(value) && /^[0-9a-f]{64}$/.test(value);
}
