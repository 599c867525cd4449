/**
 * Operators and their tokens: who may use the gateway's operator surface, as what, and for whom.
 *
 * @module
 */
import { bindingProblem, type Grant } from "../../core/iam/permits.ts";
import { type OperatorRole, type OperatorScope, scopeOf } from "../../core/iam/role.ts";
import type { OperatorRecord, StateStore } from "../../storage/sqlite/records.ts";
import { SerialWrites } from "./serial_writes.ts";
import { hashesEqual, newOperatorToken, TOKEN_CHARS_MAX, tokenHash } from "./tokens.ts";

/** Bounds of the operator list. */
export const OPERATOR_LIMITS = {
  /** Active operators; one more is refused. */
  operators: 1_000,
  /** Operators kept, revoked ones included, since a revoked name is never given again; one more is refused. */
  operators_kept: 10_000,
  /** Length of an operator's name, organisation or team in characters; longer ones are refused. */
  name_chars: 128,
} as const;

/** Names that can be shown, logged and typed without quoting. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]*$/;

/** Why an operator was not created, changed or revoked. */
export class OperatorError extends Error {
  override readonly name = "OperatorError";
  readonly code:
    | "invalid_name"
    | "invalid_field"
    | "already_exists"
    | "not_found"
    | "limit_reached"
    /** The change would leave no owner who can sign in. */
    | "last_owner";

