/**
 * The kept records: each hashed together with the one before it, so that an edit, a removal or a
 * swap shows; forgotten from the front once their readers have them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { SpoolError } from "./failure.ts";
import { SPOOL_LIMITS } from "./limits.ts";
import { packRows, type Row } from "./pack.ts";
import type { Acknowledgement, Kept, PackedRead, PackedRecords, ReaderName } from "./protocol.ts";

/** Hash of a record: SHA-256 over the predecessor's hash, position (8, big-endian), kind, bytes. */
export function recordHash(
  previous: Uint8Array,
  seq: number,
  kind: number,
  bytes: Uint8Array,
): Uint8Array {
  const head = new Uint8Array(9);
  new DataView(head.buffer).setBigUint64(0, BigInt(seq));
  head[8] = kind;
  return createHash("sha256").update(previous).update(head).update(bytes).digest();
}

interface Place {
  readonly role: ReaderName["role"];
  acknowledged_seq: number;
}

/** What a transaction changes of the state in memory, put in force only when it has committed. */
interface Draft {
  head_seq: number;
  head_hash: Uint8Array;
  base_seq: number;
  base_hash: Uint8Array;
  rows: number;
  bytes: number;
  readonly places: Map<string, Place>;
}

/** The chain of one open file. Used by one thread. */
export class Chain {
  readonly #database: DatabaseSync;
  readonly #path: string;
  #now: Draft;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #measure: StatementSync;
  readonly #hash_at: StatementSync;
  readonly #page: StatementSync;
  readonly #set_spool: StatementSync;
  readonly #set_reader: StatementSync;
  readonly #note: StatementSync;
  /** Identity of the file. */
  readonly id: string;

