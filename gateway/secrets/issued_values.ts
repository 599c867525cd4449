/**
 * Everything that was ever issued, as fingerprints: sealed on disk under a key derived from the
 * fingerprint key, in memory as keyed hashes. No value can be read back from either.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import { SECRET_LIMITS } from "../../core/secrets/limits.ts";
import {
  type Fingerprint,
  type FingerprintKey,
  fingerprintKey,
  fingerprintsOf,
  OutboundIndex,
  type ScanResult,
} from "../../core/secrets/outbound.ts";
import { seal, unseal } from "./envelope.ts";
import { SealError } from "./failure.ts";
import type { KeyRing, MasterKey } from "./key_ring.ts";
import {
  issuedKey,
  issuedPurpose,
  type IssuedRecord,
  secretKey,
  type SecretTenant,
  type SecretVersion,
} from "./record.ts";

/** Id of the key that seals fingerprints; it is derived, so it never changes. */
const SEALED_UNDER = "fingerprint_key";
const FORMS: readonly string[] = ["raw", "base64", "base64url", "hex"];
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true });

/** The fingerprints of one gateway. */
export class IssuedValues {
  readonly #index: OutboundIndex<SecretVersion>;
  readonly #key: FingerprintKey;
  readonly #ring: KeyRing;
  readonly #known = new Set<string>();
  readonly #highest = new Map<string, number>();
  /** The secret of the key, until it is sealed. */
  #secret: Uint8Array<ArrayBuffer> | undefined;

  private constructor(key: FingerprintKey, sealing: MasterKey, secret?: Uint8Array<ArrayBuffer>) {
    this.#key = key;
    this.#ring = { active: sealing, keys: new Map([[sealing.id, sealing]]) };
    this.#index = new OutboundIndex(key);
    this.#secret = secret;
  }

  /** With a new key, which {@linkcode takeSecret} gives out once. */
  static async create(): Promise<IssuedValues> {
    const secret = crypto.getRandomValues(new Uint8Array(32));
    return new IssuedValues(fingerprintKey(secret), await sealingKey(secret), secret);
  }

  /** With a key that was kept. @param secret Zeros afterwards. */
  static async from(secret: Uint8Array<ArrayBuffer>): Promise<IssuedValues> {
    try {
      return new IssuedValues(fingerprintKey(secret), await sealingKey(secret));
    } finally {
      secret.fill(0);
    }
  }

  /** Values known. */
  get size(): number {
    return this.#known.size;
  }

  /** The secret of a new key, to be sealed and overwritten. */
  takeSecret(): Uint8Array<ArrayBuffer> {
    const secret = this.#secret;
    if (secret === undefined) throw new Error("the fingerprint key was taken before");
    this.#secret = undefined;
    return secret;
  }

  /** Fingerprints of a value; none when it is too short. */
  fingerprints(value: Uint8Array): Fingerprint[] {
    return fingerprintsOf(value, this.#key);
  }

  /** The record that keeps fingerprints. */
  async sealed(
    version: SecretVersion,
    fingerprints: readonly Fingerprint[],
  ): Promise<IssuedRecord> {
    const { org_id, team_id, name, version: number } = version;
    const text = ENCODER.encode(JSON.stringify(fingerprints));
    const sealed = await seal(this.#ring.active, issuedPurpose(version), text);
    return { org_id, team_id, name, version: number, sealed };
  }

  /** Takes a kept record up. @throws {SealError} when it is not as it was written. */
  async load(record: IssuedRecord): Promise<void> {
    const text = await unseal(this.#ring, issuedPurpose(record), record.sealed);
    const fingerprints: unknown = JSON.parse(DECODER.decode(text));
    if (!Array.isArray(fingerprints) || !fingerprints.every(isFingerprint)) {
      throw new SealError("damaged", "its fingerprints are of another form");
    }
    this.add(record, fingerprints);
  }

  /** Looks for a value from now on. */
  add(version: SecretVersion, fingerprints: readonly Fingerprint[]): void {
    const { org_id, team_id, name } = version;
    this.#index.add(fingerprints, { org_id, team_id, name, version: version.version });
    this.#known.add(issuedKey(version));
    const key = secretKey(version, name);
    this.#highest.set(key, Math.max(version.version, this.#highest.get(key) ?? 0));
  }

  /** Whether a value is known. */
  has(version: SecretVersion): boolean {
    return this.#known.has(issuedKey(version));
  }

  /** The highest version a name ever had. */
  highestVersion(tenant: SecretTenant, name: string, at_least: number): number {
    return Math.max(at_least, this.#highest.get(secretKey(tenant, name)) ?? 0);
  }

  /** Looks for every value in outbound bytes. */
  scan(outbound: Uint8Array): ScanResult<SecretVersion> {
    return this.#index.scan(outbound);
  }
}

async function sealingKey(secret: Uint8Array): Promise<MasterKey> {
  const raw = new Uint8Array(
    createHmac("sha256", secret).update("aasm-fingerprint/seal").digest(),
  );
  try {
    const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
    return { id: SEALED_UNDER, key };
  } finally {
    raw.fill(0);
  }
}

function isFingerprint(raw: unknown): raw is Fingerprint {
  if (typeof raw !== "object" || raw === null) return false;
  const { form, length, anchor, hash, mac } = raw as Record<string, unknown>;
  return typeof form === "string" && FORMS.includes(form) &&
    isCount(length) && isCount(anchor) && isCount(hash) &&
    anchor + SECRET_LIMITS.scanned_bytes_min <= length &&
    typeof mac === "string" && /^[0-9a-f]{32}$/.test(mac);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
