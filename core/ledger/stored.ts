/**
 * The stored forms of the ledger: transactions of the journal, and the accounts and reservations of
 * a checkpoint. Read strictly: what is not exactly a stored form is refused by name, never guessed.
 *
 * @module
 */
import { Account, type Book, type Level } from "./account.ts";
import { type Amount, readAmount, storedAmount } from "./amount.ts";
import { ownerKind } from "./owner.ts";
import type { LedgerState, OpenReservation } from "./state.ts";
import type { ReservedCall, Transaction } from "./transaction.ts";

/** Version of the stored forms. */
export const LEDGER_FORMAT = 1;

/** A stored form that cannot be read. The text names the field and never shows a stored value. */
export class LedgerFormatError extends Error {
  override readonly name = "LedgerFormatError";
}

function bad(field: string, expected: string): LedgerFormatError {
  return new LedgerFormatError(`field \`${field}\` is not ${expected}`);
}

type Fields = Readonly<Record<string, unknown>>;

function objectOf(value: unknown, field: string, keys: readonly string[]): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw bad(field, "an object");
  }
  const surplus = Object.keys(value).find((key) => !keys.includes(key));
  if (surplus !== undefined) throw bad(field, `an object of ${keys.join(", ")} alone`);
  return value as Fields;
}

function textOf(value: unknown, field: string): string {
  if (typeof value !== "string" || value === "") throw bad(field, "a text");
  return value;
}

function countOf(value: unknown, field: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw bad(field, "a whole number from 0");
  }
  return value;
}

function amountOf(value: unknown, field: string): Amount {
  const read = readAmount(value);
  if (read === undefined) throw bad(field, "four whole numbers");
  return read;
}

function listOf(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw bad(field, "a list");
  return value;
}

function ownerOf(value: unknown, field: string): string {
  const owner = textOf(value, field);
  if (ownerKind(owner) === undefined) throw bad(field, "an account");
  return owner;
}

const CALL_KEYS = ["id", "at", "agent", "owners", "amount", "floor", "what"];

function storedCall(call: ReservedCall): Fields {
  return {
    id: call.id,
    at: call.at_ms,
    agent: call.agent_key,
    owners: call.owners,
    amount: storedAmount(call.amount),
    floor: storedAmount(call.floor),
    what: call.what,
  };
}

function callOf(value: unknown): ReservedCall {
  const fields = objectOf(value, "call", CALL_KEYS);
  return {
    id: textOf(fields["id"], "call.id"),
    at_ms: countOf(fields["at"], "call.at"),
    agent_key: textOf(fields["agent"], "call.agent"),
    owners: listOf(fields["owners"], "call.owners").map((owner) => ownerOf(owner, "call.owners")),
    amount: amountOf(fields["amount"], "call.amount"),
    floor: amountOf(fields["floor"], "call.floor"),
    what: textOf(fields["what"], "call.what"),
  };
}

/** The stored form of a transaction: plain data. */
export function storedTransaction(transaction: Transaction): Fields {
  const { kind } = transaction;
  switch (kind) {
    case "reserve":
      return { kind, call: storedCall(transaction.call), expires: transaction.expires_at_ms };
    case "charge":
      return { kind, call: storedCall(transaction.call) };
    case "settle":
    case "overrun": {
      const { id, at_ms, actual } = transaction;
      return { kind, id, at: at_ms, actual: storedAmount(actual) };
    }
    case "release":
    case "expire":
      return { kind, id: transaction.id, at: transaction.at_ms };
    case "zone":
      return { kind, zone: transaction.zone, at: transaction.at_ms };
    case "window":
      return { kind, window_ms: transaction.window_ms, at: transaction.at_ms };
    case "latch": {
      const { owner, limit, window, threshold_pct, at_ms } = transaction;
      return { kind, owner, limit, window, pct: threshold_pct, at: at_ms };
    }
  }
}

/**
 * Reads a stored transaction.
 *
 * @throws {LedgerFormatError} naming the field.
 */
export function readTransaction(value: unknown): Transaction {
  const kind = typeof value === "object" && value !== null ? (value as Fields)["kind"] : undefined;
  const fields = (...keys: string[]) => objectOf(value, "transaction", ["kind", ...keys]);
  switch (kind) {
    case "reserve": {
      const { call, expires } = fields("call", "expires");
      return { kind, call: callOf(call), expires_at_ms: countOf(expires, "expires") };
    }
    case "charge":
      return { kind, call: callOf(fields("call")["call"]) };
    case "settle":
    case "overrun": {
      const { id, at, actual } = fields("id", "at", "actual");
      return {
        kind,
        id: textOf(id, "id"),
        at_ms: countOf(at, "at"),
        actual: amountOf(actual, "actual"),
      };
    }
    case "release":
    case "expire": {
      const { id, at } = fields("id", "at");
      return { kind, id: textOf(id, "id"), at_ms: countOf(at, "at") };
    }
    case "zone": {
      const { zone, at } = fields("zone", "at");
      return { kind, zone: textOf(zone, "zone"), at_ms: countOf(at, "at") };
    }
    case "window": {
      const { window_ms, at } = fields("window_ms", "at");
      return { kind, window_ms: countOf(window_ms, "window_ms"), at_ms: countOf(at, "at") };
    }
    case "latch": {
      const { owner, limit, window, pct, at } = fields("owner", "limit", "window", "pct", "at");
      return {
        kind,
        owner: ownerOf(owner, "owner"),
        limit: textOf(limit, "limit"),
        window: textOf(window, "window"),
        threshold_pct: countOf(pct, "pct"),
        at_ms: countOf(at, "at"),
      };
    }
    default:
      throw bad("kind", "a kind of transaction");
  }
}

