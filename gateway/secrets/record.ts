/**
 * What the store keeps of secrets: sealed values, fingerprints of everything issued, the wrapped key
 * of the fingerprints. Read back strictly; a record that differs in anything is damaged.
 *
 * @module
 */
import { isSecretName } from "../../core/secrets/name.ts";
import { type Sealed, sealedFrom } from "./envelope.ts";

/** Whose a secret is: from the verified caller, never from a request of its own. */
export interface SecretTenant {
  readonly org_id: string;
  readonly team_id: string;
}

/** Which value of which secret. */
export interface SecretVersion extends SecretTenant {
  readonly name: string;
  /** Counts the values that a name ever had, deleted ones included, from 1. */
  readonly version: number;
}

/** A secret, sealed. */
export interface SecretRecord extends SecretVersion {
  /** Tools that may receive it; empty: any that the agent may call. */
  readonly tools: readonly string[];
  /** Whether outbound bytes are scanned for it. */
  readonly scanned: boolean;
  readonly created_at_ms: number;
  readonly created_by: string;
  readonly sealed: Sealed;
}

/** Sealed fingerprints of one value. They outlive the secret. */
export interface IssuedRecord extends SecretVersion {
  readonly sealed: Sealed;
}

/** Separates the parts of a storage key (contract `wire` §1.7); no tenant id holds it. */
const SEPARATOR = "\u001f";
/** Where the wrapped key of the fingerprints is kept, in `secret_keys`. */
export const FINGERPRINT_KEY = "fingerprint_key";
/** What the fingerprint key is sealed for. */
export const FINGERPRINT_KEY_PURPOSE = "aasm-fingerprint-key/1";
const ISSUED_PREFIX = `value${SEPARATOR}`;

/** Storage key of a secret. */
export function secretKey({ org_id, team_id }: SecretTenant, name: string): string {
  return [org_id, team_id, name].join(SEPARATOR);
}

/** Storage key of a value's fingerprints. */
export function issuedKey({ org_id, team_id, name, version }: SecretVersion): string {
  return ISSUED_PREFIX + [org_id, team_id, name, version].join(SEPARATOR);
}

/** Whether a record of `issued_credentials` holds fingerprints. */
export function isIssuedKey(key: string): boolean {
  return key.startsWith(ISSUED_PREFIX);
}

/** What a value is sealed for. */
export function secretPurpose(record: Omit<SecretRecord, "sealed">): string {
  const { org_id, team_id, name, version, tools, scanned } = record;
  return JSON.stringify(["aasm-secret/1", org_id, team_id, name, version, tools, scanned]);
}

/** What fingerprints are sealed for. */
export function issuedPurpose({ org_id, team_id, name, version }: SecretVersion): string {
  return JSON.stringify(["aasm-issued/1", org_id, team_id, name, version]);
}

/** The stored form. */
export function recordText(record: SecretRecord | IssuedRecord): string {
  return JSON.stringify({ v: 1, ...record });
}

/** Reads a secret back. @returns `undefined` when it is not one, or not the one of this key. */
export function secretFrom(key: string, text: string): SecretRecord | undefined {
  const raw = parsed(text);
  const version = raw && versionFrom(raw);
  const sealed = raw && sealedFrom(raw["sealed"]);
  if (raw === undefined || version === undefined || sealed === undefined) return undefined;
  if (secretKey(version, version.name) !== key) return undefined;
  const { tools, scanned, created_at_ms, created_by } = raw;
  if (!Array.isArray(tools) || !tools.every((tool) => typeof tool === "string")) return undefined;
  if (typeof scanned !== "boolean" || !isInteger(created_at_ms)) return undefined;
  if (typeof created_by !== "string") return undefined;
  return { ...version, tools, scanned, created_at_ms, created_by, sealed };
}

/** Reads fingerprints back, still sealed. */
export function issuedFrom(key: string, text: string): IssuedRecord | undefined {
  const raw = parsed(text);
  const version = raw && versionFrom(raw);
  const sealed = raw && sealedFrom(raw["sealed"]);
  if (version === undefined || sealed === undefined) return undefined;
  return issuedKey(version) === key ? { ...version, sealed } : undefined;
}

function versionFrom(raw: Record<string, unknown>): SecretVersion | undefined {
  const { org_id, team_id, name, version } = raw;
  if (typeof org_id !== "string" || typeof team_id !== "string") return undefined;
  if (typeof name !== "string" || !isSecretName(name)) return undefined;
  if (!isInteger(version) || version < 1) return undefined;
  return { org_id, team_id, name, version };
}

/** A JSON object of this version. */
export function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const raw: unknown = JSON.parse(text);
    if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return undefined;
    const record = raw as Record<string, unknown>;
    return record["v"] === 1 ? record : undefined;
  } catch {
    return undefined;
  }
}

function isInteger(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value);
}
