/**
 * The sequencer and its group commit: one chain, one writer. While one write and fdatasync is in
 * flight, further entries collect into the next batch; an append resolves only once its batch is
 * on disk (design law 2, contract `policy-and-gateway` §13.4 #48-#50).
 *
 * @module
 */
import { type ChainHead, seal } from "../../core/audit/chain.ts";
import { checkDraft, type EntryDraft, HASH_BYTES } from "../../core/audit/entry.ts";
import { bytesFromHex } from "../../core/audit/hex.ts";
import { prepareDraft, type PrepareOptions, shrinkDraft } from "../../core/audit/prepare.ts";
import { LIMITS } from "../../core/limits.ts";
import { classifyWriteFailure, type DurableFile, type WriteFailure } from "./durable_file.ts";
import { AuditUnavailableError, reasonOf } from "./errors.ts";
import { SYSTEM_HOST } from "./host.ts";

/** What an append resolves to. */
export interface Appended {
  readonly seq: bigint;
  /** 32 bytes. */
  readonly entry_hash: Uint8Array;
}

/** Lines that became durable together. */
export interface DurableBatch {
  /** Whole lines, newlines included. */
  readonly bytes: Uint8Array;
  /** Offset of each line's newline in `bytes`. */
  readonly newlines: readonly number[];
}

/** Where the durable log ends. */
export interface DurableEnd {
  readonly head: ChainHead;
  readonly offset_bytes: number;
}

/** Where the writer stands. */
export type CommitState =
  | { readonly kind: "open" }
  | { readonly kind: "failed"; readonly failure: WriteFailure; readonly reason: string }
  | { readonly kind: "closed" };

/** What the writer needs. */
export interface GroupCommitOptions {
  readonly file: DurableFile;
  readonly end: DurableEnd;
  readonly prepare: PrepareOptions;
  /** Appends waiting at most; one more is refused. */
  readonly pending_max: number;
  /** Milliseconds after a full disk before an append is tried again as a probe. */
  readonly probe_interval_ms: number;
  /** Monotonic clock of that interval, milliseconds. @default this machine's */
  readonly monotonic_ms?: () => number;
  /** Called once for each durable batch, in order, before its appends resolve. */
  readonly onDurable: (batch: DurableBatch, end: DurableEnd) => void;
  /** Awaited before each write: how the tree holds the log back when it lags. */
  readonly ready: () => Promise<void> | undefined;
}

/** Bytes waiting at most, beside the count. */
const PENDING_BYTES_MAX = 33_554_432;
const BATCH_BYTES_MIN = 8_192;
const encoder = new TextEncoder();

interface Waiter {
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: Error) => void;
  readonly head: ChainHead;
}

/** The hash is kept as the head's text; most callers never ask for its bytes. */
class Acknowledgement implements Appended {
  readonly #next: ChainHead;

  /** @param next The head that follows the entry. */
  constructor(next: ChainHead) {
    this.#next = next;
  }

  get seq(): bigint {
    return this.#next.seq - 1n;
  }

  get entry_hash(): Uint8Array {
    return bytesFromHex(this.#next.previous_hex, new Uint8Array(HASH_BYTES));
  }
}

/** Entries on their way to disk. */
class Batch {
  bytes: Uint8Array;
  length = 0;
  readonly newlines: number[] = [];
  readonly waiters: Waiter[] = [];

  /** @param size_hint Bytes it will probably hold. */
  constructor(size_hint: number) {
    this.bytes = new Uint8Array(size_hint);
  }

  /** @returns The line's length in bytes. */
  write(line: string): number {
    const needed = this.length + line.length * 3 + 1;
    if (needed > this.bytes.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(needed)));
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
    }
    return encoder.encodeInto(line, this.bytes.subarray(this.length)).written;
  }

  commit(line_bytes: number, waiter: Waiter): void {
    this.length += line_bytes;
    this.newlines.push(this.length);
    this.bytes[this.length++] = 0x0a;
    this.waiters.push(waiter);
  }
}

