/**
 * One-call credentials: a random token that stands for some secrets in exactly one approved call of
 * one tool by one agent, once, until it expires. Who carries the call out (the proxy) changes the
 * token for the values; the agent never holds them.
 *
 * Tokens are kept as hashes. Use is durable before the values leave, so that no crash gives a second.
 *
 * @module
 */
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import { SECRET_LIMITS } from "../../core/secrets/limits.ts";
import { tokenHash } from "../identity/tokens.ts";
import { Turns, TurnsBusy } from "../turns.ts";
import { SecretError } from "./failure.ts";
import { parsed, type SecretTenant } from "./record.ts";

/** Start of every one-call credential, so that it is recognised wherever it turns up. */
export const ONE_CALL_PREFIX = "aasm_once_";
const TOKEN = /aasm_once_[A-Za-z0-9_-]{43}/g;
const KEY_PREFIX = "one_call\u001f";

/** What a credential is good for. */
export interface OneCallScope extends SecretTenant {
  /** Registry key of the agent. */
  readonly agent_key: string;
  readonly tool: string;
  /** Names of the secrets it stands for. */
  readonly names: readonly string[];
  /** The allowed decision it was issued for; one decision gets one credential. */
  readonly audit_index: bigint;
  /** What the carrier must name again when it redeems; empty: nothing. */
  readonly action_digest: string;
}

/** A credential as it is kept. */
export interface OneCallRecord extends OneCallScope {
  readonly id: string;
  readonly token_hash: string;
  readonly issued_at_ms: number;
  readonly expires_at_ms: number;
  /** Absent until it is used. */
  readonly used_at_ms?: number;
}

/** What these credentials work with. */
export interface OneCallOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  readonly record: (action: string, facts: Readonly<Record<string, unknown>>) => Promise<bigint>;
  readonly now_ms: () => number;
}

/** The credentials of one gateway. */
export class OneCallCredentials {
  readonly #on: OneCallOptions;
  readonly #by_hash = new Map<string, OneCallRecord>();
  readonly #by_decision = new Map<bigint, string>();
  readonly #turns = new Turns(SECRET_LIMITS.one_call_credentials);
  #damaged = 0;

  private constructor(options: OneCallOptions) {
    this.#on = options;
  }

  /** Loads what was issued. A record that cannot be read redeems nothing. */
  static async open(options: OneCallOptions): Promise<OneCallCredentials> {
    const credentials = new OneCallCredentials(options);
    for await (const page of options.store.records("issued_credentials")) {
      for (const { key, value } of page) {
        if (!key.startsWith(KEY_PREFIX)) continue;
        const record = recordFrom(key, value);
        if (record === undefined) credentials.#damaged++;
        else credentials.#install(record);
      }
    }
    return credentials;
  }

  /** Records that could not be read. */
  get damaged(): number {
    return this.#damaged;
  }

