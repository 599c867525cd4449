/**
 * Enrolments: how organisation and team of an agent become an operator's word instead of its own
 * (trap 38). The token is shown once and kept as a hash; a use is spent in the same write as the
 * registration it admits.
 *
 * @module
 */
import { RISK_TIERS, type RiskTier } from "../../core/principal.ts";
import { LIMITS } from "../../core/limits.ts";
import type { EntryDraft } from "../../core/audit/entry.ts";
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import type { Clock } from "../clock.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { AgentTriple } from "../identity/keys.ts";
import { claimsSpiffe, parseSpiffeId, parseWorkloadId } from "../identity/spiffe.ts";
import { newEnrolmentToken, TOKEN_CHARS_MAX, tokenHash } from "../identity/tokens.ts";
import { ChangeQueue } from "./change_queue.ts";
import {
  type Enrolment,
  type EnrolmentState,
  enrolmentState,
  enrolmentText,
  readEnrolment,
} from "./enrolment_record.ts";
import type { Admission } from "./registry.ts";

/** Bounds of enrolments. */
export const ENROLMENT_LIMITS = {
  /** Enrolments kept; at it the oldest ended ones give way, and when all are live one more is refused. */
  enrolments: 10_000,
  /** Agents that one enrolment may admit; more: refused. */
  uses: 100_000,
  /** Longest life of an enrolment, milliseconds; longer: refused. */
  life_ms: 366 * 24 * 60 * 60 * 1000,
  /** SPIFFE ids and trust domains of one enrolment; more: refused. */
  spiffe_names: 64,
} as const;

/** Why an enrolment was not created, used or revoked. */
export type EnrolmentFailure =
  | "invalid_field"
  | "limit_reached"
  | "not_found"
  /** The token is unknown, or its enrolment has ended. */
  | "token_refused"
  /** The agent is not one whom the enrolment admits. */
  | "not_admitted"
  | "wrong_state";

/** A refused enrolment; the message names the field and what was expected. */
export class EnrolmentError extends Error {
  override readonly name = "EnrolmentError";

  constructor(readonly code: EnrolmentFailure, message: string) {
    super(message);
  }
}

/** What an operator asks for. */
export interface EnrolmentRequest {
  readonly org_id: string;
  readonly team_id: string;
  readonly max_uses: number;
  readonly expires_at_ms: number;
  readonly risk_tiers: readonly RiskTier[];
  readonly spiffe: readonly string[];
  /** Name of the operator. */
  readonly operator: string;
}

/** Who wants to register. */
export interface Applicant extends AgentTriple {
  readonly risk_tier?: RiskTier;
  /** Its SPIFFE id is that of the connection's verified certificate. */
  readonly certified: boolean;
}

/** A made or revoked enrolment, with its entry in the log. */
export interface EnrolmentChange {
  readonly enrolment: Enrolment;
  readonly audit_index: bigint;
}

/** What the enrolments need. */
export interface EnrolmentOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  readonly clock: Clock;
  /** Makes an entry durable; a rejection stops the change. */
  readonly record: (entry: EntryDraft) => Promise<bigint>;
}

/** The enrolments of one gateway. Memory changes only after the durable write. */
export class Enrolments {
  readonly #options: EnrolmentOptions;
  /** By id, oldest first. */
  readonly #by_id = new Map<string, Enrolment>();
  readonly #by_hash = new Map<string, string>();
  /** One change of an enrolment after another: a use must not undo a revocation. */
  readonly #queue = new ChangeQueue();

  private constructor(options: EnrolmentOptions) {
    this.#options = options;
  }

  /**
   * Loads the enrolments of a store.
   *
   * @throws {EnrolmentDamage} when a record is not what was written.
   */
  static async open(options: EnrolmentOptions): Promise<Enrolments> {
    const enrolments = new Enrolments(options);
    const all: Enrolment[] = [];
    for await (const page of options.store.records("enrolments")) {
      all.push(...page.map(readEnrolment));
    }
    all.sort((a, b) => a.created_at_ms - b.created_at_ms);
    for (const enrolment of all) enrolments.#install(enrolment);
    return enrolments;
  }

  /** How many are kept. */
  get size(): number {
    return this.#by_id.size;
  }

  /** One enrolment. */
  byId(id: string): Enrolment | undefined {
    return this.#by_id.get(id);
  }