/** The only writer of the log file. */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #monotonic_ms: () => number;
  /** Head after every accepted append, durable or not. */
  #head: ChainHead;
  #durable: DurableEnd;
  #next = new Batch(BATCH_BYTES_MIN);
  #in_flight = 0;
  #running: Promise<void> | undefined;
  #state: CommitState = { kind: "open" };
  #truncate_first = false;
  #probe_after_ms = 0;
  #removed_members = 0;
  #redacted_credentials = 0;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    this.#monotonic_ms = options.monotonic_ms ?? SYSTEM_HOST.monotonic_ms;
    this.#head = options.end.head;
    this.#durable = options.end;
  }

  get state(): CommitState {
    return this.#state;
  }

  /** Where the durable log ends. */
  get durable(): DurableEnd {
    return this.#durable;
  }

  /** Appends not yet durable. */
  get pending(): number {
    return this.#next.waiters.length + this.#in_flight;
  }

  /** Members that cleaning removed from payloads so far. */
  get removed_members(): number {
    return this.#removed_members;
  }

  /** Credentials that were about to be written in clear so far. */
  get redacted_credentials(): number {
    return this.#redacted_credentials;
  }

  /**
   * Takes one entry. Its place in the chain is fixed here and now.
   *
   * @throws {AuditUnavailableError} (as rejection) When it is not durable and will not be.
   */
  append(draft: EntryDraft): Promise<Appended> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(new AuditUnavailableError(refusal));
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    try {
      this.#enqueue(draft, resolve, reject);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#running ??= this.#run();
    return promise;
  }

  /** Waits until nothing is in flight, then refuses every append. The file stays open. */
  async close(): Promise<void> {
    if (this.#state.kind === "open") this.#state = { kind: "closed" };
    while (this.#running !== undefined) await this.#running;
  }

  #refusal(): string | undefined {
    if (this.#state.kind === "closed") return "cannot record: the audit log is closed";
    if (this.#state.kind === "failed") {
      if (this.#state.failure === "permanent") {
        return `cannot record: the audit log failed: ${this.#state.reason}; ` +
          "repair the disk and restart the gateway";
      }
      const probing = this.#running !== undefined ||
        this.#monotonic_ms() < this.#probe_after_ms;
      if (probing) {
        return `cannot record: no room for the audit log: ${this.#state.reason}; free disk space`;
      }
    }
    if (this.pending >= this.#options.pending_max || this.#next.length >= PENDING_BYTES_MAX) {
      return `cannot record: ${this.pending} entries already wait for the disk; try again later`;
    }
    return undefined;
  }

  #enqueue(draft: EntryDraft, resolve: Waiter["resolve"], reject: Waiter["reject"]): void {
    const prepared = prepareDraft(checkDraft(draft), this.#options.prepare);
    this.#removed_members += prepared.removed;
    this.#redacted_credentials += prepared.redacted;
    const batch = this.#next;
    let sealed = seal(prepared.draft, this.#head);
    let line_bytes = batch.write(sealed.line);
    if (line_bytes > LIMITS.audit_entry_bytes) {
      sealed = seal(shrinkDraft(prepared.draft, line_bytes), this.#head);
      line_bytes = batch.write(sealed.line);
    }
    this.#head = sealed.next;
    batch.commit(line_bytes, { resolve, reject, head: sealed.next });
  }

  async #run(): Promise<void> {
    // Let everything of this turn of the event loop into the first batch.
    await Promise.resolve();
    while (this.#next.waiters.length > 0) {
      const batch = this.#next;
      // Under steady load the next batch is as large as this one; it needs room to encode into.
      this.#next = new Batch(Math.max(BATCH_BYTES_MIN, Math.ceil(batch.length * 1.25)));
      this.#in_flight = batch.waiters.length;
      const failure = await this.#write(batch);
      this.#in_flight = 0;
      if (failure !== undefined) {
        await this.#fail(failure, batch);
        return;
      }
      this.#settle(batch);
    }
    this.#running = undefined;
  }

  async #write(batch: Batch): Promise<{ kind: WriteFailure; error: unknown } | undefined> {
    const { file } = this.#options;
    const bytes = batch.bytes.subarray(0, batch.length);
    try {
      await this.#options.ready();
    } catch (error) {
      return { kind: "no_space", error };
    }
    try {
      if (this.#truncate_first) {
        await file.truncate(this.#durable.offset_bytes);
        this.#truncate_first = false;
      }
      await file.append(bytes);
    } catch (error) {
      return { kind: this.#truncate_first ? "permanent" : classifyWriteFailure(error), error };
    }
    try {
      await file.sync();
    } catch (error) {
      return { kind: "permanent", error };
    }
    return undefined;
  }

  #settle(batch: Batch): void {
    const head = batch.waiters.at(-1)?.head ?? this.#durable.head;
    this.#durable = { head, offset_bytes: this.#durable.offset_bytes + batch.length };
    if (this.#state.kind === "failed") this.#state = { kind: "open" };
    const bytes = batch.bytes.subarray(0, batch.length);
    this.#options.onDurable({ bytes, newlines: batch.newlines }, this.#durable);
    for (const { resolve, head } of batch.waiters) resolve(new Acknowledgement(head));
  }

  /** Nothing unacknowledged stays: the chain goes back to its durable end, and so does the file. */
  async #fail(failure: { kind: WriteFailure; error: unknown }, batch: Batch): Promise<void> {
    const reason = reasonOf(failure.error);
    const closed = this.#state.kind === "closed";
    if (!closed) this.#state = { kind: "failed", failure: failure.kind, reason };
    this.#probe_after_ms = this.#monotonic_ms() + this.#options.probe_interval_ms;
    this.#truncate_first = true;
    const waiting = [...batch.waiters, ...this.#next.waiters];
    this.#next = new Batch(BATCH_BYTES_MIN);
    this.#head = this.#durable.head;
    try {
      await this.#options.file.truncate(this.#durable.offset_bytes);
      this.#truncate_first = false;
    } catch {
      // Left for the next probe or the next start, which cut the unacknowledged tail.
    }
    this.#running = undefined;
    const error = new AuditUnavailableError(`cannot record: the audit log failed: ${reason}`, {
      cause: failure.error,
    });
    for (const { reject } of waiting) reject(error);
  }
}
