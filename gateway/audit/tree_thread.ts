/**
 * The tree on a thread of its own, so that hashing and tile files cost an append nothing.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { DurableBatch, DurableEnd } from "./commit.ts";
import {
  LAG_BYTES_MAX,
  type PublishedCheckpoint,
  type Tree,
  type TreeWriterOptions,
} from "./tree.ts";

/** What the thread starts with: neither a key nor the machine can cross as an object. */
export interface ThreadOptions extends Omit<TreeWriterOptions, "signer" | "onTask" | "host"> {
  readonly signer_name: string;
  readonly private_key_pem: string;
}

/** A durable batch and where the log ended with it. */
export interface FedBatch {
  readonly batch: DurableBatch;
  readonly end: DurableEnd;
}

/** Messages to the thread. */
export type ToTree =
  | { readonly kind: "start"; readonly options: ThreadOptions }
  | { readonly kind: "batches"; readonly batches: readonly FedBatch[] }
  | { readonly kind: "checkpoint"; readonly id: number }
  | { readonly kind: "close" };

/** Messages from the thread. */
export type FromTree =
  | {
    readonly kind: "state";
    readonly published: PublishedCheckpoint | undefined;
    readonly failure: string | undefined;
    /** Bytes of all batches the thread has received. */
    readonly fed_bytes: number;
    readonly lag_bytes: number;
  }
  | { readonly kind: "signed"; readonly id: number; readonly text: string }
  | { readonly kind: "unsigned"; readonly id: number; readonly reason: string }
  | { readonly kind: "closed" };

const WORKER = new URL("./tree_worker.ts", import.meta.url);
const SOURCES = ["./", "../../core/"].map((path) => new URL(path, import.meta.url));

/** A message costs more than hashing a small batch: batches travel together. */
const GATHER_MS = 5;
const GATHER_BYTES = 524_288;

/** Whether this process may load the thread's source files. */
export function canStartThread(): boolean {
  return SOURCES.every((url) =>
    url.protocol === "file:" &&
    Deno.permissions.querySync({ name: "read", path: fileURLToPath(url) }).state === "granted"
  );
}

/** A {@linkcode Tree} on another thread. */
export class TreeThread implements Tree {
  readonly #worker: Worker;
  readonly #started = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #waiting = new Map<number, PromiseWithResolvers<string>>();
  #next_id = 0;
  #fed_bytes = 0;
  #outbox: FedBatch[] = [];
  #outbox_bytes = 0;
  #outbox_timer: ReturnType<typeof setTimeout> | undefined;
  /** Bytes behind, as of the thread's last report. */
  #reported = { fed_bytes: 0, lag_bytes: 0 };
  #published: PublishedCheckpoint | undefined;
  #failure: string | undefined;
  #dead = false;
  #room: PromiseWithResolvers<void> | undefined;

  private constructor() {
    this.#worker = new Worker(WORKER, { type: "module", name: "audit-tree" });
    this.#worker.onmessage = (event: MessageEvent<FromTree>) => this.#receive(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#die(event.message);
    };
  }

  /** Starts the thread and waits until it is ready. */
  static async start(options: Omit<TreeWriterOptions, "host">): Promise<TreeThread> {
    const thread = new TreeThread();
    const { directory, edge, end, published, interval_ms, signer } = options;
    thread.#published = published;
    const private_key_pem = String(signer.private_key.export({ type: "pkcs8", format: "pem" }));
    const signer_name = signer.name;
    thread.#post({
      kind: "start",
      options: { directory, edge, end, published, interval_ms, signer_name, private_key_pem },
    });
    await thread.#started.promise;
    return thread;
  }

  get published(): PublishedCheckpoint | undefined {
    return this.#published;
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  feed(batch: DurableBatch, end: DurableEnd): void {
    if (this.#dead) return;
    this.#fed_bytes += batch.bytes.length;
    this.#outbox.push({ batch, end });
    this.#outbox_bytes += batch.bytes.length;
    if (this.#outbox_bytes >= GATHER_BYTES) this.#send();
    else this.#outbox_timer ??= setTimeout(() => this.#send(), GATHER_MS);
  }

  #send(): void {
    clearTimeout(this.#outbox_timer);
    this.#outbox_timer = undefined;
    if (this.#outbox.length === 0) return;
    const batches = this.#outbox;
    this.#outbox = [];
    this.#outbox_bytes = 0;
    this.#post({ kind: "batches", batches }, batches.map(({ batch }) => batch.bytes.buffer));
  }

  ready(): Promise<void> | undefined {
    if (this.#dead) return Promise.reject(new Error(this.#failure));
    if (this.#lag() < LAG_BYTES_MAX) return undefined;
    if (this.#failure !== undefined) return Promise.reject(new Error(this.#failure));
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  #lag(): number {
    return this.#fed_bytes - this.#reported.fed_bytes + this.#reported.lag_bytes;
  }

  checkpoint(): Promise<string> {
    if (this.#dead) return Promise.reject(new Error(this.#failure));
    const id = this.#next_id++;
    const waiting = Promise.withResolvers<string>();
    this.#waiting.set(id, waiting);
    this.#send();
    this.#post({ kind: "checkpoint", id });
    return waiting.promise;
  }

  async close(): Promise<void> {
    if (!this.#dead) {
      this.#send();
      this.#post({ kind: "close" });
      await this.#closed.promise;
    }
    this.#worker.terminate();
  }

  #post(message: ToTree, transfer: ArrayBufferLike[] = []): void {
    this.#worker.postMessage(message, transfer as Transferable[]);
  }

  #receive(message: FromTree): void {
    switch (message.kind) {
      case "state":
        this.#reported = message;
        this.#published = message.published;
        this.#failure = message.failure;
        this.#started.resolve();
        this.#release();
        return;
      case "signed":
        this.#take(message.id)?.resolve(message.text);
        return;
      case "unsigned":
        this.#take(message.id)?.reject(new Error(message.reason));
        return;
      case "closed":
        this.#closed.resolve();
        return;
    }
  }

  #take(id: number): PromiseWithResolvers<string> | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #release(): void {
    if (this.#room === undefined) return;
    if (this.#dead) this.#room.reject(new Error(this.#failure));
    else if (this.#lag() < LAG_BYTES_MAX) this.#room.resolve();
    else if (this.#failure !== undefined) this.#room.reject(new Error(this.#failure));
    else return;
    this.#room = undefined;
  }

  /** Without its thread the tree cannot go on: the log refuses appends until a restart. */
  #die(reason: string): void {
    this.#dead = true;
    this.#failure = `the Merkle tree's thread ended: ${reason}`;
    const error = new Error(this.#failure);
    this.#started.reject(error);
    this.#closed.resolve();
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    clearTimeout(this.#outbox_timer);
    this.#outbox = [];
    this.#release();
  }
}
