/**
 * One owner's accounts: lifetime balances in double entry, and what of them lies in which day,
 * month and short window.
 *
 * @module
 */
import { type Amount, isExact, isZero, plus, ZERO } from "./amount.ts";
import { dayOf, daysBefore } from "./calendar.ts";
import { LEDGER_LIMITS } from "./limits.ts";
import type { Effect, Posting } from "./transaction.ts";

/** What is reserved and what is spent. */
export interface Level {
  readonly reserved: Amount;
  readonly spent: Amount;
}

/** Nothing reserved and nothing spent. */
export const EMPTY: Level = Object.freeze({ reserved: ZERO, spent: ZERO });

/** Levels by date or month of one time zone. */
export interface Book {
  readonly levels: Map<string, Level>;
  /** Newest key that was dropped for age; what is older counts in the oldest one kept. */
  dropped?: string;
}

/** The running short window: it began with the first spend after the one before ended. */
export interface ShortWindow {
  readonly anchor_ms: number;
  readonly level: Level;
}

/** Which latch of which window has been told. */
export interface Latch {
  readonly window: string;
  readonly threshold_pct: number;
}

/** The state of one owner. */
export class Account {
  available: Amount = ZERO;
  reserved: Amount = ZERO;
  spent: Amount = ZERO;
  readonly days = new Map<string, Book>();
  readonly months = new Map<string, Book>();
  readonly windows = new Map<number, ShortWindow>();
  readonly latches = new Map<string, Latch>();

  constructor(readonly owner: string) {}

  /** Books one posting. */
  post({ account, amount }: Posting): void {
    this[account] = plus(this[account], amount);
  }

  /** Whether an effect keeps every sum exact. */
  accepts({ reserved, spent }: Effect): boolean {
    return isExact(plus(this.reserved, reserved)) && isExact(plus(this.spent, spent)) &&
      isExact(plus(this.available, plus(reserved, spent)));
  }

  /** Counts an effect in the day and month of a zone. */
  countDay(zone: string, effect: Effect): void {
    const day = dayOf(zone, effect.at_ms);
    count(bookOf(this.days, zone), day.date, effect, LEDGER_LIMITS.day_buckets);
    count(bookOf(this.months, zone), day.month, effect, LEDGER_LIMITS.month_buckets);
  }

  /**
   * Counts an effect in the short window of a length.
   *
   * @param at_ms Moment of the effect on a clock that never goes back.
   * @param now_ms The present on the same clock: a window that has ended makes room for the next.
   */
  countWindow(window_ms: number, effect: Effect, at_ms: number, now_ms: number): void {
    let window = this.windows.get(window_ms);
    if (window === undefined || now_ms - window.anchor_ms >= window_ms) {
      // The end of an older reservation is no first spend: only what happens now opens a window.
      if (at_ms !== now_ms || (isZero(effect.reserved) && isZero(effect.spent))) return;
      window = { anchor_ms: now_ms, level: EMPTY };
    }
    // What was reserved in a window that has ended is no concern of this one.
    const level = at_ms < window.anchor_ms ? window.level : added(window.level, effect);
    this.windows.set(window_ms, { anchor_ms: window.anchor_ms, level });
  }

  /** Level of the local day of a moment. */
  day(zone: string, at_ms: number): Level {
    return levelOf(this.days.get(zone), dayOf(zone, at_ms).date);
  }

  /** Level of the local month of a moment. */
  month(zone: string, at_ms: number): Level {
    return levelOf(this.months.get(zone), dayOf(zone, at_ms).month);
  }

  /** Level of the local day of a moment and the days before, `days` in all. */
  rolling(zone: string, days: number, at_ms: number): Level {
    const book = this.days.get(zone);
    if (book === undefined) return EMPTY;
    const last = dayOf(zone, at_ms).date;
    const first = daysBefore(last, days - 1);
    let sum = EMPTY;
    for (const [date, level] of book.levels) {
      if (date >= first && date <= last) sum = joined(sum, level);
    }
    return sum;
  }

  /** Level of the running short window. */
  window(window_ms: number, now_ms: number): Level {
    const window = this.windows.get(window_ms);
    return window === undefined || now_ms - window.anchor_ms >= window_ms ? EMPTY : window.level;
  }
}

function bookOf(books: Map<string, Book>, zone: string): Book {
  let book = books.get(zone);
  if (book === undefined) books.set(zone, book = { levels: new Map() });
  return book;
}

/** The key under which a date counts: its own, or the oldest one kept when it was dropped. */
function keptKey(book: Book, key: string): string {
  if (book.dropped === undefined || key > book.dropped || book.levels.has(key)) return key;
  let oldest: string | undefined;
  for (const kept of book.levels.keys()) if (oldest === undefined || kept < oldest) oldest = kept;
  return oldest ?? key;
}

function levelOf(book: Book | undefined, key: string): Level {
  return book === undefined ? EMPTY : book.levels.get(keptKey(book, key)) ?? EMPTY;
}

function count(book: Book, date: string, effect: Effect, kept_max: number): void {
  const key = keptKey(book, date);
  book.levels.set(key, added(book.levels.get(key) ?? EMPTY, effect));
  if (book.levels.size > kept_max) drop(book);
}

/** Drops the oldest key under which nothing is reserved any more. */
function drop(book: Book): void {
  const keys = [...book.levels].filter(([, level]) => isZero(level.reserved)).map(([key]) => key);
  const oldest = keys.reduce<string | undefined>(
    (least, key) => least === undefined || key < least ? key : least,
    undefined,
  );
  if (oldest === undefined) return;
  book.levels.delete(oldest);
  if (book.dropped === undefined || oldest > book.dropped) book.dropped = oldest;
}

function joined(a: Level, b: Level): Level {
  return { reserved: plus(a.reserved, b.reserved), spent: plus(a.spent, b.spent) };
}

/** A level after an effect; never below zero, which would be room nobody gave. */
function added(level: Level, { reserved, spent }: Effect): Level {
  return {
    reserved: floored(plus(level.reserved, reserved)),
    spent: floored(plus(level.spent, spent)),
  };
}

function floored(value: Amount): Amount {
  return {
    micro_usd: Math.max(0, value.micro_usd),
    tokens: Math.max(0, value.tokens),
    calls: Math.max(0, value.calls),
    wall_ms: Math.max(0, value.wall_ms),
  };
}