  /** Every enrolment with its state now, oldest first. Holds hashes, never tokens. */
  list(): readonly { readonly enrolment: Enrolment; readonly state: EnrolmentState }[] {
    const now_ms = this.#options.clock.now_ms();
    return [...this.#by_id.values()].map((enrolment) => ({
      enrolment,
      state: enrolmentState(enrolment, now_ms),
    }));
  }

  /**
   * Makes an enrolment.
   *
   * @returns The token: this is the only time it exists outside its owner's hands.
   * @throws {EnrolmentError} `invalid_field`, `limit_reached`; nothing was made then.
   */
  create(request: EnrolmentRequest): Promise<EnrolmentChange & { readonly token: string }> {
    return this.#queue.alone(async () => {
      const now_ms = this.#options.clock.now_ms();
      checkRequest(request, now_ms);
      const forgotten = this.#roomFor(now_ms);
      const token = newEnrolmentToken();
      const { operator, ...fields } = request;
      const enrolment: Enrolment = {
        id: crypto.randomUUID(),
        ...fields,
        token_hash: tokenHash(token),
        uses: 0,
        created_at_ms: now_ms,
        created_by: `operator:${operator}`,
      };
      const audit_index = await this.#change("enrolment_created", enrolment, operator, "", [
        put(enrolment),
        ...forgotten.map((key): Mutation => ({
          kind: "delete_record",
          collection: "enrolments",
          key,
        })),
      ]);
      for (const id of forgotten) this.#forget(id);
      this.#install(enrolment);
      return { enrolment, token, audit_index };
    });
  }

  /**
   * Ends an enrolment. Agents that registered with it stay.
   *
   * @throws {EnrolmentError} `not_found`; `wrong_state` when it is revoked already.
   */
  revoke(id: string, reason: string, operator: string): Promise<EnrolmentChange> {
    return this.#queue.withAgent(id, async () => {
      const enrolment = this.#by_id.get(id);
      if (enrolment === undefined) {
        throw new EnrolmentError("not_found", `id: there is no enrolment \`${id.slice(0, 64)}\``);
      }
      if (enrolment.revoked_at_ms !== undefined) {
        throw new EnrolmentError("wrong_state", "the enrolment is revoked already");
      }
      const after = { ...enrolment, revoked_at_ms: this.#options.clock.now_ms() };
      const audit_index = await this.#change("enrolment_revoked", after, operator, reason, [
        put(after),
      ]);
      this.#install(after);
      return { enrolment: after, audit_index };
    });
  }

  /**
   * Admits an agent: checks the token and whom it admits, then runs `register` with the use that it
   * costs. A registration that fails costs nothing.
   *
   * @throws {EnrolmentError} `token_refused`, `not_admitted`; and whatever `register` throws.
   */
  async admit<T>(
    token: string,
    applicant: Applicant,
    register: (admission: Admission) => Promise<T>,
  ): Promise<T> {
    const id = token.length > TOKEN_CHARS_MAX ? undefined : this.#by_hash.get(tokenHash(token));
    if (id === undefined) {
      throw new EnrolmentError(
        "token_refused",
        "x-aa-enrolment: is no enrolment token of this gateway: ask an operator for one",
      );
    }
    return await this.#queue.withAgent(id, async () => {
      const enrolment = this.#live(id);
      checkApplicant(enrolment, applicant);
      const after = { ...enrolment, uses: enrolment.uses + 1 };
      const result = await register({ enrolment_id: id, beside: [put(after)] });
      this.#install(after);
      return result;
    });
  }

  #live(id: string): Enrolment {
    const enrolment = this.#by_id.get(id);
    const state = enrolment === undefined
      ? "revoked"
      : enrolmentState(enrolment, this.#options.clock.now_ms());
    if (enrolment !== undefined && state === "live") return enrolment;
    const why = { live: "", used_up: "is used up", expired: "has expired", revoked: "is revoked" };
    throw new EnrolmentError(
      "token_refused",
      `x-aa-enrolment: the enrolment ${why[state]}: ask an operator for a new one`,
    );
  }

  /** Records, stores; a change that could not be stored is recorded as not made. */
  async #change(
    action: string,
    enrolment: Enrolment,
    operator: string,
    reason: string,
    mutations: readonly Mutation[],
  ): Promise<bigint> {
    const { record, store, clock } = this.#options;
    const { token_hash: _, ...shown } = enrolment;
    const facts = {
      actor: `operator:${operator}`,
      after: shown,
      org: enrolment.org_id,
      reason,
      team: enrolment.team_id,
    };
    const index = await record(governanceEntry(action, facts, clock));
    try {
      await store.commit(mutations);
    } catch (error) {
      await record(governanceEntry(`${action}_not_applied`, facts, clock)).catch(() => {});
      throw error;
    }
    return index;
  }

  /** Ids of ended enrolments that give way to a new one. */
  #roomFor(now_ms: number): string[] {
    const excess = this.#by_id.size + 1 - ENROLMENT_LIMITS.enrolments;
    if (excess <= 0) return [];
    const ended = [...this.#by_id.values()]
      .filter((enrolment) => enrolmentState(enrolment, now_ms) !== "live")
      .slice(0, excess).map(({ id }) => id);
    if (ended.length === excess) return ended;
    throw new EnrolmentError(
      "limit_reached",
      `\`${ENROLMENT_LIMITS.enrolments}\` enrolments are live already; revoke one first`,
    );
  }

  #install(enrolment: Enrolment): void {
    this.#by_id.set(enrolment.id, enrolment);
    this.#by_hash.set(enrolment.token_hash, enrolment.id);
  }

  #forget(id: string): void {
    const enrolment = this.#by_id.get(id);
    if (enrolment !== undefined) this.#by_hash.delete(enrolment.token_hash);
    this.#by_id.delete(id);
  }
}

