/**
 * Operators and their tokens: who may use the gateway's operator surface, and how far.
 *
 * @module
 */
import type { OperatorRecord, OperatorScope, StateStore } from "../../storage/sqlite/records.ts";
import { OPERATOR_SCOPES } from "../../storage/sqlite/records.ts";
import { hashesEqual, newOperatorToken, TOKEN_CHARS_MAX, tokenHash } from "./tokens.ts";

/** Bounds of the operator list. */
export const OPERATOR_LIMITS = {
  /** Operators kept; one more is refused. */
  operators: 1_000,
  /** Length of an operator's name in characters. */
  name_chars: 128,
} as const;

/** Names that can be shown, logged and typed without quoting. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]*$/;

/** Why an operator was not created or removed. */
export class OperatorError extends Error {
  override readonly name = "OperatorError";
  readonly code: "invalid_name" | "already_exists" | "not_found" | "limit_reached";

  constructor(code: OperatorError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** Whether a scope includes what is needed (read < write < admin). */
export function scopeSatisfies(scope: OperatorScope, needed: OperatorScope): boolean {
  return OPERATOR_SCOPES.indexOf(scope) >= OPERATOR_SCOPES.indexOf(needed);
}

/** The operators, in memory and in the store. Memory changes only after the durable write. */
export class Operators {
  readonly #store: Pick<StateStore, "commit">;
  readonly #now_ms: () => number;
  readonly #by_name = new Map<string, OperatorRecord>();
  readonly #by_hash = new Map<string, OperatorRecord>();
  readonly #changing = new Set<string>();

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

  /** How many there are; with none nobody can use the operator surface. */
  get size(): number {
    return this.#by_name.size;
  }

  /** Every operator, by name. Holds hashes, never tokens. */
  list(): readonly OperatorRecord[] {
    return [...this.#by_name.values()].toSorted((a, b) => a.name < b.name ? -1 : 1);
  }

  /** The operator a token belongs to. */
  authenticate(token: string): OperatorRecord | undefined {
    if (token === "" || token.length > TOKEN_CHARS_MAX) return undefined;
    const presented = tokenHash(token);
    const record = this.#by_hash.get(presented);
    return record !== undefined && hashesEqual(presented, record.token_hash) ? record : undefined;
  }

  /**
   * Creates an operator.
   *
   * @returns The token: this is the only time it exists outside its owner's hands.
   * @throws {OperatorError} `invalid_name`, `already_exists`, `limit_reached`.
   * @throws {StoreError} when it could not be made durable; nothing was created then.
   */
  async create(name: string, scope: OperatorScope): Promise<string> {
    if (name.length > OPERATOR_LIMITS.name_chars || !NAME.test(name)) {
      throw new OperatorError(
        "invalid_name",
        `operator name: expected 1 to ${OPERATOR_LIMITS.name_chars} letters, digits, \`.\`, ` +
          `\`_\`, \`@\` or \`-\`, starting with a letter or digit`,
      );
    }
    if (this.#by_name.has(name) || this.#changing.has(name)) {
      throw new OperatorError("already_exists", `operator \`${name}\` already exists`);
    }
    if (this.#by_name.size + this.#changing.size >= OPERATOR_LIMITS.operators) {
      throw new OperatorError(
        "limit_reached",
        `there are \`${OPERATOR_LIMITS.operators}\` operators already; remove one first`,
      );
    }
    const token = newOperatorToken();
    const operator: OperatorRecord = {
      name,
      scope,
      token_hash: tokenHash(token),
      created_at_ms: this.#now_ms(),
    };
    await this.#exclusively(name, () => this.#store.commit([{ kind: "put_operator", operator }]));
    this.#install(operator);
    return token;
  }

  /**
   * Removes an operator; its token is dead at once, and stays dead if the write then fails.
   *
   * @throws {OperatorError} `not_found`.
   * @throws {StoreError} when the removal could not be made durable: it ends at the next restart.
   */
  async remove(name: string): Promise<void> {
    const record = this.#by_name.get(name);
    if (record === undefined || this.#changing.has(name)) {
      throw new OperatorError("not_found", `there is no operator \`${name}\``);
    }
    this.#by_hash.delete(record.token_hash);
    await this.#exclusively(name, () => this.#store.commit([{ kind: "delete_operator", name }]));
    this.#by_name.delete(name);
  }

  #install(record: OperatorRecord): void {
    this.#by_name.set(record.name, record);
    this.#by_hash.set(record.token_hash, record);
  }

  async #exclusively(name: string, write: () => Promise<void>): Promise<void> {
    this.#changing.add(name);
    try {
      await write();
    } finally {
      this.#changing.delete(name);
    }
  }
}