  constructor(code: OperatorError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** Who presented a token: what they hold, and which credential they used. */
export interface AuthenticatedOperator extends Grant {
  /** Name of the operator, also when a key of theirs was used: two keys are one person. */
  readonly name: string;
  readonly scope: OperatorScope;
  /** The API key that was presented; absent for the operator's own token. */
  readonly key_id?: string;
}

/** What a token is. */
export type Identification =
  | { readonly outcome: "known"; readonly operator: AuthenticatedOperator }
  | { readonly outcome: "unknown" | "revoked" | "expired" };

/** Further credentials of operators: the API keys. */
export interface KeySource {
  /**
   * What a token is among the keys.
   *
   * @param token As presented, at most `TOKEN_CHARS_MAX` long.
   */
  identify(token: string): Identification;
}

/** A new operator. */
export interface NewOperator extends Pick<Grant, "org_id" | "team_id"> {
  readonly name: string;
  readonly role: OperatorRole;
  /** Absent: never. */
  readonly expires_at_ms?: number;
  /** Who makes it: `operator:NAME` or `gateway`. */
  readonly created_by: string;
}

/** The operators, in memory and in the store. Memory changes only after the durable write. */
export class Operators {
  readonly #store: Pick<StateStore, "commit">;
  readonly #now_ms: () => number;
  readonly #by_name = new Map<string, OperatorRecord>();
  readonly #by_hash = new Map<string, OperatorRecord>();
  /** Names whose creation is under way. */
  readonly #coming = new Set<string>();
  readonly #writes = new SerialWrites();
  #keys: KeySource | undefined;
  #latest_ms = 0;

  private constructor(store: Pick<StateStore, "commit">, now_ms: () => number) {
    this.#store = store;
    this.#now_ms = now_ms;
  }

  /** Loads the operators of a store. */
  static async open(
    store: Pick<StateStore, "commit" | "operators">,
    now_ms: () => number,
  ): Promise<Operators> {
    const operators = new Operators(store, now_ms);
    for (const record of await store.operators()) operators.#install(record);
    return operators;
  }

  /** Lets API keys sign in, too. */
  useKeys(keys: KeySource): void {
    this.#keys = keys;
  }

  /** How many there are; with none nobody can use the operator surface. */
  get size(): number {
    return this.#by_name.size;
  }

  /** Every operator, by name, revoked ones included. Holds hashes, never tokens. */
  list(): readonly OperatorRecord[] {
    return [...this.#by_name.values()].toSorted((a, b) => a.name < b.name ? -1 : 1);
  }

  /** An operator by name, revoked ones included. */
  get(name: string): OperatorRecord | undefined {
    return this.#by_name.get(name);
  }

  /** The operator a valid token or key belongs to. */
  authenticate(token: string): AuthenticatedOperator | undefined {
    const found = this.identify(token);
    return found.outcome === "known" ? found.operator : undefined;
  }

  /** What a token is: whose, or why it is good for nothing. */
  identify(token: string): Identification {
    if (token === "" || token.length > TOKEN_CHARS_MAX) return { outcome: "unknown" };
    const presented = tokenHash(token);
    const record = this.#by_hash.get(presented);
    if (record === undefined || !hashesEqual(presented, record.token_hash)) {
      return this.#keys?.identify(token) ?? { outcome: "unknown" };
    }
    const state = this.stateOf(record);
    return state === "active"
      ? { outcome: "known", operator: authenticated(record) }
      : { outcome: state };
  }

  /** Whether an operator can sign in now. An expiry that was seen to pass stays passed. */
  stateOf(record: OperatorRecord): "active" | "revoked" | "expired" {
    // A clock that is set back does not bring an expired token back to life.
    this.#latest_ms = Math.max(this.#latest_ms, this.#now_ms());
    if (record.status === "revoked") return "revoked";
    const { expires_at_ms } = record;
    return expires_at_ms !== undefined && expires_at_ms <= this.#latest_ms ? "expired" : "active";
  }

  /**
   * Creates an operator.
   *
   * @returns The token: this is the only time it exists outside its owner's hands.
   * @throws {OperatorError} `invalid_name`, `invalid_field`, `already_exists`, `limit_reached`.
   * @throws {StoreError} when it could not be made durable; nothing was created then.
   */
  async create(wanted: NewOperator): Promise<string> {
    const { name } = wanted;
    this.check(wanted);
    const token = newOperatorToken();
    const operator: OperatorRecord = {
      name,
      role: wanted.role,
      ...(wanted.org_id === undefined ? {} : { org_id: wanted.org_id }),
      ...(wanted.team_id === undefined ? {} : { team_id: wanted.team_id }),
      status: "active",
      ...(wanted.expires_at_ms === undefined ? {} : { expires_at_ms: wanted.expires_at_ms }),
      token_hash: tokenHash(token),
      created_at_ms: this.#now_ms(),
      created_by: wanted.created_by,
    };
    this.#coming.add(name);
    try {
      await this.#write(operator);
    } finally {
      this.#coming.delete(name);
    }
    this.#install(operator);
    return token;
  }

  /**
   * Checks what {@linkcode Operators.create} checks, and changes nothing: to be asked before the
   * evidence is written.
   *
   * @throws {OperatorError} `invalid_name`, `invalid_field`, `already_exists`, `limit_reached`.
   */
  check(wanted: NewOperator): void {
    const { name } = wanted;
    if (name.length > OPERATOR_LIMITS.name_chars || !NAME.test(name)) {
      throw new OperatorError(
        "invalid_name",
        `operator name: expected 1 to ${OPERATOR_LIMITS.name_chars} letters, digits, \`.\`, ` +
          `\`_\`, \`@\` or \`-\`, starting with a letter or digit`,
      );
    }
    const problem = bindingProblem(wanted) ?? tenantProblem(wanted) ??
      expiryProblem(wanted.expires_at_ms, this.#now_ms());
    if (problem !== undefined) throw new OperatorError("invalid_field", problem);
    if (this.#by_name.has(name) || this.#coming.has(name)) {
      throw new OperatorError(
        "already_exists",
        `operator \`${name}\` already exists, or existed; a name is given once: choose another`,
      );
    }
    const active = [...this.#by_name.values()].filter(({ status }) => status === "active").length;
    const { operators, operators_kept } = OPERATOR_LIMITS;
    if (
      active + this.#coming.size >= operators ||
      this.#by_name.size + this.#coming.size >= operators_kept
    ) {
      throw new OperatorError(
        "limit_reached",
        `there are \`${active}\` active operators of \`${operators}\` and ` +
          `\`${this.#by_name.size}\` known ones of \`${operators_kept}\`; revoke one first`,
      );
    }
  }

  /**
   * Whether an operator can be revoked.
   *
   * @throws {OperatorError} `not_found`, `last_owner`.
   */
  checkRevoke(name: string): OperatorRecord {
    const record = this.#by_name.get(name);
    if (record === undefined || record.status === "revoked") {
      throw new OperatorError("not_found", `there is no active operator \`${name.slice(0, 128)}\``);
    }
    if (record.role === "owner" && this.#ownersBeside(name) === 0) {
      throw new OperatorError(
        "last_owner",
        `operator \`${name}\` is the last owner without an expiry; create another owner first`,
      );
    }
    return record;
  }

  /**
   * Revokes an operator; its token is dead at once, and stays dead if the write then fails.
   *
   * @throws {OperatorError} `not_found`, `last_owner`.
   * @throws {StoreError} when it could not be made durable: it ends at the next restart.
   */
  async revoke(name: string): Promise<void> {
    const record = this.checkRevoke(name);
    const operator: OperatorRecord = { ...record, status: "revoked" };
    this.#install(operator);
    await this.#write(operator);
  }

  /**
   * Gives an operator a new token; the old one is dead as soon as the new one is durable.
   *
   * @returns The new token: this is the only time it exists outside its owner's hands.
   * @throws {OperatorError} `not_found` when the operator is not active, or was revoked meanwhile.
   * @throws {StoreError} when it could not be made durable; the old token stays good then.
   */
  async rotate(name: string): Promise<string> {
    const token = newOperatorToken();
    const present = () => {
      const record = this.#by_name.get(name);
      if (record !== undefined && record.status === "active") return record;
      throw new OperatorError("not_found", `there is no active operator \`${name.slice(0, 128)}\``);
    };
    return await this.#writes.run(name, async () => {
      const operator = { ...present(), token_hash: tokenHash(token) };
      await this.#store.commit([{ kind: "put_operator", operator }]);
      // A revocation that came meanwhile writes after this, so that it stands on disk, too.
      present();
      this.#install(operator);
      return token;
    });
  }

  /**
   * Forgets an operator whose token never left the gateway: its creation could not be completed.
   *
   * @throws {StoreError} when it could not be made durable.
   */
  async forget(name: string): Promise<void> {
    const record = this.#by_name.get(name);
    if (record === undefined) return;
    this.#by_hash.delete(record.token_hash);
    await this.#writes.run(
      name,
      () => this.#store.commit([{ kind: "delete_operator", name }]),
    );
    this.#by_name.delete(name);
  }

  /** Owners who can sign in for ever, beside one. */
  #ownersBeside(name: string): number {
    return [...this.#by_name.values()].filter((record) =>
      record.name !== name && record.role === "owner" && record.expires_at_ms === undefined &&
      record.status === "active"
    ).length;
  }

  #install(record: OperatorRecord): void {
    const before = this.#by_name.get(record.name);
    if (before !== undefined) this.#by_hash.delete(before.token_hash);
    this.#by_name.set(record.name, record);
    this.#by_hash.set(record.token_hash, record);
  }

