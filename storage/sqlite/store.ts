/**
 * The embedded store as programs see it: typed, durable, off the event loop.
 *
 * Permissions: `--allow-read` and `--allow-write` for the database file alone (the `-wal` file
 * beside it is covered), and `--allow-read` for this folder, from which the writer thread loads.
 *
 * @module
 */
import { type DatabaseOptions, MEMORY_PATH } from "./database.ts";
import { isFatal, StoreError } from "./failure.ts";
import { SQLITE_LIMITS } from "./limits.ts";
import type { WriterRequest, WriterResponse, WriterResult } from "./protocol.ts";
import type {
  AgentRecord,
  Collection,
  Mutation,
  OperatorRecord,
  RecordRange,
  StateStore,
  StoredRecord,
} from "./records.ts";

/** What the store is doing, for status and metrics. */
export interface StoreStatus {
  readonly state: "durable" | "failed" | "closed";
  /** Why it failed; empty otherwise. */
  readonly detail: string;
  readonly queued_writes: number;
  readonly committed_writes: number;
  readonly refused_writes: number;
  readonly transactions: number;
}

interface Waiting {
  readonly mutations: readonly Mutation[];
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
}

interface Asked {
  readonly resolve: (result: WriterResult) => void;
  readonly reject: (error: StoreError) => void;
}

type Question<T = WriterRequest> = T extends WriterRequest ? Omit<T, "id"> : never;

/** SQLite behind a writer thread. Open it with {@linkcode SqliteStore.open}. */
export class SqliteStore implements StateStore, AsyncDisposable {
  readonly path: string;
  readonly #writer: Worker;
  readonly #asked = new Map<number, Asked>();
  #waiting: Waiting[] = [];
  #next_id = 1;
  #committing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #failure: StoreError | undefined;
  #committed_writes = 0;
  #refused_writes = 0;
  #transactions = 0;

  private constructor(path: string, writer: Worker) {
    this.path = path;
    this.#writer = writer;
    writer.onmessage = (event: MessageEvent<WriterResponse>) => this.#answered(event.data);
    writer.onmessageerror = () => this.#fail("the writer's answer could not be read");
    writer.onerror = (event) => {
      event.preventDefault();
      this.#fail(event.message);
    };
  }

  /**
   * Opens or creates the database, checks it and lifts it to the present schema.
   *
   * @throws {StoreError} Named by {@linkcode StoreError.code}: `newer_schema`, `foreign_file`,
   * `corrupt`, `read_only`, `disk_full`, `cannot_open`, `locked`, `permission_denied`, `io`.
   */
  static async open(options: DatabaseOptions): Promise<SqliteStore> {
    if (options.path === "" || options.path.startsWith("file:")) {
      throw new StoreError(
        "cannot_open",
        `cannot open the state database: \`${options.path}\` is not a file path; ` +
          `name a file, or \`${MEMORY_PATH}\``,
      );
    }
    const url = new URL("./writer.ts", import.meta.url);
    const writer = new Worker(url, { type: "module", name: "state-store" });
    const store = new SqliteStore(options.path, writer);
    try {
      await store.#ask({ kind: "open", options });
      return store;
    } catch (error) {
      await store.close();
      throw unloaded(error) ?? error;
    }
  }