  /**
   * Reads and verifies everything kept; writes nothing.
   *
   * @throws {SpoolError} `corrupt`, saying which record.
   */
  constructor(database: DatabaseSync, path: string) {
    this.#database = database;
    this.#path = path;
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#insert = database.prepare("INSERT INTO records VALUES (?, ?, ?, ?)");
    this.#delete = database.prepare("DELETE FROM records WHERE seq <= ?");
    this.#measure = database.prepare(
      "SELECT count(*) AS n, coalesce(sum(length(bytes)), 0) AS b FROM records WHERE seq <= ?",
    );
    this.#hash_at = database.prepare("SELECT hash FROM records WHERE seq = ?");
    this.#page = database.prepare(
      "SELECT seq, kind, bytes, hash FROM records WHERE seq > ? ORDER BY seq LIMIT ?",
    );
    this.#set_spool = database.prepare(
      "UPDATE spool SET base_seq = ?, base_hash = ?, head_seq = ?, head_hash = ?",
    );
    this.#set_reader = database.prepare(
      `INSERT INTO readers VALUES (?, ?, ?) ON CONFLICT (name)
       DO UPDATE SET acknowledged_seq = excluded.acknowledged_seq, note = excluded.note`,
    );
    this.#note = database.prepare("SELECT note FROM readers WHERE name = ?");
    const spool = database.prepare("SELECT * FROM spool").get();
    if (spool === undefined) throw this.#corrupt("has no identity");
    this.id = String(spool.id);
    this.#now = {
      base_seq: numberOf(spool.base_seq),
      base_hash: bytesOf(spool.base_hash),
      head_seq: numberOf(spool.head_seq),
      head_hash: bytesOf(spool.head_hash),
      rows: 0,
      bytes: 0,
      places: new Map(),
    };
    this.#verify();
  }

  /**
   * Gives readers their places, and forgets those that are no longer named.
   *
   * @throws {SpoolError} `too_large` with too many readers.
   */
  admit(readers: readonly ReaderName[]): void {
    if (readers.length > SPOOL_LIMITS.readers) {
      throw new SpoolError(
        "too_large",
        `cannot open the spool: \`${readers.length}\` readers, at most \`${SPOOL_LIMITS.readers}\``,
      );
    }
    const stored = new Map(
      this.#database.prepare("SELECT name, acknowledged_seq FROM readers").all()
        .map((row) => [String(row.name), numberOf(row.acknowledged_seq)]),
    );
    for (const { name, role } of readers) {
      // A reader that is new here begins with the oldest record that is still kept.
      const acknowledged_seq = Math.max(stored.get(name) ?? 0, this.#now.base_seq);
      this.#now.places.set(name, { role, acknowledged_seq });
      stored.delete(name);
    }
    for (const name of stored.keys()) {
      this.#database.prepare("DELETE FROM readers WHERE name = ?").run(name);
    }
  }

  /** How much is kept. */
  kept(): Kept {
    const { head_seq, rows, bytes, base_seq } = this.#now;
    const required = forgettable(this.#now, "required");
    return {
      head_seq,
      rows,
      bytes,
      mirrored_rows: required === undefined ? 0 : required - base_seq,
    };
  }

  /** One transaction, one sync; nothing of it holds when it throws. */
  commit(
    records: PackedRecords,
    acknowledgements: readonly Acknowledgement[],
    release: boolean,
  ): { readonly first_seq: number; readonly passed_over: { reader: string; rows: number }[] } {
    const next: Draft = {
      ...this.#now,
      places: new Map([...this.#now.places].map(([name, place]) => [name, { ...place }])),
    };
    const first_seq = next.head_seq + 1;
    this.#begin.run();
    let passed_over: { reader: string; rows: number }[];
    try {
      for (const one of acknowledgements) this.#acknowledge(one, next);
      passed_over = release ? this.#release(next) : [];
      this.#forget(next);
      this.#append(records, next);
      this.#set_spool.run(next.base_seq, next.base_hash, next.head_seq, next.head_hash);
      this.#commit.run();
    } catch (error) {
      this.#rollBack();
      throw error;
    }
    this.#now = next;
    return { first_seq, passed_over };
  }

  /** Oldest records one reader has not acknowledged, verified against the chain again. */
  read(reader: string, limit: number): PackedRead {
    const after = this.#place(reader).acknowledged_seq;
    let previous = after === this.#now.base_seq ? this.#now.base_hash : this.#hashOf(after);
    const rows: Row[] = [];
    let total = 0;
    for (const row of this.#rows(after, Math.min(limit, SPOOL_LIMITS.read_rows))) {
      if (rows.length > 0 && total + row.bytes.length > SPOOL_LIMITS.read_bytes) break;
      this.#checkRow(row, after + rows.length + 1, previous);
      previous = row.hash;
      rows.push(row);
      total += row.bytes.length;
    }
    if (rows.length === 0 && after < this.#now.head_seq && limit > 0) {
      throw this.#corrupt(`misses record \`${after + 1}\``);
    }
    return packRows(rows, after + 1, total, this.#noteOf(reader));
  }

  #append(records: PackedRecords, next: Draft): void {
    let at = 0;
    for (let index = 0; index < records.lengths.length; index++) {
      const length = records.lengths[index] ?? 0;
      const kind = records.kinds[index] ?? 0;
      const bytes = records.bytes.subarray(at, at + length);
      at += length;
      next.head_seq++;
      next.head_hash = recordHash(next.head_hash, next.head_seq, kind, bytes);
      this.#insert.run(next.head_seq, kind, bytes, next.head_hash);
      next.rows++;
      next.bytes += length;
    }
  }

  #acknowledge(one: Acknowledgement, next: Draft): void {
    const place = next.places.get(one.reader);
    if (place === undefined) throw unknownReader(one.reader);
    if (one.seq < place.acknowledged_seq || one.seq > next.head_seq) return;
    place.acknowledged_seq = one.seq;
    this.#set_reader.run(one.reader, one.seq, one.note ?? this.#noteOf(one.reader));
  }

  /** Mirrors that lag behind every required reader are taken to where those are. */
  #release(next: Draft): { reader: string; rows: number }[] {
    const through = forgettable(next, "required");
    if (through === undefined) return [];
    const passed_over: { reader: string; rows: number }[] = [];
    for (const [reader, place] of next.places) {
      if (place.role !== "mirror" || place.acknowledged_seq >= through) continue;
      passed_over.push({ reader, rows: through - place.acknowledged_seq });
      place.acknowledged_seq = through;
      this.#set_reader.run(reader, through, this.#noteOf(reader));
    }
    return passed_over;
  }

  #forget(next: Draft): void {
    const through = forgettable(next, "any");
    if (through === undefined || through <= next.base_seq) return;
    const measured = this.#measure.get(through);
    next.base_hash = this.#hashOf(through);
    next.base_seq = through;
    next.rows -= numberOf(measured?.n);
    next.bytes -= numberOf(measured?.b);
    this.#delete.run(through);
  }

  #rollBack(): void {
    try {
      this.#database.prepare("ROLLBACK").run();
    } catch {
      // SQLite rolls back by itself after some failures; then there is nothing left to undo.
    }
  }

  #verify(): void {
    const now = this.#now;
    let previous = now.base_hash;
    let seq = now.base_seq;
    for (const row of this.#rows(seq, -1)) {
      this.#checkRow(row, ++seq, previous);
      previous = row.hash;
      now.rows++;
      now.bytes += row.bytes.length;
    }
    const ahead = this.#database
      .prepare("SELECT name FROM readers WHERE acknowledged_seq > ?").get(now.head_seq);
    if (ahead !== undefined) {
      throw this.#corrupt(`reader \`${ahead.name}\` has more than was written`);
    }
    const below = numberOf(this.#measure.get(now.base_seq)?.n);
    if (below !== 0) throw this.#corrupt(`holds \`${below}\` records that were forgotten`);
    if (seq !== now.head_seq) {
      throw this.#corrupt(`ends at record \`${seq}\`, not \`${now.head_seq}\``);
    }
    if (!equal(previous, now.head_hash)) {
      throw this.#corrupt("ends with another record than it says");
    }
  }

  #checkRow(row: Row, seq: number, previous: Uint8Array): void {
    if (row.seq !== seq) throw this.#corrupt(`misses record \`${seq}\``);
    if (equal(recordHash(previous, seq, row.kind, row.bytes), row.hash)) return;
    throw this.#corrupt(`record \`${seq}\` was changed`);
  }

  *#rows(after: number, limit: number): Generator<Row> {
    for (const row of this.#page.iterate(after, limit)) {
      yield {
        seq: numberOf(row.seq),
        kind: numberOf(row.kind),
        bytes: bytesOf(row.bytes),
        hash: bytesOf(row.hash),
      };
    }
  }

  #hashOf(seq: number): Uint8Array {
    if (seq === this.#now.base_seq) return this.#now.base_hash;
    const row = this.#hash_at.get(seq);
    if (row === undefined) throw this.#corrupt(`misses record \`${seq}\``);
    return bytesOf(row.hash);
  }

  #place(reader: string): Place {
    const place = this.#now.places.get(reader);
    if (place === undefined) throw unknownReader(reader);
    return place;
  }

  #noteOf(reader: string): Uint8Array | null {
    const note = this.#note.get(reader)?.note;
    return note instanceof Uint8Array ? note : null;
  }

  #corrupt(what: string): SpoolError {
    return new SpoolError(
      "corrupt",
      `the spool \`${this.#path}\` ${what}; keep the file for analysis, then move it away to ` +
        `start empty`,
    );
  }
}

/**
 * Position up to which records may go: what all readers have. Without a reader nothing may.
 * `required` leaves mirrors out of account, where there is a required reader at all.
 */
function forgettable(state: Draft, of: "required" | "any"): number | undefined {
  const places = [...state.places.values()]
    .filter(({ role }) => of === "any" || role === "required");
  if (places.length === 0) return undefined;
  return Math.min(...places.map((place) => place.acknowledged_seq));
}

function unknownReader(name: string): SpoolError {
  return new SpoolError(
    "unknown_reader",
    `the spool has no reader \`${name}\`; name it when the spool is opened`,
  );
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  throw new SpoolError("corrupt", "the spool holds a value that is no number");
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new SpoolError("corrupt", "the spool holds a value that is no bytes");
}
