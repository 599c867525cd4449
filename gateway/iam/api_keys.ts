/**
 * The API keys of operators: made, rotated, revoked, and signed in with.
 *
 * A key is a further credential of one operator: it acts in that operator's name, with at most that
 * operator's role and tenant, and dies with it. Nobody can make or rotate a key for somebody else,
 * since that would be a way to act in somebody else's name.
 *
 * @module
 */
import { contains, type Grant, mayGrant } from "../../core/iam/permits.ts";
import { scopeOf } from "../../core/iam/role.ts";
import type { KeyScope } from "../../core/iam/table.ts";
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import {
  type AuthenticatedOperator,
  type Identification,
  type KeySource,
  type Operators,
} from "../identity/operators.ts";
import { SerialWrites } from "../identity/serial_writes.ts";
import { hashesEqual, tokenHash } from "../identity/tokens.ts";
import {
  API_KEY_PREFIX,
  type ApiKey,
  type KeyStatus,
  keyStatus,
  keyText,
  newKeyId,
  newKeySecret,
  readKey,
} from "./api_key.ts";
import { IAM_LIMITS } from "./limits.ts";

/** Why a key was not made, rotated or revoked. */
export class ApiKeyError extends Error {
  override readonly name = "ApiKeyError";
  readonly code: "invalid_field" | "not_allowed" | "not_found" | "ended" | "limit_reached";