  /**
   * Issues a credential.
   *
   * @param life_ms 0: the default.
   * @returns The token: this is the only time it exists outside its holder's hands.
   * @throws {SecretError}
   */
  issue(
    scope: OneCallScope,
    life_ms: number,
    actor: string,
  ): Promise<
    { readonly token: string; readonly record: OneCallRecord; readonly audit_index: bigint }
  > {
    return this.#inTurn(async () => {
      const now_ms = this.#on.now_ms();
      if (this.#by_decision.has(scope.audit_index)) {
        throw new SecretError(
          "refused",
          `audit_index: a credential was already issued for decision ${scope.audit_index}`,
        );
      }
      const open = [...this.#by_hash.values()].filter((one) => isOpen(one, now_ms)).length;
      if (open >= SECRET_LIMITS.one_call_credentials) {
        throw new SecretError("limit_reached", `${open} one-call credentials are open: try later`);
      }
      const secret = crypto.getRandomValues(new Uint8Array(32));
      const token = ONE_CALL_PREFIX + secret.toBase64({ alphabet: "base64url", omitPadding: true });
      secret.fill(0);
      const token_hash = tokenHash(token);
      const life = life_ms === 0 ? SECRET_LIMITS.one_call_ms_default : life_ms;
      const record: OneCallRecord = {
        ...scope,
        id: token_hash.slice(0, 16),
        token_hash,
        issued_at_ms: now_ms,
        expires_at_ms: now_ms + Math.min(life, SECRET_LIMITS.one_call_ms_max),
      };
      const audit_index = await this.#evidence("one_call_credential_issued", actor, record);
      await this.#commit([put(record)]);
      this.#install(record);
      return { token, record, audit_index };
    });
  }

  /**
   * Uses a credential up, for good.
   *
   * @throws {SecretError} `refused`: unknown, used, expired, or for another call. A credential shown
   * for the wrong call stays usable for the right one.
   */
  redeem(
    token: string,
    call: { readonly agent_key: string; readonly tool: string; readonly action_digest: string },
    actor: string,
  ): Promise<OneCallRecord> {
    return this.#inTurn(async () => {
      const now_ms = this.#on.now_ms();
      const record = token.length > 128 ? undefined : this.#by_hash.get(tokenHash(token));
      if (record === undefined) throw refused("is unknown");
      if (record.used_at_ms !== undefined) throw refused("was used before");
      if (!isOpen(record, now_ms)) throw refused("has expired");
      if (
        record.agent_key !== call.agent_key || record.tool !== call.tool ||
        record.action_digest !== call.action_digest
      ) throw refused("was issued for another call");
      await this.#evidence("one_call_credential_redeemed", actor, record);
      const used: OneCallRecord = { ...record, used_at_ms: now_ms };
      // Out of memory first: while the store writes, nobody else may use it; if it fails, nobody ever.
      this.#install(used);
      await this.#commit([put(used)]);
      return used;
    });
  }

  /** The credentials that stand in a text, whatever became of them. */
  found(text: string): OneCallRecord[] {
    const records = [...text.matchAll(TOKEN)].map(([token]) => this.#by_hash.get(tokenHash(token)));
    return [...new Set(records.filter((record) => record !== undefined))];
  }

  /** Forgets what ended long ago. */
  async tick(now_ms: number): Promise<void> {
    const old = [...this.#by_hash.values()].filter((record) =>
      now_ms - record.expires_at_ms > SECRET_LIMITS.one_call_remembered_ms
    );
    if (old.length === 0) return;
    await this.#on.store.commit(old.map((record) => (
      { kind: "delete_record", collection: "issued_credentials", key: keyOf(record) }
    )));
    for (const record of old) {
      this.#by_hash.delete(record.token_hash);
      this.#by_decision.delete(record.audit_index);
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#turns.idle();
  }

  #install(record: OneCallRecord): void {
    this.#by_hash.set(record.token_hash, record);
    this.#by_decision.set(record.audit_index, record.token_hash);
  }

  async #evidence(action: string, actor: string, record: OneCallRecord): Promise<bigint> {
    const { id, agent_key, org_id, team_id, tool, names, expires_at_ms } = record;
    try {
      return await this.#on.record(action, {
        ...{ actor, id, agent_key, org_id, team_id, tool, names, expires_at_ms },
        decision_index: String(record.audit_index),
      });
    } catch (error) {
      throw new SecretError("audit_unavailable", "nothing was changed: it could not be recorded", {
        cause: error,
      });
    }
  }

  async #commit(mutations: readonly Mutation[]): Promise<void> {
    try {
      await this.#on.store.commit(mutations);
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      throw new SecretError("storage_failed", `could not be stored: ${cause}`, { cause: error });
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#turns.run(work);
    } catch (error) {
      if (error instanceof TurnsBusy) throw new SecretError("busy", error.message);
      throw error;
    }
  }
}

/** A clock set back to before the issue makes nothing live longer. */
function isOpen(record: OneCallRecord, now_ms: number): boolean {
  return record.used_at_ms === undefined && now_ms >= record.issued_at_ms &&
    now_ms < record.expires_at_ms;
}

function refused(why: string): SecretError {
  return new SecretError("refused", `credential: ${why}; have the call decided again`);
}

function keyOf({ token_hash }: OneCallRecord): string {
  return KEY_PREFIX + token_hash;
}

function put(record: OneCallRecord): Mutation {
  const value = JSON.stringify({ v: 1, ...record, audit_index: String(record.audit_index) });
  return { kind: "put_record", collection: "issued_credentials", key: keyOf(record), value };
}

function recordFrom(key: string, text: string): OneCallRecord | undefined {
  const raw = parsed(text);
  if (raw === undefined) return undefined;
  const { v: _version, audit_index, names, used_at_ms, ...rest } = raw;
  const { org_id, team_id, agent_key, tool, action_digest, id, token_hash } = rest;
  const texts = [org_id, team_id, agent_key, tool, action_digest, id, token_hash];
  if (!texts.every((one) => typeof one === "string")) return undefined;
  if (typeof audit_index !== "string" || !/^\d{1,20}$/.test(audit_index)) return undefined;
  if (!Array.isArray(names) || !names.every((one) => typeof one === "string")) return undefined;
  const times = [rest["issued_at_ms"], rest["expires_at_ms"], used_at_ms ?? 0];
  if (!times.every((one) => Number.isSafeInteger(one))) return undefined;
  const record = {
    ...rest,
    names,
    audit_index: BigInt(audit_index),
    ...(used_at_ms === undefined ? {} : { used_at_ms }),
  } as unknown as OneCallRecord;
  return keyOf(record) === key ? record : undefined;
}
