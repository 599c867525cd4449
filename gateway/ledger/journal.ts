/**
 * The ledger's way to the disk: transactions join the journal in groups, and from time to time the
 * accounts are written so that the journal can be cut. One write is under way at a time.
 *
 * A write that fails is tried again, unchanged, before anything else: the journal has no gap. Until
 * it succeeds the journal is `failing`, and whoever waits for it is told.
 *
 * @module
 */
import {
  type LedgerState,
  storedAccount,
  storedHead,
  storedReservation,
  storedTransaction,
  type Transaction,
} from "../../core/ledger/mod.ts";
import type { Collection, Mutation, StateStore } from "../../storage/sqlite/records.ts";
import { LEDGER_ROOM_LIMITS } from "./limits.ts";

/** Collections of the ledger in the state store. */
export const COLLECTION = {
  accounts: "ledger_accounts",
  journal: "ledger_journal",
  reservations: "ledger_reservations",
} as const;

/** Key of the head among the accounts: sorts before every account. */
export const HEAD_KEY = "!head";

/** Key of a journal record: the number of its last transaction, so that keys sort by it. */
export function journalKey(seq: number): string {
  return String(seq).padStart(16, "0");
}

interface Queued {
  readonly transaction: Transaction;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One write under way: what it holds and who waits for it. */
interface Write {
  readonly mutations: readonly Mutation[];
  readonly queued: readonly Queued[];
  /** What it brings the journal to. */
  readonly seq: number;
  readonly checkpoint: boolean;
}

/** What the journal needs. */
export interface JournalOptions {
  readonly store: Pick<StateStore, "commit">;
  /** The state that the transactions were applied to already. */
  readonly state: LedgerState;
  /** Last transaction whose effect is in the stored accounts. */
  readonly checkpoint_seq: number;
  /** Ids of the reservations stored with the accounts. */
  readonly stored_open: Iterable<string>;
}

/** Writes transactions in the order in which they were applied. */
export class Journal {
  readonly #store: Pick<StateStore, "commit">;
  readonly #state: LedgerState;
  readonly #stored_open: Set<string>;
  #queue: Queued[] = [];
  #checkpoint_seq: number;
  #durable_seq: number;
  #failed: Write | undefined;
  #failure: string | undefined;
  #running: Promise<void> = Promise.resolve();
  #busy = false;
  #checkpoint_asked = false;

  constructor(options: JournalOptions) {
    this.#store = options.store;
    this.#state = options.state;
    this.#checkpoint_seq = options.checkpoint_seq;
    this.#durable_seq = options.state.seq;
    this.#stored_open = new Set(options.stored_open);
  }

  /** Why the last write failed; `undefined` while writes succeed. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Whether one more transaction must be refused. */
  get full(): boolean {
    return this.#queue.length >= LEDGER_ROOM_LIMITS.queued_transactions;
  }

  /** Last transaction on disk. */
  get durable_seq(): number {
    return this.#durable_seq;
  }

  /**
   * Takes a transaction that was just applied.
   *
   * @returns Resolves once it is on disk; rejects when the write that carries it failed. It is
   * written again all the same, so whoever no longer wants it must release it.
   */
  append(transaction: Transaction): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Whoever does not wait for it learns of a failure from the state of the journal.
    promise.catch(() => {});
    this.#queue.push({ transaction, resolve, reject });
    if (this.#failed === undefined) this.#start();
    return promise;
  }

  /** Tries a failed write again. */
  retry(): Promise<void> {
    if (this.#failed === undefined && this.#queue.length === 0) return Promise.resolve();
    this.#start();
    return this.#running;
  }

  /** Writes everything, accounts too. Rejects with the last failure when the disk does not take it. */
  async close(): Promise<void> {
    this.#checkpoint_asked = true;
    await this.#running;
    this.#start();
    await this.#running;
    if (this.#failure !== undefined) {
      throw new Error(`the ledger's last transactions are not on disk: ${this.#failure}`);
    }
  }

  #start(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    // What is applied in the same turn goes out together.
    await Promise.resolve();
    while (true) {
      const write = this.#failed ?? this.#next();
      if (write === undefined) {
        // In the same turn as the look at the queue: what comes after it starts the next run.
        this.#busy = false;
        return;
      }
      try {
        await this.#store.commit(write.mutations);
      } catch (error) {
        this.#failure = error instanceof Error ? error.message : String(error);
        this.#failed = { ...write, queued: [] };
        this.#busy = false;
        for (const one of write.queued) one.reject(error);
        return;
      }
      this.#failed = undefined;
      this.#failure = undefined;
      this.#durable_seq = write.seq;
      if (write.checkpoint) this.#checkpoint_seq = write.seq;
      for (const one of write.queued) one.resolve();
    }
  }

  /** The next write; `undefined` when there is nothing to write. */
  #next(): Write | undefined {
    const { checkpoint_transactions, group_transactions } = LEDGER_ROOM_LIMITS;
    const due = this.#state.seq - this.#checkpoint_seq >= checkpoint_transactions;
    const checkpoint = (due || this.#checkpoint_asked) &&
      this.#state.seq > this.#checkpoint_seq;
    this.#checkpoint_asked = false;
    if (!checkpoint && this.#queue.length === 0) return undefined;
    // The accounts hold everything applied, so a checkpoint takes everything that waits with it.
    const queued = this.#queue.splice(0, checkpoint ? this.#queue.length : group_transactions);
    const waiting = this.#queue.length;
    const seq = this.#state.seq - waiting;
    const mutations: Mutation[] = [];
    for (let at = 0; at < queued.length; at += group_transactions) {
      const group = queued.slice(at, at + group_transactions);
      const last = seq - queued.length + at + group.length;
      mutations.push({
        kind: "put_record",
        collection: COLLECTION.journal,
        key: journalKey(last),
        value: JSON.stringify({
          from: last - group.length + 1,
          list: group.map(({ transaction }) => storedTransaction(transaction)),
        }),
      });
    }
    if (checkpoint) mutations.push(...this.#checkpoint());
    return { mutations, queued, seq, checkpoint };
  }

  #checkpoint(): Mutation[] {
    const state = this.#state;
    const mutations: Mutation[] = [];
    const put = (collection: Collection, key: string, value: unknown) =>
      mutations.push({ kind: "put_record", collection, key, value: JSON.stringify(value) });
    for (const owner of state.touched) {
      const account = state.account(owner);
      if (account !== undefined) put(COLLECTION.accounts, owner, storedAccount(account));
    }
    state.touched.clear();
    for (const [id, held] of state.open) {
      if (this.#stored_open.has(id)) continue;
      put(COLLECTION.reservations, id, storedReservation(held));
      this.#stored_open.add(id);
    }
    for (const id of this.#stored_open) {
      if (state.open.has(id)) continue;
      mutations.push({ kind: "delete_record", collection: COLLECTION.reservations, key: id });
      this.#stored_open.delete(id);
    }
    put(COLLECTION.accounts, HEAD_KEY, storedHead(state));
    const cut = state.seq - LEDGER_ROOM_LIMITS.kept_transactions;
    if (cut > 0) {
      mutations.push({
        kind: "delete_records_through",
        collection: COLLECTION.journal,
        key: journalKey(cut),
      });
    }
    return mutations;
  }
}