const LEVEL_KEYS = ["r", "s"];

function storedLevel(level: Level): Fields {
  return { r: storedAmount(level.reserved), s: storedAmount(level.spent) };
}

function levelOf(value: unknown, field: string): Level {
  const fields = objectOf(value, field, LEVEL_KEYS);
  return { reserved: amountOf(fields["r"], field), spent: amountOf(fields["s"], field) };
}

function storedBooks(books: ReadonlyMap<string, Book>): readonly unknown[] {
  return [...books].map(([zone, book]) => [
    zone,
    book.dropped ?? null,
    [...book.levels].map(([key, level]) => [key, storedLevel(level)]),
  ]);
}

function booksOf(value: unknown, field: string): [string, Book][] {
  return listOf(value, field).map((item) => {
    const [zone, dropped, levels, ...surplus] = listOf(item, field);
    if (surplus.length > 0) throw bad(field, "a zone with its levels");
    const kept = listOf(levels, field).map((pair) => {
      const [key, level] = listOf(pair, field);
      return [textOf(key, field), levelOf(level, field)] as const;
    });
    const book: Book = { levels: new Map(kept) };
    if (dropped !== null) book.dropped = textOf(dropped, field);
    return [textOf(zone, field), book];
  });
}

const ACCOUNT_KEYS = [
  "owner",
  "available",
  "reserved",
  "spent",
  "days",
  "months",
  "windows",
  "latches",
];

/** The stored form of an account. */
export function storedAccount(account: Account): Fields {
  return {
    owner: account.owner,
    available: storedAmount(account.available),
    reserved: storedAmount(account.reserved),
    spent: storedAmount(account.spent),
    days: storedBooks(account.days),
    months: storedBooks(account.months),
    windows: [...account.windows].map(([window_ms, { anchor_ms, level }]) => [
      window_ms,
      anchor_ms,
      storedLevel(level),
    ]),
    latches: [...account.latches].map(([limit, { window, threshold_pct }]) => [
      limit,
      window,
      threshold_pct,
    ]),
  };
}

/**
 * Reads a stored account.
 *
 * @throws {LedgerFormatError} naming the field, also when the balances do not sum to zero.
 */
export function readAccount(value: unknown): Account {
  const fields = objectOf(value, "account", ACCOUNT_KEYS);
  const account = new Account(ownerOf(fields["owner"], "owner"));
  account.available = amountOf(fields["available"], "available");
  account.reserved = amountOf(fields["reserved"], "reserved");
  account.spent = amountOf(fields["spent"], "spent");
  for (const [zone, book] of booksOf(fields["days"], "days")) account.days.set(zone, book);
  for (const [zone, book] of booksOf(fields["months"], "months")) account.months.set(zone, book);
  for (const item of listOf(fields["windows"], "windows")) {
    const [window_ms, anchor_ms, level] = listOf(item, "windows");
    account.windows.set(countOf(window_ms, "windows"), {
      anchor_ms: countOf(anchor_ms, "windows"),
      level: levelOf(level, "windows"),
    });
  }
  for (const item of listOf(fields["latches"], "latches")) {
    const [limit, window, threshold_pct] = listOf(item, "latches");
    account.latches.set(textOf(limit, "latches"), {
      window: textOf(window, "latches"),
      threshold_pct: countOf(threshold_pct, "latches"),
    });
  }
  return account;
}

/** The stored form of an open reservation. */
export function storedReservation(held: OpenReservation): Fields {
  const { call, expires_at_ms, steady_ms } = held;
  return { call: storedCall(call), expires: expires_at_ms, steady: steady_ms };
}

/** Reads a stored reservation. @throws {LedgerFormatError} naming the field. */
export function readReservation(value: unknown): OpenReservation {
  const { call, expires, steady } = objectOf(value, "reservation", ["call", "expires", "steady"]);
  return {
    call: callOf(call),
    expires_at_ms: countOf(expires, "expires"),
    steady_ms: countOf(steady, "steady"),
  };
}

/** The stored form of everything that is neither account nor reservation. */
export function storedHead(state: LedgerState): Fields {
  return {
    format: LEDGER_FORMAT,
    seq: state.seq,
    steady: state.steady_ms,
    zones: [...state.zones],
    windows: [...state.windows],
    accounts: state.accounts.size,
    open: state.open.size,
  };
}

/** What the head of a checkpoint says. */
export interface Head {
  readonly seq: number;
  readonly steady_ms: number;
  readonly zones: readonly string[];
  readonly windows: readonly number[];
  /** How many accounts and open reservations belong to it: a lost record is noticed. */
  readonly accounts: number;
  readonly open: number;
}

/** Reads the head of a checkpoint. @throws {LedgerFormatError} naming the field. */
export function readHead(value: unknown): Head {
  const keys = ["format", "seq", "steady", "zones", "windows", "accounts", "open"];
  const fields = objectOf(value, "head", keys);
  if (fields["format"] !== LEDGER_FORMAT) throw bad("format", `${LEDGER_FORMAT}`);
  return {
    seq: countOf(fields["seq"], "seq"),
    steady_ms: countOf(fields["steady"], "steady"),
    zones: listOf(fields["zones"], "zones").map((zone) => textOf(zone, "zones")),
    windows: listOf(fields["windows"], "windows").map((length) => countOf(length, "windows")),
    accounts: countOf(fields["accounts"], "accounts"),
    open: countOf(fields["open"], "open"),
  };
}
