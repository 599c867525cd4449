/**
 * Changes of policy that wait for a second person (four eyes): kept with their exact bytes, bound to
 * the set they were made for and to the set they make.
 *
 * @module
 */
import type { PolicyText } from "../../core/policy/history/policy_set.ts";
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import { POLICY_CHANGE_LIMITS } from "./limits.ts";
import type { PolicyVersion } from "./version.ts";

/** What became of a proposal. `expired` and `stale` are computed, never stored. */
export type ProposalStatus = "pending" | "confirmed" | "rejected" | "expired" | "stale";

/** One proposed change. */
export interface Proposal extends Pick<PolicyVersion, "reason" | "rollback_of" | "bundle"> {
  /** `prop_` and 16 hex. */
  readonly id: string;
  readonly kind: "apply" | "rollback" | "import";
  /** Name of the operator. */
  readonly proposer: string;
  readonly created_at_ms: number;
  readonly expires_at_ms: number;
  /** Digest of the set it is for: when another one is in force it means something else. */
  readonly parent: string;
  /** Digest of the exact new set. */
  readonly digest: string;
  /** Mode of the new set. */
  readonly mode: "single_file" | "directory";
  readonly put: readonly PolicyText[];
  readonly remove: readonly string[];
  readonly decided?: {
    readonly outcome: "confirmed" | "rejected";
    readonly by: string;
    readonly at_ms: number;
    readonly reason: string;
  };
}

/** Why a proposal was not kept or decided. */
export class ProposalError extends Error {
  override readonly name = "ProposalError";
  readonly code: "not_found" | "ended" | "limit_reached" | "too_large" | "invalid_field";

