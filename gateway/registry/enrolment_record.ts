/**
 * An enrolment: an operator's word that agents may join one organisation and team. What is kept of
 * it, and how it is read back.
 *
 * @module
 */
import { RISK_TIERS, type RiskTier } from "../../core/principal.ts";
import type { StoredRecord } from "../../storage/sqlite/records.ts";
import { parseSpiffeId } from "../identity/spiffe.ts";

/** One enrolment. */
export interface Enrolment {
  /** UUID. */
  readonly id: string;
  readonly org_id: string;
  /** Empty: agents of the organisation that belong to no team. */
  readonly team_id: string;
  /** SHA-256 of the token, 64 lower-case hex. */
  readonly token_hash: string;
  readonly max_uses: number;
  /** Registrations made with it. */
  readonly uses: number;
  readonly created_at_ms: number;
  readonly expires_at_ms: number;
  /** `operator:<name>`. */
  readonly created_by: string;
  /** Risk tiers that may register with it; empty: any, also none. */
  readonly risk_tiers: readonly RiskTier[];
  /** SPIFFE ids and trust domains that may, and then nobody else; empty: did:keys only. */
  readonly spiffe: readonly string[];
  readonly revoked_at_ms?: number;
}

/** Whether an enrolment can be used, and if not, why. */
export type EnrolmentState = "live" | "used_up" | "expired" | "revoked";

/** State at a moment. */
export function enrolmentState(enrolment: Enrolment, now_ms: number): EnrolmentState {
  if (enrolment.revoked_at_ms !== undefined) return "revoked";
  if (now_ms >= enrolment.expires_at_ms) return "expired";
  return enrolment.uses >= enrolment.max_uses ? "used_up" : "live";
}

/** Why the stored enrolments could not be read. */
export class EnrolmentDamage extends Error {
  override readonly name = "EnrolmentDamage";
}

/** The stored form. */
export function enrolmentText(enrolment: Enrolment): string {
  return JSON.stringify({ version: 1, ...enrolment });
}

/**
 * The enrolment of a stored record.
 *
 * @throws {EnrolmentDamage} naming record and field: a damaged enrolment is not guessed at, because
 * any guess could admit an agent.
 */
export function readEnrolment({ key, value }: StoredRecord): Enrolment {
  const damaged = (field: string): never => {
    throw new EnrolmentDamage(
      `cannot read enrolment \`${
        key.slice(0, 64)
      }\`: field \`${field}\` is not what was written; ` +
        "restore a backup, or delete the record and create the enrolment anew",
    );
  };
  const fields = objectOf(value) ?? damaged("(record)");
  const text = (name: string, shape = /^[^]*$/): string => {
    const found = fields[name];
    return typeof found === "string" && shape.test(found) ? found : damaged(name);
  };
  const count = (name: string): number => {
    const found = fields[name];
    return typeof found === "number" && Number.isSafeInteger(found) && found >= 0
      ? found
      : damaged(name);
  };
  const texts = <T extends string>(name: string, fits: (item: string) => item is T): T[] => {
    const found: unknown = fields[name];
    if (!Array.isArray(found)) return damaged(name);
    return found.map((item: unknown) =>
      typeof item === "string" && fits(item) ? item : damaged(name)
    );
  };
  if (fields["version"] !== 1) damaged("version");
  if (text("id") !== key) damaged("id");
  const revoked = fields["revoked_at_ms"] === undefined ? {} : {
    revoked_at_ms: count("revoked_at_ms"),
  };
  return {
    id: key,
    org_id: text("org_id"),
    team_id: text("team_id"),
    token_hash: text("token_hash", /^[0-9a-f]{64}$/),
    max_uses: count("max_uses"),
    uses: count("uses"),
    created_at_ms: count("created_at_ms"),
    expires_at_ms: count("expires_at_ms"),
    created_by: text("created_by"),
    risk_tiers: texts("risk_tiers", (item): item is RiskTier => RISK_TIERS.some((t) => t === item)),
    spiffe: texts("spiffe", (item): item is string => parseSpiffeId(item).ok),
    ...revoked,
  };
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const is_object = typeof value === "object" && value !== null && !Array.isArray(value);
    return is_object ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
