/**
 * Reads the ledger back: the accounts of the last checkpoint, then the journal after it. Anything
 * that is missing, damaged or does not add up is refused by name, never guessed: the room then
 * denies what has a price (contract `policy-and-gateway` §6.3; trap 35).
 *
 * @module
 */
import {
  type Amount,
  conservationProblem,
  type Ending,
  type Head,
  LedgerState,
  readAccount,
  readHead,
  readReservation,
  readTransaction,
  type ReservedCall,
  type Transaction,
  ZERO,
} from "../../core/ledger/mod.ts";
import type { StateStore, StoredRecord } from "../../storage/sqlite/records.ts";
import { COLLECTION, HEAD_KEY, journalKey } from "./journal.ts";

/** A ledger that was read. */
export interface LoadedLedger {
  readonly state: LedgerState;
  readonly checkpoint_seq: number;
  readonly stored_open: readonly string[];
}

/** The stored ledger cannot be trusted. The message says what is wrong, without stored values. */
export class LedgerDamaged extends Error {
  override readonly name = "LedgerDamaged";
}

/** One journal record. */
interface Group {
  readonly from: number;
  readonly transactions: readonly Transaction[];
}

/**
 * Loads the ledger.
 *
 * @throws {LedgerDamaged} naming the record.
 * @throws {StoreError} when the store cannot be read.
 */
export async function loadLedger(store: Pick<StateStore, "records">): Promise<LoadedLedger> {
  const state = new LedgerState();
  const head = await loadCheckpoint(store, state);
  const checkpoint_seq = head?.seq ?? 0;
  const stored_open = [...state.open.keys()];
  const problem = conservationProblem(state);
  if (problem !== undefined) throw new LedgerDamaged(`the stored accounts: ${problem}`);
  await replayJournal(store, state, checkpoint_seq);
  const after = conservationProblem(state);
  if (after !== undefined) throw new LedgerDamaged(`after the journal: ${after}`);
  return { state, checkpoint_seq, stored_open };
}

async function* each(
  store: Pick<StateStore, "records">,
  collection: (typeof COLLECTION)[keyof typeof COLLECTION],
): AsyncGenerator<StoredRecord> {
  for await (const page of store.records(collection)) yield* page;
}

/** Reads one record; whatever is wrong with it names the record. */
function read<T>(collection: string, record: StoredRecord, parse: (value: unknown) => T): T {
  try {
    return parse(JSON.parse(record.value));
  } catch (error) {
    const why = error instanceof SyntaxError
      ? "is not JSON"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new LedgerDamaged(`record \`${record.key}\` of ${collection}: ${why}`);
  }
}

async function loadCheckpoint(
  store: Pick<StateStore, "records">,
  state: LedgerState,
): Promise<Head | undefined> {
  let head: Head | undefined;
  for await (const record of each(store, COLLECTION.accounts)) {
    if (record.key === HEAD_KEY) {
      head = read(COLLECTION.accounts, record, readHead);
      continue;
    }
    const account = read(COLLECTION.accounts, record, readAccount);
    if (account.owner !== record.key) {
      throw new LedgerDamaged(`record \`${record.key}\` of ${COLLECTION.accounts} is another's`);
    }
    state.accounts.set(account.owner, account);
  }
  for await (const record of each(store, COLLECTION.reservations)) {
    const held = read(COLLECTION.reservations, record, readReservation);
    if (held.call.id !== record.key) {
      throw new LedgerDamaged(
        `record \`${record.key}\` of ${COLLECTION.reservations} is another's`,
      );
    }
    state.open.set(held.call.id, held);
  }
  if (head === undefined) {
    if (state.accounts.size === 0 && state.open.size === 0) return undefined;
    throw new LedgerDamaged(`${COLLECTION.accounts} has no head`);
  }
  if (head.accounts !== state.accounts.size || head.open !== state.open.size) {
    throw new LedgerDamaged(
      `the head counts ${head.accounts} accounts and ${head.open} reservations, ` +
        `stored are ${state.accounts.size} and ${state.open.size}`,
    );
  }
  state.seq = head.seq;
  state.steady_ms = head.steady_ms;
  state.zones.splice(0, state.zones.length, ...head.zones);
  state.windows.push(...head.windows);
  return head;
}

async function replayJournal(
  store: Pick<StateStore, "records">,
  state: LedgerState,
  checkpoint_seq: number,
): Promise<void> {
  const memory = new Memory(state);
  let expected: number | undefined;
  for await (const record of each(store, COLLECTION.journal)) {
    const { from, transactions } = read(COLLECTION.journal, record, groupOf);
    const last = from + transactions.length - 1;
    if (record.key !== journalKey(last)) {
      throw new LedgerDamaged(`record \`${record.key}\` of the journal is not in its place`);
    }
    // The first record may follow a cut, but never leave a gap after the checkpoint.
    if (from !== (expected ?? Math.min(from, checkpoint_seq + 1))) {
      throw new LedgerDamaged(`the journal lacks transaction ${expected ?? checkpoint_seq + 1}`);
    }
    expected = last + 1;
    for (const [at, transaction] of transactions.entries()) {
      if (from + at <= checkpoint_seq) memory.see(transaction);
      else if (!state.apply(transaction).ok) {
        throw new LedgerDamaged(`transaction ${from + at} of the journal cannot have happened`);
      }
    }
  }
  if (expected !== undefined && expected <= checkpoint_seq) {
    throw new LedgerDamaged("the journal ends before the checkpoint");
  }
}

function groupOf(value: unknown): Group {
  const { from, list } = value as { readonly from?: unknown; readonly list?: unknown };
  if (typeof from !== "number" || !Number.isSafeInteger(from) || from < 1) {
    throw new Error("field `from` is not a number of a transaction");
  }
  if (!Array.isArray(list) || list.length === 0) throw new Error("field `list` is not a list");
  return { from, transactions: list.map(readTransaction) };
}

/**
 * What the journal before the checkpoint still tells: how reservations ended, so that a repeated
 * settlement is answered after a restart as it was before.
 */
class Memory {
  readonly #calls = new Map<string, ReservedCall>();

  constructor(private readonly state: LedgerState) {}

  see(transaction: Transaction): void {
    switch (transaction.kind) {
      case "reserve":
        this.#calls.set(transaction.call.id, transaction.call);
        return;
      case "charge":
        this.#calls.set(transaction.call.id, transaction.call);
        return this.#ended(transaction.call.id, "charged", transaction.call.amount);
      case "settle":
      case "overrun":
        return this.#ended(transaction.id, "settled", transaction.actual);
      case "expire":
        return this.#ended(transaction.id, "expired", undefined);
      case "release": {
        const charged = this.state.closed.get(transaction.id)?.ending === "charged";
        return this.#ended(transaction.id, charged ? "refunded" : "released", ZERO);
      }
    }
  }

  #ended(id: string, ending: Ending, actual: Amount | undefined): void {
    const call = this.#calls.get(id);
    if (call !== undefined) this.state.recollect(call, ending, actual ?? call.amount);
  }
}
