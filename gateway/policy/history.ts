/**
 * Every policy set that took effect, with its exact bytes: who put it in force, when, and from which
 * other one it came (contract `policy-and-gateway` §1.10).
 *
 * Files are kept once by the hash of their content, packed; a version is a list of such hashes.
 * What is read back is held against its hash, so that nothing damaged is ever rolled back to.
 *
 * @module
 */
import { gunzipSync, gzipSync } from "node:zlib";
import { contentHash, type PolicyText, setDigest } from "../../core/policy/history/policy_set.ts";
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import { POLICY_CHANGE_LIMITS } from "./limits.ts";
import { type PolicyVersion, readVersion, type VersionFile } from "./version.ts";

/** Why history could not do what it was asked. */
export class HistoryError extends Error {
  override readonly name = "HistoryError";
  readonly code: "not_found" | "ambiguous" | "damaged" | "not_kept";

  constructor(code: HistoryError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** A version that is about to be kept. */
export type NewVersion = Omit<PolicyVersion, "version" | "files" | "digest" | "kept"> & {
  readonly files: readonly Omit<VersionFile, "sha256" | "bytes">[];
};

/** Characters of one packed piece of a file. */
const PIECE_CHARS = 1_000_000;

/** The kept versions. Their list is in memory; their bytes are read when asked for. */
export class PolicyHistory {
  readonly #store: Pick<StateStore, "commit" | "records">;
  readonly #versions = new Map<number, PolicyVersion>();
  readonly #damaged = new Map<number, string>();
  /** Change that was on its way to the files when the process ended. */
  #pending: PolicyVersion["version"] | undefined;
  /** Highest bundle version taken over from each signer, by key name and id. */
  readonly #seen = new Map<string, number>();
  /** Version numbers are never given twice, also when the newest one was taken back. */
  #last = 0;

  private constructor(store: Pick<StateStore, "commit" | "records">) {
    this.#store = store;
  }

  /** Loads the list of versions; a record that cannot be read is named in {@linkcode damaged}. */
  static async open(store: Pick<StateStore, "commit" | "records">): Promise<PolicyHistory> {
    const history = new PolicyHistory(store);
    for await (const page of store.records("policy_versions", RANGE.versions)) {
      for (const { key, value } of page) {
        const version = Number(key.slice(2));
        const read = readVersion(version, value);
        if (typeof read === "string") history.#damaged.set(version, read);
        else history.#versions.set(version, read);
        history.#last = Math.max(history.#last, version);
      }
    }
    for await (const page of store.records("policy_versions", RANGE.marks)) {
      for (const { key, value } of page) history.#readMark(key, value);
    }
    return history;
  }

  /** Versions newest first. */
  list(limit: number = POLICY_CHANGE_LIMITS.versions): readonly PolicyVersion[] {
    return [...this.#versions.values()].toSorted((a, b) => b.version - a.version).slice(0, limit);
  }

  /** Records that cannot be read, with what is wrong with each. */
  get damaged(): ReadonlyMap<number, string> {
    return this.#damaged;
  }

  /** The newest version; `undefined` when there is none. */
  get newest(): PolicyVersion | undefined {
    return this.list(1)[0];
  }

  /** The version whose files were being written when the process ended; `undefined` normally. */
  get pending(): number | undefined {
    return this.#pending;
  }

  /** Highest bundle version taken over from a signer; 0 when none was. */
  seenFrom(signer: string): number {
    return this.#seen.get(signer) ?? 0;
  }

  /**
   * The version of a number, or of a digest's beginning (at least 4 hex, with or without `sha256:`).
   * Several versions of one digest are the newest of them.
   *
   * @throws {HistoryError} `not_found`, `ambiguous`, `damaged`.
   */
  find(name: string): PolicyVersion {
    if (/^\d{1,12}$/.test(name) && this.#versions.has(Number(name))) {
      return this.#versions.get(Number(name)) ?? fail();
    }
    const damage = /^\d{1,12}$/.test(name) ? this.#damaged.get(Number(name)) : undefined;
    if (damage !== undefined) {
      throw new HistoryError("damaged", `version \`${name}\` cannot be read: ${damage}`);
    }
    const prefix = name.replace(/^sha256:/, "");
    // An empty or tiny prefix would name whatever happens to be newest.
    const found = /^[0-9a-f]{4,64}$/.test(prefix)
      ? this.list().filter(({ digest }) => digest.startsWith(`sha256:${prefix}`))
      : [];
    const [first] = found;
    if (first === undefined) {
      throw new HistoryError(
        "not_found",
        `there is no version \`${name.slice(0, 80)}\`: give a number or at least 4 digits of a ` +
          "digest, see `aasm policy history`",
      );
    }
    if (found.some(({ digest }) => digest !== first.digest)) {
      throw new HistoryError("ambiguous", `\`${prefix}\` begins several digests: give more of it`);
    }
    return first;
  }

  /**
   * The files of a version, held against their hashes and the version's digest.
   *
   * @throws {HistoryError} `not_kept`, `damaged`.
   */
  async texts(version: PolicyVersion): Promise<readonly PolicyText[]> {
    if (!version.kept) {
      throw new HistoryError(
        "not_kept",
        `version \`${version.version}\` was too large to keep; only its digests are known`,
      );
    }
    const texts: PolicyText[] = [];
    for (const { name, sha256 } of version.files) {
      texts.push({ name, content: await this.#file(sha256, version.version) });
    }
    return texts;
  }

  /**
   * Keeps a version; resolves once it is durable. With `pending` it also marks that its files are
   * about to be written, until {@linkcode settle}.
   */
  async save(
    wanted: NewVersion,
    texts: readonly PolicyText[],
    options: { readonly pending?: boolean; readonly seen?: string } = {},
  ): Promise<PolicyVersion> {
    const version = this.#versionOf(wanted, texts);
    const known = new Set(this.#known());
    const mutations: Mutation[] = [];
    if (version.kept) {
      for (const [at, { content }] of texts.entries()) {
        const sha256 = version.files[at]?.sha256 ?? fail();
        if (!known.has(sha256)) mutations.push(...packed(sha256, content));
        known.add(sha256);
      }
    }
    mutations.push(put(versionKey(version.version), version));
    if (options.pending === true) mutations.push(put(PENDING, { version: version.version }));
    const { seen } = options;
    const bundled = version.bundle?.version;
    if (seen !== undefined && bundled !== undefined) {
      // A forced older bundle does not make the newer ones unseen.
      mutations.push(put(`signer/${seen}`, { version: Math.max(bundled, this.seenFrom(seen)) }));
    }
    this.#last = version.version;
    await this.#store.commit(mutations);
    this.#versions.set(version.version, version);
    if (options.pending === true) this.#pending = version.version;
    if (seen !== undefined && bundled !== undefined) {
      this.#seen.set(seen, Math.max(bundled, this.seenFrom(seen)));
    }
    await this.#prune();
    return version;
  }

  /** The files of the pending version are as they should be. */
  async settle(): Promise<void> {
    if (this.#pending === undefined) return;
    await this.#store.commit([{ kind: "delete_record", collection: COLLECTION, key: PENDING }]);
    this.#pending = undefined;
  }

  /** Forgets a version that did not take effect after all. */
  async takeBack(version: number): Promise<void> {
    const record = this.#versions.get(version);
    if (record === undefined) return;
    this.#versions.delete(version);
    const mutations = [remove(versionKey(version)), ...await this.#unused(record)];
    if (this.#pending === version) mutations.push(remove(PENDING));
    await this.#store.commit(mutations);
    if (this.#pending === version) this.#pending = undefined;
  }

  #versionOf(wanted: NewVersion, texts: readonly PolicyText[]): PolicyVersion {
    const bytes = texts.reduce((sum, { content }) => sum + content.length, 0);
    const files = wanted.files.map((file, at): VersionFile => {
      const content = texts[at]?.content ?? fail();
      return { ...file, sha256: contentHash(content), bytes: content.length };
    });
    return {
      ...wanted,
      files,
      version: this.#last + 1,
      digest: setDigest(wanted.mode, files),
      kept: bytes <= POLICY_CHANGE_LIMITS.version_bytes,
    };
  }

  *#known(): Generator<string> {
    for (const { kept, files } of this.#versions.values()) {
      if (kept) { for (const { sha256 } of files) yield sha256; }
    }
  }

  async #file(sha256: string, version: number): Promise<Uint8Array> {
    const pieces: string[] = [];
    const range = { after: `f/${sha256}/`, through: `f/${sha256}/~` };
    for await (const page of this.#store.records(COLLECTION, range)) {
      for (const { value } of page) pieces.push(pieceOf(value));
    }
    let content: Uint8Array | undefined;
    try {
      content = new Uint8Array(gunzipSync(Uint8Array.fromBase64(pieces.join("")), {
        maxOutputLength: POLICY_CHANGE_LIMITS.version_bytes,
      }));
    } catch {
      // What cannot be unpacked is as damaged as what has another hash.
    }
    if (content === undefined || contentHash(content) !== sha256) {
      throw new HistoryError(
        "damaged",
        `version \`${version}\` cannot be read: its file with SHA-256 \`${sha256}\` is damaged or ` +
          "missing; the state is unchanged",
      );
    }
    return content;
  }

  /** Forgets the oldest versions beyond the bound, and files that no version has any more. */
  async #prune(): Promise<void> {
    for (const version of this.list(Infinity).slice(POLICY_CHANGE_LIMITS.versions)) {
      this.#versions.delete(version.version);
      await this.#store.commit([
        remove(versionKey(version.version)),
        ...await this.#unused(version),
      ]);
    }
  }

  /** Deletions of the files that only a version which is gone already had. */
  async #unused(version: PolicyVersion): Promise<Mutation[]> {
    const known = new Set(this.#known());
    const mutations: Mutation[] = [];
    for (const sha256 of new Set(version.files.map((file) => file.sha256))) {
      if (known.has(sha256)) continue;
      const range = { after: `f/${sha256}/`, through: `f/${sha256}/~` };
      for await (const page of this.#store.records(COLLECTION, range)) {
        mutations.push(...page.map(({ key }) => remove(key)));
      }
    }
    return mutations;
  }

  #readMark(key: string, value: string): void {
    const version: unknown = JSON.parse(value)?.version;
    if (typeof version !== "number" || !Number.isSafeInteger(version)) {
      throw new HistoryError("damaged", `record \`${key}\` of the policy history is damaged`);
    }
    if (key === PENDING) this.#pending = version;
    else this.#seen.set(key.slice("signer/".length), version);
  }
}

const COLLECTION = "policy_versions";
const PENDING = "pending";
const RANGE = {
  versions: { after: "v/", through: "v/~" },
  marks: { after: "g", through: "u" },
} as const;

function versionKey(version: number): string {
  return `v/${String(version).padStart(12, "0")}`;
}

function put(key: string, value: unknown): Mutation {
  return { kind: "put_record", collection: COLLECTION, key, value: JSON.stringify(value) };
}

function remove(key: string): Mutation {
  return { kind: "delete_record", collection: COLLECTION, key };
}

/** A file in pieces that fit a record. */
function packed(sha256: string, content: Uint8Array): Mutation[] {
  const text = new Uint8Array(gzipSync(content)).toBase64();
  const pieces: Mutation[] = [];
  for (let at = 0; at < text.length; at += PIECE_CHARS) {
    const number = String(pieces.length).padStart(4, "0");
    pieces.push(put(`f/${sha256}/${number}`, { data: text.slice(at, at + PIECE_CHARS) }));
  }
  return pieces;
}

function pieceOf(value: string): string {
  const data: unknown = JSON.parse(value)?.data;
  return typeof data === "string" ? data : "";
}

function fail(): never {
  throw new Error("a version must have one text for each of its files");
}
