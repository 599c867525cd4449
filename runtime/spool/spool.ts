/**
 * The durable local record as the rooms see it: appended in groups, capped, emptied by readers.
 *
 * Permissions: `--allow-read` and `--allow-write` for the file's folder, and `--allow-read` for
 * this folder, `storage/sqlite` and `runtime/parts.ts`, from which the writer thread loads.
 *
 * @module
 */
import type { SpoolPart, SpoolRecord } from "../parts.ts";
import type { Timers } from "../timers.ts";
import { isFinal, SpoolError, type SpoolFailure } from "./failure.ts";
import { SPOOL_LIMITS } from "./limits.ts";
import { pack } from "./pack.ts";
import type { Acknowledgement, Kept, ReaderName, WriterResult } from "./protocol.ts";
import { Reader } from "./reader.ts";
import { WriterThread } from "./thread.ts";
import { type Batch, WriteQueue } from "./write_queue.ts";

/** How to open a spool. */
export interface SpoolOptions {
  /** `AA_AUDIT_BUFFER_PATH`; its folder is made when missing and must be private. */
  readonly path: string;
  /** User id that must own file and folder (`Deno.uid()`); `null` where the machine has none. */
  readonly uid: number | null;
  /** Who empties it. A reader that is no longer named is forgotten with its place. */
  readonly readers: readonly ReaderName[];
  readonly timers: Timers;
  /** Identity of a new file; a UUID. */
  readonly newId: () => string;
  /** Told when mirrors were passed over: what they miss is lost to them alone. */
  readonly onPassedOver?: (reader: string, rows: number) => void;
  /** Caps, at most those of `SPOOL_LIMITS`. */
  readonly kept_rows?: number;
  readonly kept_bytes?: number;
  readonly max_pages?: number;
}

/** What the spool is doing, for status and metrics. */
export interface SpoolStatus {
  readonly state: "ready" | "full" | "failed";
  /** Why it failed; absent while it has not. */
  readonly failure?: { readonly code: SpoolFailure; readonly message: string };
  readonly kept_rows: number;
  readonly kept_bytes: number;
  readonly queued_rows: number;
  readonly appended_rows: number;
  readonly transactions: number;
}

/** A spool on disk. Open it with {@linkcode openSpool}. */
export class Spool implements SpoolPart, AsyncDisposable {
  readonly #options: SpoolOptions;
  readonly #thread: WriterThread;
  #id = "";
  #kept: Kept = { head_seq: 0, rows: 0, bytes: 0, mirrored_rows: 0 };
  readonly #queue = new WriteQueue();
  #appended_rows = 0;
  #transactions = 0;
  #draining: Promise<void> | undefined;
  #failure: SpoolError | undefined;
  #closing: Promise<void> | undefined;
  #disk_full = false;
  /** Bytes that the last refused record needs; room is what it fits into. */
  #wanted_bytes = 1;
  #room = Promise.withResolvers<void>();
  readonly #listeners = new Set<() => void>();

  /** @private Use {@linkcode openSpool}. */
  constructor(options: SpoolOptions, thread: WriterThread) {
    this.#options = options;
    this.#thread = thread;
    thread.onFailure = (failure) => this.#fail(failure);
  }