  #write(operator: OperatorRecord): Promise<void> {
    return this.#writes.run(
      operator.name,
      () => this.#store.commit([{ kind: "put_operator", operator }]),
    );
  }
}

/** What an operator's own token is worth. */
export function authenticated(record: OperatorRecord): AuthenticatedOperator {
  return {
    name: record.name,
    role: record.role,
    scope: scopeOf(record.role),
    ...(record.org_id === undefined ? {} : { org_id: record.org_id }),
    ...(record.team_id === undefined ? {} : { team_id: record.team_id }),
  };
}

/** Why a binding's texts cannot be kept, or `undefined`. */
function tenantProblem({ org_id, team_id }: Pick<Grant, "org_id" | "team_id">): string | undefined {
  for (const [field, value] of Object.entries({ org_id, team_id })) {
    if (value === undefined) continue;
    const fits = value.length > 0 && value.length <= OPERATOR_LIMITS.name_chars &&
      value.isWellFormed() && !/\p{Cc}/u.test(value);
    if (!fits) {
      return `${field}: expected 1 to ${OPERATOR_LIMITS.name_chars} characters, none of them a ` +
        `control character; leave it out for no binding`;
    }
  }
  return undefined;
}

/** Why an expiry cannot be, or `undefined`. */
export function expiryProblem(
  expires_at_ms: number | undefined,
  now_ms: number,
): string | undefined {
  if (expires_at_ms === undefined) return undefined;
  if (Number.isSafeInteger(expires_at_ms) && expires_at_ms > now_ms) return undefined;
  return `expires_at_ms: \`${expires_at_ms}\` is not a moment after now`;
}