  constructor(code: ApiKeyError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** A new key. */
export interface NewKey extends Grant {
  readonly label: string;
  readonly key_scopes: readonly KeyScope[];
  /** Seconds the key lives. */
  readonly ttl_seconds: number;
}

/** A key together with its secret: the only time the secret exists outside its owner's hands. */
export interface IssuedKey {
  readonly key: ApiKey;
  readonly secret: string;
}

/** A change that was checked and not made yet: the evidence goes first. */
export interface PreparedKey {
  readonly key: ApiKey;
  /** @throws {StoreError} when it could not be made durable; nothing changed then. */
  readonly apply: () => Promise<IssuedKey>;
}

/** The keys, in memory and in the store. Memory changes only after the durable write. */
export class ApiKeys implements KeySource {
  readonly #store: Pick<StateStore, "commit">;
  readonly #operators: Operators;
  readonly #now_ms: () => number;
  readonly #by_id = new Map<string, ApiKey>();
  readonly #by_hash = new Map<string, string>();
  readonly #damaged = new Map<string, string>();
  readonly #writes = new SerialWrites();
  /** Keys whose last use is newer than what the store has. */
  readonly #used = new Set<string>();
  #latest_ms = 0;

  private constructor(
    store: Pick<StateStore, "commit">,
    operators: Operators,
    now_ms: () => number,
  ) {
    this.#store = store;
    this.#operators = operators;
    this.#now_ms = now_ms;
  }

  /** Loads the keys. A record that cannot be understood signs nobody in and is named in {@linkcode damaged}. */
  static async open(
    store: Pick<StateStore, "commit" | "records">,
    operators: Operators,
    now_ms: () => number,
  ): Promise<ApiKeys> {
    const keys = new ApiKeys(store, operators, now_ms);
    for await (const page of store.records("api_keys")) {
      for (const { key: id, value } of page) {
        const read = readKey(id, value);
        if (typeof read === "string") keys.#damaged.set(id, read);
        else keys.#install(read);
      }
    }
    return keys;
  }

  /** Records that cannot be read, with what is wrong; none of them signs anybody in. */
  get damaged(): ReadonlyMap<string, string> {
    return this.#damaged;
  }

  /** Keys of the operators within a tenant, newest first. Holds hashes, never secrets. */
  list(within: Grant): readonly ApiKey[] {
    return [...this.#by_id.values()]
      .filter(({ org_id = "", team_id = "" }) => contains(within, { org_id, team_id }))
      .toSorted((a, b) => b.created_at_ms - a.created_at_ms || (a.id < b.id ? -1 : 1));
  }

  /** A key by id. */
  get(id: string): ApiKey | undefined {
    return this.#by_id.get(id);
  }

  /** What a key is worth now: a key of an ended operator is as ended. */
  statusOf(key: ApiKey): KeyStatus {
    this.#latest_ms = Math.max(this.#latest_ms, this.#now_ms());
    const own = keyStatus(key, this.#latest_ms);
    if (own !== "active") return own;
    const operator = this.#operators.get(key.operator);
    if (operator === undefined || !mayGrant(operator, key)) return "revoked";
    return this.#operators.stateOf(operator);
  }

  /** @inheritdoc */
  identify(token: string): Identification {
    if (!token.startsWith(API_KEY_PREFIX)) return { outcome: "unknown" };
    const presented = tokenHash(token);
    const key = this.#by_id.get(this.#by_hash.get(presented) ?? "");
    if (key === undefined) return { outcome: "unknown" };
    const status = this.statusOf(key);
    if (status !== "active") return { outcome: status };
    if (!hashesEqual(presented, key.hash)) {
      const { previous } = key;
      if (previous === undefined || !hashesEqual(presented, previous.hash)) {
        return { outcome: "unknown" };
      }
      if (previous.until_ms <= this.#latest_ms) return { outcome: "expired" };
    }
    this.#noteUse(key);
    return { outcome: "known", operator: signedIn(key) };
  }

  /**
   * Checks a new key of the operator who asks.
   *
   * @throws {ApiKeyError} `invalid_field`, `not_allowed`, `limit_reached`.
   */
  prepareCreate(actor: AuthenticatedOperator, wanted: NewKey): PreparedKey {
    refuseFields(wanted);
    if (!mayGrant(actor, wanted) || !withinScopes(actor, wanted.key_scopes)) {
      throw new ApiKeyError(
        "not_allowed",
        `a key can hold at most what its owner holds: role \`${actor.role}\`, its tenant` +
          (actor.key_scopes === undefined ? "" : ` and the scopes ${actor.key_scopes.join(", ")}`),
      );
    }
    this.#refuseOverflow(actor.name);
    const now_ms = this.#now_ms();
    const { secret, prefix } = newKeySecret();
    const { role, org_id, team_id, label, key_scopes } = wanted;
    const key: ApiKey = {
      id: newKeyId(),
      operator: actor.name,
      label,
      role,
      ...(org_id === undefined ? {} : { org_id }),
      ...(team_id === undefined ? {} : { team_id }),
      key_scopes: [...new Set(key_scopes)],
      prefix,
      hash: tokenHash(secret),
      created_at_ms: now_ms,
      expires_at_ms: now_ms + wanted.ttl_seconds * 1_000,
    };
    return {
      key,
      apply: async () => {
        const forget = this.#overflowing();
        const forgotten: Mutation[] = forget.map(({ id }) => ({
          kind: "delete_record",
          collection: "api_keys",
          key: id,
        }));
        await this.#writes.run(key.id, () => this.#store.commit([...forgotten, put(key)]));
        for (const { id } of forget) this.#drop(id);
        this.#install(key);
        return { key, secret };
      },
    };
  }

  /**
   * Checks a rotation: the same key, a new secret, the same end. The old secret stays good for the
   * overlap, or dies at once without one.
   *
   * @throws {ApiKeyError} `invalid_field`, `not_allowed`, `not_found`, `ended`.
   */
  prepareRotate(actor: AuthenticatedOperator, id: string, overlap_seconds: number): PreparedKey {
    const before = this.#mine(actor, id);
    if (
      !Number.isSafeInteger(overlap_seconds) || overlap_seconds < 0 ||
      overlap_seconds > IAM_LIMITS.overlap_seconds
    ) {
      throw new ApiKeyError(
        "invalid_field",
        `overlap_seconds: \`${overlap_seconds}\` is not between 0 and ${IAM_LIMITS.overlap_seconds}`,
      );
    }
    const status = this.statusOf(before);
    if (status !== "active") {
      throw new ApiKeyError("ended", `key \`${id}\` is ${status}: create another`);
    }
    const now_ms = this.#now_ms();
    const { secret, prefix } = newKeySecret();
    const { previous: _older, ...kept } = before;
    const until_ms = Math.min(now_ms + overlap_seconds * 1_000, before.expires_at_ms);
    const key: ApiKey = {
      ...kept,
      prefix,
      hash: tokenHash(secret),
      rotated_at_ms: now_ms,
      ...(overlap_seconds === 0 ? {} : { previous: { hash: before.hash, until_ms } }),
    };
    return { key, apply: () => this.#writes.run(id, () => this.#replace(before, key, secret)) };
  }

  /**
   * Checks a revocation: of an own key, or of one within reach of an operator who manages keys.
   *
   * @param may `manages`: the keys of others, too; `repairs`: records that cannot be read.
   * @returns The key; `undefined` for a record that cannot be read.
   * @throws {ApiKeyError} `not_allowed`, `not_found`, `ended`.
   */
  checkRevoke(
    actor: AuthenticatedOperator,
    id: string,
    { manages, repairs }: { readonly manages: boolean; readonly repairs: boolean },
  ): ApiKey | undefined {
    if (this.#damaged.has(id) && repairs) return undefined;
    const key = this.#by_id.get(id);
    const allowed = key !== undefined &&
      (key.operator === actor.name
        ? actor.key_id === undefined || actor.key_id === id || manages
        : manages && mayGrant(actor, key));
    if (key === undefined || !allowed) throw unknownKey(id);
    if (key.revoked_at_ms !== undefined) {
      throw new ApiKeyError("ended", `key \`${id}\` is revoked already`);
    }
    return key;
  }

  /**
   * Revokes a key that {@linkcode checkRevoke} allowed: its secrets are dead at once, and stay dead
   * if the write then fails. A damaged record is removed.
   *
   * @throws {StoreError} when it could not be made durable: it ends at the next restart.
   */
  async revoke(id: string): Promise<void> {
    const key = this.#by_id.get(id);
    if (key === undefined) {
      await this.#store.commit([{ kind: "delete_record", collection: "api_keys", key: id }]);
      this.#damaged.delete(id);
      return;
    }
    const { previous: _dead, ...kept } = key;
    const revoked: ApiKey = { ...kept, revoked_at_ms: this.#now_ms() };
    this.#install(revoked);
    await this.#writes.run(id, () => this.#store.commit([put(revoked)]));
  }

  /** Writes the uses since the last time. A failure is tried again next time: it is no evidence. */
  async flush(): Promise<void> {
    const used = [...this.#used].flatMap((id) => {
      const key = this.#by_id.get(id);
      return key === undefined || this.#writes.isBusy(id) ? [] : [key];
    });
    if (used.length === 0) return;
    for (const key of used) this.#used.delete(key.id);
    try {
      await this.#store.commit(used.map(put));
    } catch {
      for (const key of used) this.#used.add(key.id);
    }
  }

  /** The own key of that id, or none: somebody else's key is as unknown as one that never was. */
  #mine(actor: AuthenticatedOperator, id: string): ApiKey {
    const key = this.#by_id.get(id);
    // With a key one may rotate this very key: another one could hold more.
    const mine = key?.operator === actor.name &&
      (actor.key_id === undefined || actor.key_id === id);
    if (key === undefined || !mine) throw unknownKey(id);
    return key;
  }

  #refuseOverflow(operator: string): void {
    const active = [...this.#by_id.values()].filter((key) => this.statusOf(key) === "active");
    const own = active.filter((key) => key.operator === operator).length;
    if (active.length < IAM_LIMITS.keys && own < IAM_LIMITS.keys_of_operator) return;
    throw new ApiKeyError(
      "limit_reached",
      `there are \`${active.length}\` keys of at most ${IAM_LIMITS.keys}, \`${own}\` of them of ` +
        `this operator (at most ${IAM_LIMITS.keys_of_operator}); revoke one first`,
    );
  }

  /** Ended keys to forget so that one more fits, those that ended first. */
  #overflowing(): readonly ApiKey[] {
    const over = this.#by_id.size + 1 - IAM_LIMITS.keys_kept;
    if (over <= 0) return [];
    return [...this.#by_id.values()].filter((key) => this.statusOf(key) !== "active")
      .toSorted((a, b) => endOf(a) - endOf(b)).slice(0, over);
  }

  /** Puts a rotated key in the place of the one it was made from; a revocation in between stands. */
  async #replace(before: ApiKey, key: ApiKey, secret: string): Promise<IssuedKey> {
    const refuseIfChanged = () => {
      const present = this.#by_id.get(key.id);
      if (present?.revoked_at_ms === undefined && present?.hash === before.hash) return;
      throw new ApiKeyError("ended", `key \`${key.id}\` was revoked or rotated meanwhile`);
    };
    refuseIfChanged();
    await this.#store.commit([put(key)]);
    // A revocation that came meanwhile writes after this, so that it stands on disk, too.
    refuseIfChanged();
    this.#install(key);
    return { key, secret };
  }

  #install(key: ApiKey): void {
    this.#drop(key.id);
    this.#by_id.set(key.id, key);
    this.#by_hash.set(key.hash, key.id);
    if (key.previous !== undefined) this.#by_hash.set(key.previous.hash, key.id);
  }

  #drop(id: string): void {
    const before = this.#by_id.get(id);
    if (before === undefined) return;
    this.#by_id.delete(id);
    this.#used.delete(id);
    this.#by_hash.delete(before.hash);
    if (before.previous !== undefined) this.#by_hash.delete(before.previous.hash);
  }

  #noteUse(key: ApiKey): void {
    const hour_ms = this.#latest_ms - this.#latest_ms % IAM_LIMITS.last_used_ms;
    if (key.last_used_ms === hour_ms) return;
    this.#by_id.set(key.id, { ...key, last_used_ms: hour_ms });
    this.#used.add(key.id);
  }
}

function signedIn(key: ApiKey): AuthenticatedOperator {
  const { role, org_id, team_id, key_scopes } = key;
  return {
    name: key.operator,
    role,
    scope: scopeOf(role),
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
    key_scopes,
    key_id: key.id,
  };
}

function refuseFields({ label, key_scopes, ttl_seconds }: NewKey): void {
  const problem = label.length > IAM_LIMITS.label_chars || !label.isWellFormed() ||
      /\p{Cc}/u.test(label)
    ? `label: at most ${IAM_LIMITS.label_chars} characters, none of them a control character`
    : key_scopes.length === 0
    ? "scopes: are missing: name at least one"
    : !Number.isSafeInteger(ttl_seconds) || ttl_seconds < 1 || ttl_seconds > IAM_LIMITS.ttl_seconds
    ? `ttl_seconds: \`${ttl_seconds}\` is not between 1 and ${IAM_LIMITS.ttl_seconds}`
    : undefined;
  if (problem !== undefined) throw new ApiKeyError("invalid_field", problem);
}

/** Whoever signed in with a narrowed key hands out no scope that it lacks. */
function withinScopes(actor: Grant, scopes: readonly KeyScope[]): boolean {
  const { key_scopes } = actor;
  if (key_scopes === undefined || key_scopes.includes("admin")) return true;
  return scopes.every((scope) => key_scopes.includes(scope));
}

function endOf(key: ApiKey): number {
  return key.revoked_at_ms ?? key.expires_at_ms;
}

function put(key: ApiKey): Mutation {
  return { kind: "put_record", collection: "api_keys", key: key.id, value: keyText(key) };
}

function unknownKey(id: string): ApiKeyError {
  return new ApiKeyError("not_found", `there is no key \`${id.slice(0, 64)}\` that you may change`);
}
