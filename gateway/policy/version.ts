/**
 * One version of the policy as it is kept, and read back strictly.
 *
 * @module
 */
import { setDigest, type SetMode } from "../../core/policy/history/policy_set.ts";

/** One file of a version. */
export interface VersionFile {
  readonly name: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Scope as written, e.g. `team:t1`. */
  readonly scope: string;
  /** Digest of what the document means, `sha256:<64 hex>`. */
  readonly document_id: string;
}

/** How a version came about. */
export type VersionOrigin = "start" | "file" | "apply" | "rollback" | "import";

/** One policy set that took effect. */
export interface PolicyVersion {
  /** Counts up from 1. */
  readonly version: number;
  /** Digest of the exact bytes of the set. */
  readonly digest: string;
  /** Digest of the set before; absent for the first. */
  readonly parent?: string;
  readonly mode: SetMode;
  readonly files: readonly VersionFile[];
  /** Whether the bytes are kept, or the set was too large for that. */
  readonly kept: boolean;
  readonly origin: VersionOrigin;
  /** `file`, or `operator:NAME`. */
  readonly author: string;
  /** The second person, under four eyes. */
  readonly confirmed_by?: string;
  readonly proposal_id?: string;
  readonly reason?: string;
  /** File, directory or `history` that held the set. */
  readonly source: string;
  readonly created_at_ms: number;
  /** Number of the audit entry that tells of it. */
  readonly audit_index: string;
  /** The version that was returned to. */
  readonly rollback_of?: number;
  /** The bundle it was taken from. */
  readonly bundle?: {
    readonly signer: string;
    readonly version: number;
    readonly forced: boolean;
  };
}

const ORIGINS: readonly VersionOrigin[] = ["start", "file", "apply", "rollback", "import"];

/**
 * The version of a record, or what is wrong with it. The digest is computed again: a list of files
 * that was tampered with does not pass for the version.
 */
export function readVersion(version: number, text: string): PolicyVersion | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  if (!isObject(value)) return "it is no object";
  for (const [name, fits] of Object.entries(FIELDS)) {
    if (!fits(value[name])) return `field \`${name}\` is missing or wrong`;
  }
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(FIELDS, name));
  if (unknown !== undefined) return `it has the unknown field \`${unknown.slice(0, 40)}\``;
  // Every field was looked at above.
  const read = value as unknown as PolicyVersion;
  if (read.version !== version) return `it belongs to version \`${read.version}\``;
  const digest = setDigest(read.mode, read.files);
  return digest === read.digest ? read : "its files do not give its digest";
}

const FIELDS: Readonly<Record<keyof PolicyVersion, (value: unknown) => boolean>> = {
  version: isCount,
  digest: isDigest,
  parent: optional(isDigest),
  mode: (value) => value === "single_file" || value === "directory",
  files: (value) => Array.isArray(value) && value.every(isFile),
  kept: (value) => typeof value === "boolean",
  origin: (value) => ORIGINS.some((known) => known === value),
  author: isText,
  confirmed_by: optional(isText),
  proposal_id: optional(isText),
  reason: optional(isText),
  source: isText,
  created_at_ms: isCount,
  audit_index: (value) => isText(value) && /^\d{1,20}$/.test(value),
  rollback_of: optional(isCount),
  bundle: optional((value) =>
    isObject(value) && isText(value["signer"]) && isCount(value["version"]) &&
    typeof value["forced"] === "boolean"
  ),
};

function isFile(value: unknown): boolean {
  return isObject(value) && isText(value["name"]) && value["name"] !== "" &&
    isText(value["sha256"]) && /^[0-9a-f]{64}$/.test(value["sha256"]) && isCount(value["bytes"]) &&
    isText(value["scope"]) && isDigest(value["document_id"]) && Object.keys(value).length === 5;
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

function isCount(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isDigest(value: unknown): boolean {
  return isText(value) && /^sha256:[0-9a-f]{64}$/.test(value);
}