  constructor(code: ProposalError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** The proposals, in memory and in the store. */
export class Proposals {
  readonly #store: Pick<StateStore, "commit">;
  readonly #now_ms: () => number;
  readonly #kept = new Map<string, Proposal>();
  readonly #damaged = new Map<string, string>();
  /** Taken by a confirmation that is under way: no second one may start. */
  readonly #taken = new Set<string>();
  #latest_ms = 0;

  private constructor(store: Pick<StateStore, "commit">, now_ms: () => number) {
    this.#store = store;
    this.#now_ms = now_ms;
  }

  /** Loads them; one that cannot be read is named in {@linkcode damaged} and can only be rejected. */
  static async open(
    store: Pick<StateStore, "commit" | "records">,
    now_ms: () => number,
  ): Promise<Proposals> {
    const proposals = new Proposals(store, now_ms);
    for await (const page of store.records(COLLECTION)) {
      for (const { key, value } of page) {
        const read = readProposal(key, value);
        if (typeof read === "string") proposals.#damaged.set(key, read);
        else proposals.#kept.set(key, read);
      }
    }
    return proposals;
  }

  /** Records that cannot be read. */
  get damaged(): ReadonlyMap<string, string> {
    return this.#damaged;
  }

  /** Newest first. */
  list(): readonly Proposal[] {
    return [...this.#kept.values()].toSorted((a, b) => b.created_at_ms - a.created_at_ms);
  }

  /** One by id. */
  get(id: string): Proposal | undefined {
    return this.#kept.get(id);
  }

  /** What became of it, given the digest of the set in force. */
  statusOf(proposal: Proposal, in_force: string): ProposalStatus {
    // A clock that is set back does not bring an expired proposal back to life.
    this.#latest_ms = Math.max(this.#latest_ms, this.#now_ms());
    if (proposal.decided !== undefined) return proposal.decided.outcome;
    if (proposal.expires_at_ms <= this.#latest_ms) return "expired";
    return proposal.parent === in_force ? "pending" : "stale";
  }

  /**
   * Checks a new proposal, before it is put on record.
   *
   * @throws {ProposalError} `invalid_field`, `too_large`, `limit_reached`.
   */
  prepare(
    wanted: Omit<Proposal, "id" | "created_at_ms" | "expires_at_ms" | "decided">,
    ttl_seconds: number,
  ): Proposal {
    const { proposal_ttl_seconds, proposals, proposal_bytes } = POLICY_CHANGE_LIMITS;
    if (
      !Number.isSafeInteger(ttl_seconds) || ttl_seconds < 1 || ttl_seconds > proposal_ttl_seconds
    ) {
      throw new ProposalError(
        "invalid_field",
        `proposal_ttl_seconds: \`${ttl_seconds}\` is not between 1 and ${proposal_ttl_seconds}`,
      );
    }
    const bytes = wanted.put.reduce((sum, { content }) => sum + content.length, 0);
    if (bytes > proposal_bytes) {
      throw new ProposalError(
        "too_large",
        `files: \`${bytes}\` bytes in one proposal, at most ${proposal_bytes}: propose them in parts`,
      );
    }
    const now_ms = this.#now_ms();
    const waiting = this.list().filter((one) =>
      one.decided === undefined && one.expires_at_ms > now_ms
    );
    if (waiting.length >= proposals) {
      throw new ProposalError(
        "limit_reached",
        `\`${waiting.length}\` proposals wait already, at most ${proposals}: decide some first`,
      );
    }
    return {
      ...wanted,
      id: `prop_${crypto.getRandomValues(new Uint8Array(8)).toHex()}`,
      created_at_ms: now_ms,
      expires_at_ms: now_ms + ttl_seconds * 1_000,
    };
  }

  /** Keeps a prepared proposal; resolves once it is durable. */
  async keep(proposal: Proposal): Promise<void> {
    const over = this.#kept.size + 1 - POLICY_CHANGE_LIMITS.proposals_kept;
    const ended = over <= 0
      ? []
      : this.list().filter((one) =>
        one.decided !== undefined || one.expires_at_ms <= this.#now_ms()
      ).slice(-over);
    await this.#store.commit([...ended.map(({ id }) => remove(id)), put(proposal)]);
    for (const { id } of ended) this.#kept.delete(id);
    this.#kept.set(proposal.id, proposal);
  }

  /**
   * Takes a pending proposal for a decision, so that no other decision of it starts meanwhile.
   *
   * @returns Gives it back.
   * @throws {ProposalError} `not_found`, `ended`.
   */
  take(id: string, in_force: string): { readonly proposal: Proposal; readonly free: () => void } {
    const proposal = this.#kept.get(id);
    if (proposal === undefined) {
      throw new ProposalError("not_found", `there is no proposal \`${id.slice(0, 40)}\``);
    }
    const status = this.statusOf(proposal, in_force);
    if (status !== "pending" || this.#taken.has(id)) {
      const why = status === "stale"
        ? "is stale: another policy is in force than the one it was made for; propose it anew"
        : status === "pending"
        ? "is being decided"
        : `is ${status}`;
      throw new ProposalError("ended", `proposal \`${id}\` ${why}`);
    }
    this.#taken.add(id);
    return { proposal, free: () => this.#taken.delete(id) };
  }

  /** Writes down what was decided; resolves once it is durable. */
  async decide(
    { id }: Proposal,
    outcome: "confirmed" | "rejected",
    by: string,
    reason: string,
  ): Promise<Proposal> {
    const proposal = this.#kept.get(id);
    if (proposal === undefined) {
      throw new ProposalError("not_found", `there is no proposal \`${id.slice(0, 40)}\``);
    }
    // The bytes have done their work; what was in them is in the history.
    const decided: Proposal = {
      ...proposal,
      decided: { outcome, by, at_ms: this.#now_ms(), reason },
    };
    await this.#store.commit([put(decided)]);
    this.#kept.set(id, decided);
    return decided;
  }

  /** Removes a record that cannot be read. */
  async drop(id: string): Promise<void> {
    await this.#store.commit([remove(id)]);
    this.#damaged.delete(id);
  }
}

const COLLECTION = "governance_proposals";

function put(proposal: Proposal): Mutation {
  const value = JSON.stringify({
    ...proposal,
    put: proposal.put.map(({ name, content }) => ({ name, content: content.toBase64() })),
  });
  return { kind: "put_record", collection: COLLECTION, key: proposal.id, value };
}

function remove(id: string): Mutation {
  return { kind: "delete_record", collection: COLLECTION, key: id };
}

/**
 * The proposal of a record, or what is wrong with it. Its bytes are held against its digest only
 * when it is confirmed, by making the set anew.
 */
export function readProposal(id: string, text: string): Proposal | string {
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
  // Every field was looked at above; only the bytes are still text.
  const read = value as unknown as Omit<Proposal, "put"> & {
    readonly put: readonly { readonly name: string; readonly content: string }[];
  };
  if (read.id !== id) return `it belongs to \`${read.id}\``;
  try {
    const put = read.put.map(({ name, content }) => ({
      name,
      content: new Uint8Array(Uint8Array.fromBase64(content)),
    }));
    return { ...read, put };
  } catch {
    return "its files are no base64";
  }
}

const FIELDS: Readonly<Record<keyof Proposal, (value: unknown) => boolean>> = {
  id: (value) => isText(value) && /^prop_[0-9a-f]{16}$/.test(value),
  kind: (value) => value === "apply" || value === "rollback" || value === "import",
  proposer: (value) => isText(value) && value !== "",
  created_at_ms: isCount,
  expires_at_ms: isCount,
  parent: isDigest,
  digest: isDigest,
  mode: (value) => value === "single_file" || value === "directory",
  put: (value) =>
    Array.isArray(value) &&
    value.every((one) => isObject(one) && isText(one["name"]) && isText(one["content"])),
  remove: (value) => Array.isArray(value) && value.every(isText),
  reason: optional(isText),
  rollback_of: optional(isCount),
  bundle: optional((value) =>
    isObject(value) && isText(value["signer"]) && isCount(value["version"]) &&
    typeof value["forced"] === "boolean"
  ),
  decided: optional((value) =>
    isObject(value) && (value["outcome"] === "confirmed" || value["outcome"] === "rejected") &&
    isText(value["by"]) && isCount(value["at_ms"]) && isText(value["reason"])
  ),
};

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