  /** @private Opens the file; what goes wrong is the spool's state. */
  async start(): Promise<this> {
    const { path, uid, readers, timers, newId, max_pages } = this.#options;
    try {
      const opened = await this.#thread.ask({
        kind: "open",
        options: {
          path,
          uid,
          readers,
          new_id: newId(),
          now_ms: timers.now_ms(),
          lock_wait_ms: SPOOL_LIMITS.lock_wait_ms,
          ...(max_pages === undefined ? {} : { max_pages }),
        },
      }, "opened");
      this.#id = opened.spool_id;
      this.#kept = opened.kept;
    } catch (error) {
      this.#fail(asSpoolError(error));
      this.#thread.terminate();
    }
    return this;
  }

  /** @inheritdoc */
  get id(): string {
    return this.#id;
  }

  /**
   * Keeps one record. Its bytes are copied before this returns.
   *
   * @throws {SpoolError} `full`, `queue_full`, `too_large`, `disk_full`, `closed`, or the code of
   * the failure that ended the spool. The record is not kept then; after `writer_failed` that is
   * unknown until the next start.
   */
  append(kind: SpoolRecord["kind"], bytes: Uint8Array): Promise<number> {
    const refusal = this.#refusal(bytes.length);
    if (refusal !== undefined) return Promise.reject(refusal);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#queue.append({ kind, bytes: bytes.slice(), resolve, reject });
    this.#wake();
    return promise;
  }

  /** @inheritdoc */
  async writable(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.state() !== "full") return;
      const waiting = new AbortController();
      const all = AbortSignal.any([signal, waiting.signal]);
      const pause = this.#options.timers.sleep(SPOOL_LIMITS.disk_full_retry_ms, all);
      const was_disk_full = this.#disk_full;
      await Promise.race([this.#room.promise, pause]);
      waiting.abort();
      // Whether the disk has room again is known only by trying.
      if (was_disk_full) return;
    }
  }

  /** @inheritdoc */
  state(): SpoolStatus["state"] {
    if (this.#failure !== undefined) return "failed";
    const full = this.#disk_full || this.#rowsLeft() <= 0 ||
      this.#bytesLeft() < this.#wanted_bytes;
    return full ? "full" : "ready";
  }

  /** State and counters. */
  get status(): SpoolStatus {
    const failure = this.#failure;
    return {
      state: this.state(),
      ...(failure === undefined
        ? {}
        : { failure: { code: failure.code, message: failure.message } }),
      kept_rows: this.#kept.rows,
      kept_bytes: this.#kept.bytes,
      queued_rows: this.#queue.rows,
      appended_rows: this.#appended_rows,
      transactions: this.#transactions,
    };
  }

  /** A reader that was named when the spool was opened. */
  reader(name: string): Reader {
    return new Reader(
      async (limit) => {
        this.#throwIfFailed();
        return (await this.#ask({ kind: "read", reader: name, limit }, "read")).records;
      },
      (seq, note) => this.#acknowledge({ reader: name, seq, note }),
    );
  }

  /** Calls `listener` after records were kept; returns how to stop that. */
  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Finishes what was accepted, then lets go of the file. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  /** @inheritdoc */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #shutDown(): Promise<void> {
    await this.#draining;
    try {
      if (this.#failure === undefined) await this.#ask({ kind: "close" }, "closed");
    } catch {
      // A writer that failed cannot be asked; ending the thread releases the file.
    }
    this.#fail(new SpoolError("closed", "cannot use the spool: it is closed"));
    this.#thread.terminate();
  }

  #acknowledge(one: Acknowledgement): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (!Number.isSafeInteger(one.seq) || one.seq < 0 || one.seq > this.#kept.head_seq) {
      return Promise.reject(
        new SpoolError(
          "constraint",
          `cannot acknowledge record \`${one.seq}\`: the last one is \`${this.#kept.head_seq}\``,
        ),
      );
    }
    if ((one.note?.length ?? 0) > SPOOL_LIMITS.note_bytes) {
      return Promise.reject(
        new SpoolError(
          "too_large",
          `a reader's note has more than \`${SPOOL_LIMITS.note_bytes}\` bytes`,
        ),
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#queue.acknowledge({ ...one, resolve, reject });
    this.#wake();
    return promise;
  }

  #rowsLeft(): number {
    const cap = this.#options.kept_rows ?? SPOOL_LIMITS.kept_rows;
    return cap - this.#kept.rows - this.#queue.rows;
  }

  #bytesLeft(): number {
    const cap = this.#options.kept_bytes ?? SPOOL_LIMITS.kept_bytes;
    return cap - this.#kept.bytes - this.#queue.bytes;
  }

  #refusal(length: number): SpoolError | undefined {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#closing !== undefined) {
      return new SpoolError("closed", "cannot write to the spool: it is closing");
    }
    if (length > SPOOL_LIMITS.record_bytes) {
      return new SpoolError(
        "too_large",
        `cannot write to the spool: a record of \`${length}\` bytes, at most ` +
          `\`${SPOOL_LIMITS.record_bytes}\` are kept`,
      );
    }
    if (this.#rowsLeft() <= 0 || this.#bytesLeft() < length) {
      this.#wanted_bytes = Math.max(this.#wanted_bytes, length);
      return new SpoolError(
        "full",
        `the spool is full: \`${this.#kept.rows}\` records, \`${this.#kept.bytes}\` bytes wait ` +
          `for delivery; bring the gateway back, nothing is recorded or allowed until then`,
      );
    }
    if (!this.#queue.crowdedFor(length)) return undefined;
    return new SpoolError(
      "queue_full",
      `cannot write to the spool: \`${this.#queue.rows}\` records wait for the disk; retry later`,
    );
  }

  /** Started in a microtask so that records of the same turn share a transaction. */
  #wake(): void {
    this.#draining ??= Promise.resolve().then(() => this.#drain());
  }

  async #drain(): Promise<void> {
    while (!this.#queue.empty) await this.#commit(this.#queue.take());
    this.#draining = undefined;
  }

  async #commit(batch: Batch): Promise<void> {
    const { appends, acknowledgements } = batch;
    try {
      const committed = await this.#ask({
        kind: "commit",
        records: pack(appends),
        acknowledgements: acknowledgements.map(({ reader, seq, note }) => ({ reader, seq, note })),
        release: this.#crowdedByMirrors(),
      }, "committed");
      this.#disk_full = false;
      this.#transactions++;
      this.#appended_rows += appends.length;
      this.#queue.settled(batch);
      this.#kept = committed.kept;
      for (const [index, one] of appends.entries()) one.resolve(committed.first_seq + index);
      for (const one of acknowledgements) one.resolve();
      for (const { reader, rows } of committed.passed_over) {
        this.#options.onPassedOver?.(reader, rows);
      }
      if (appends.length > 0) { for (const listener of this.#listeners) listener(); }
    } catch (error) {
      this.#queue.settled(batch);
      const reason = asSpoolError(error);
      if (reason.code === "disk_full") this.#disk_full = true;
      for (const one of [...appends, ...acknowledgements]) one.reject(reason);
    }
    if (this.#bytesLeft() >= this.#wanted_bytes) this.#wanted_bytes = 1;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }

  #crowdedByMirrors(): boolean {
    if (this.#kept.mirrored_rows === 0) return false;
    const { kept_rows, kept_bytes } = this.#options;
    const share = SPOOL_LIMITS.mirror_release_percent / 100;
    return this.#kept.rows + this.#queue.rows >= share * (kept_rows ?? SPOOL_LIMITS.kept_rows) ||
      this.#kept.bytes + this.#queue.bytes >= share * (kept_bytes ?? SPOOL_LIMITS.kept_bytes);
  }

  async #ask<K extends WriterResult["kind"]>(
    question: Parameters<WriterThread["ask"]>[0],
    kind: K,
  ): Promise<Extract<WriterResult, { kind: K }>> {
    try {
      return await this.#thread.ask(question, kind);
    } catch (error) {
      const failure = asSpoolError(error);
      if (isFinal(failure.code)) this.#fail(failure);
      throw failure;
    }
  }

  #fail(failure: SpoolError): void {
    this.#failure ??= failure;
    this.#room.resolve();
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/**
 * Opens or makes a spool. Never rejects: a file that cannot be used is the state `failed`, with its
 * name in `status.failure`, and every append is refused with it. A damaged file is copied aside
 * first.
 */
export function openSpool(options: SpoolOptions): Promise<Spool> {
  return new Spool(options, new WriterThread()).start();
}

function asSpoolError(error: unknown): SpoolError {
  if (error instanceof SpoolError) return error;
  return new SpoolError("writer_failed", String(error), { cause: error });
}