  /** @inheritdoc */
  async *agents(): AsyncGenerator<readonly AgentRecord[]> {
    let after = "";
    while (true) {
      const { agents } = expect(await this.#ask({ kind: "agents", after }), "agents");
      const last = agents.at(-1);
      if (last === undefined) return;
      yield agents;
      after = last.key;
    }
  }

  /** @inheritdoc */
  async *records(
    collection: Collection,
    range: RecordRange = {},
  ): AsyncGenerator<readonly StoredRecord[]> {
    const { through } = range;
    let after = range.after ?? "";
    while (true) {
      const answer = await this.#ask({ kind: "records", collection, after, through });
      const { records } = expect(answer, "records");
      const last = records.at(-1);
      if (last === undefined) return;
      yield records;
      after = last.key;
    }
  }

  /** @inheritdoc */
  async operators(): Promise<readonly OperatorRecord[]> {
    return expect(await this.#ask({ kind: "operators" }), "operators").operators;
  }

  /** @inheritdoc */
  async meta(key: string): Promise<string | undefined> {
    return expect(await this.#ask({ kind: "meta", key }), "meta").value;
  }

  /**
   * Stores mutations together; resolves after the sync of the transaction that carries them.
   *
   * @throws {StoreError} `constraint`, `disk_full`, `read_only`, `io`, `queue_full`, `too_large`,
   * `closed`, `writer_failed`. Nothing of this write is stored then, unless the writer thread
   * itself was lost (`writer_failed`): that outcome is unknown until the next start.
   */
  commit(mutations: readonly Mutation[]): Promise<void> {
    const refusal = this.#refusal(mutations);
    if (refusal !== undefined) {
      this.#refused_writes++;
      return Promise.reject(refusal);
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ mutations, resolve, reject });
    // Started in a microtask so that writes of the same turn share a transaction.
    this.#committing ??= Promise.resolve().then(() => this.#drain());
    return promise;
  }

  /** Counters and state, for status and metrics. */
  get status(): StoreStatus {
    const failed = this.#failure !== undefined;
    return {
      state: failed ? "failed" : this.#closing === undefined ? "durable" : "closed",
      detail: this.#failure?.message ?? "",
      queued_writes: this.#waiting.length,
      committed_writes: this.#committed_writes,
      refused_writes: this.#refused_writes,
      transactions: this.#transactions,
    };
  }

  /** Finishes the writes already accepted, then lets go of the file. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  /** @inheritdoc */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #shutDown(): Promise<void> {
    await this.#committing;
    try {
      await this.#ask({ kind: "close" });
    } catch {
      // A writer that failed cannot be asked; ending the thread releases the file.
    }
    this.#writer.terminate();
  }

  #refusal(mutations: readonly Mutation[]): StoreError | undefined {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#closing !== undefined) {
      return new StoreError("closed", "cannot write to the state database: it is closed");
    }
    if (mutations.length > SQLITE_LIMITS.write_mutations) {
      return new StoreError(
        "too_large",
        `cannot write to the state database: \`${mutations.length}\` changes in one write, at ` +
          `most \`${SQLITE_LIMITS.write_mutations}\` are accepted`,
      );
    }
    if (this.#waiting.length < SQLITE_LIMITS.queued_writes) return undefined;
    return new StoreError(
      "queue_full",
      `cannot write to the state database: \`${SQLITE_LIMITS.queued_writes}\` writes are ` +
        `waiting for the disk; retry later`,
    );
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, SQLITE_LIMITS.batch_writes);
      this.#waiting = this.#waiting.slice(batch.length);
      await this.#commitBatch(batch);
    }
    this.#committing = undefined;
  }

  async #commitBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      const writes = batch.map((item) => item.mutations);
      const { failures } = expect(await this.#ask({ kind: "commit", writes }), "committed");
      this.#transactions++;
      for (const [index, item] of batch.entries()) {
        const failure = failures[index];
        // `undefined` would be a missing answer: only an explicit null acknowledges.
        if (failure === null) {
          this.#committed_writes++;
          item.resolve();
        } else {
          this.#refuse(item, failure ?? { code: "writer_failed", message: NO_ANSWER });
        }
      }
    } catch (error) {
      const reason = error instanceof StoreError
        ? error
        : new StoreError("writer_failed", String(error), { cause: error });
      for (const item of batch) this.#refuse(item, reason);
    }
  }

  #refuse(item: Waiting, failure: Pick<StoreError, "code" | "message">): void {
    const error = new StoreError(failure.code, failure.message);
    this.#refused_writes++;
    if (isFatal(error.code)) this.#failure ??= error;
    item.reject(error);
  }

  #ask(question: Question): Promise<WriterResult> {
    if (this.#failure?.code === "writer_failed") return Promise.reject(this.#failure);
    const id = this.#next_id++;
    const { promise, resolve, reject } = Promise.withResolvers<WriterResult>();
    this.#asked.set(id, { resolve, reject });
    this.#writer.postMessage({ ...question, id });
    return promise;
  }

  #answered(response: WriterResponse): void {
    const asked = this.#asked.get(response.id);
    this.#asked.delete(response.id);
    if (response.ok) asked?.resolve(response.result);
    else asked?.reject(new StoreError(response.failure.code, response.failure.message));
  }

  #fail(detail: string): void {
    this.#failure = new StoreError(
      "writer_failed",
      `the state database's writer stopped: ${detail} (\`${this.path}\`); restart the gateway`,
    );
    for (const asked of this.#asked.values()) asked.reject(this.#failure);
    this.#asked.clear();
  }
}

const NO_ANSWER = "the writer gave no answer for this write; restart the gateway";

/** Deno checks read access for the files a worker loads; say which folder is meant. */
function unloaded(error: unknown): StoreError | undefined {
  if (!(error instanceof StoreError) || error.code !== "writer_failed") return undefined;
  if (!error.message.includes("Requires read access")) return undefined;
  return new StoreError(
    "permission_denied",
    `cannot open the state database: its writer thread could not be loaded; grant --allow-read ` +
      `for the folder \`storage/sqlite\` of this program`,
    { cause: error },
  );
}

function expect<K extends WriterResult["kind"]>(
  result: WriterResult,
  kind: K,
): Extract<WriterResult, { kind: K }> {
  if (isKind(result, kind)) return result;
  throw new StoreError("writer_failed", `the writer answered \`${result.kind}\`, not \`${kind}\``);
}

function isKind<K extends WriterResult["kind"]>(
  result: WriterResult,
  kind: K,
): result is Extract<WriterResult, { kind: K }> {
  return result.kind === kind;
}