function put(enrolment: Enrolment): Mutation {
  return {
    kind: "put_record",
    collection: "enrolments",
    key: enrolment.id,
    value: enrolmentText(enrolment),
  };
}

function checkApplicant(enrolment: Enrolment, applicant: Applicant): void {
  for (const field of ["org_id", "team_id"] as const) {
    if (applicant[field] === enrolment[field]) continue;
    throw notAdmitted(
      `agent_id.${field}: is \`${applicant[field].slice(0, 64)}\`, the enrolment is for ` +
        `\`${enrolment[field].slice(0, 64)}\``,
    );
  }
  const { risk_tiers, spiffe } = enrolment;
  if (risk_tiers.length > 0 && !risk_tiers.some((tier) => tier === applicant.risk_tier)) {
    throw notAdmitted(
      `risk_tier: is \`${applicant.risk_tier ?? "unspecified"}\`, the enrolment admits ` +
        risk_tiers.join(", "),
    );
  }
  if (spiffe.length === 0 && claimsSpiffe(applicant.agent_id) && !applicant.certified) {
    throw notAdmitted("agent_id.agent_id: is a SPIFFE id, and the enrolment names none");
  }
  if (spiffe.length > 0 && !spiffe.some((name) => covers(name, applicant.agent_id))) {
    throw notAdmitted("agent_id.agent_id: is none of the SPIFFE ids that the enrolment names");
  }
}

/** Whether a SPIFFE id is the named one, or of the named trust domain. */
function covers(name: string, agent_id: string): boolean {
  const named = parseSpiffeId(name);
  const claimed = parseWorkloadId(agent_id);
  if (!named.ok || !claimed.ok || named.trust_domain !== claimed.trust_domain) return false;
  return named.path === "" || named.path === claimed.path;
}

function notAdmitted(message: string): EnrolmentError {
  return new EnrolmentError("not_admitted", message);
}

function checkRequest(request: EnrolmentRequest, now_ms: number): void {
  for (const field of ["org_id", "team_id"] as const) {
    const text = request[field];
    if (/\p{Cc}/u.test(text)) throw invalid(field, "holds a control character");
    if (!text.isWellFormed()) throw invalid(field, "holds half a surrogate pair");
    if (new TextEncoder().encode(text).length > LIMITS.identifier_bytes) {
      throw invalid(field, `is longer than ${LIMITS.identifier_bytes} bytes`);
    }
  }
  if (request.org_id === "" && request.team_id === "") {
    throw invalid("org_id", "and team_id are both empty: an enrolment is for one of them at least");
  }
  const { max_uses, expires_at_ms, risk_tiers, spiffe } = request;
  if (!Number.isSafeInteger(max_uses) || max_uses < 1 || max_uses > ENROLMENT_LIMITS.uses) {
    throw invalid("max_uses", `is \`${max_uses}\`, expected 1 to ${ENROLMENT_LIMITS.uses}`);
  }
  if (!Number.isSafeInteger(expires_at_ms) || expires_at_ms <= now_ms) {
    throw invalid("expires_at_unix_ms", "is not in the future: every enrolment ends");
  }
  if (expires_at_ms - now_ms > ENROLMENT_LIMITS.life_ms) {
    throw invalid("expires_at_unix_ms", "is more than 366 days ahead");
  }
  if (risk_tiers.length > RISK_TIERS.length) throw invalid("risk_tiers", "names a tier twice");
  if (spiffe.length > ENROLMENT_LIMITS.spiffe_names) {
    throw invalid(
      "spiffe",
      `has \`${spiffe.length}\` names, at most ${ENROLMENT_LIMITS.spiffe_names}`,
    );
  }
  for (const name of spiffe) {
    const id = parseSpiffeId(name);
    if (!id.ok) throw invalid("spiffe", `\`${name.slice(0, 64)}\` ${id.message}`);
  }
}

function invalid(field: string, message: string): EnrolmentError {
  return new EnrolmentError("invalid_field", `${field}: ${message}`);
}
