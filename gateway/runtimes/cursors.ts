/**
 * How far each spool has been taken into the audit log. The log and the store are two files: what is
 * about to be appended is noted first, and after a crash the log itself says how much of it arrived,
 * so that no record is taken twice or never.
 *
 * @module
 */
import type { StateStore } from "../../storage/sqlite/records.ts";
import { RUNTIME_ROOM_LIMITS } from "./limits.ts";

/** How far one spool is. */
export interface Cursor {
  readonly spool_id: string;
  /** Registry key of the agent whose spool it is. */
  readonly agent_key: string;
  /** Every record up to it is in the log. */
  readonly seq: number;
  /** SHA-256 of the record at `seq`, 64 lower-case hex; absent when a crash left it unknown. */
  readonly digest?: string;
  readonly touched_ms: number;
  /** Records up to `through` were about to be appended when the log had `entries`. */
  readonly under_way?: { readonly entries: string; readonly through: number };
}

/** What keeping needs. */
export interface CursorsOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
}

/** Every spool that is remembered. */
export class Cursors {
  readonly #store: CursorsOptions["store"];
  /** In the order of their last use. */
  readonly #cursors = new Map<string, Cursor>();
  readonly #damaged: string[] = [];

  private constructor({ store }: CursorsOptions) {
    this.#store = store;
  }

  /** Loads them. One that cannot be read refuses its spool until an operator looks. */
  static async open(options: CursorsOptions): Promise<Cursors> {
    const cursors = new Cursors(options);
    const read: Cursor[] = [];
    for await (const page of options.store.records("runtime_spools")) {
      for (const { key, value } of page) {
        const cursor = cursorFrom(key, value);
        if (cursor === undefined) cursors.#damaged.push(key);
        else read.push(cursor);
      }
    }
    for (const cursor of read.sort((a, b) => a.touched_ms - b.touched_ms)) {
      cursors.#cursors.set(cursor.spool_id, cursor);
    }
    return cursors;
  }

  /** Spools remembered. */
  get size(): number {
    return this.#cursors.size;
  }

  /** Stored cursors that could not be read. */
  get damaged(): readonly string[] {
    return this.#damaged;
  }

  /** How far a spool is; `undefined` when it is not known. */
  find(spool_id: string): Cursor | undefined {
    return this.#cursors.get(spool_id);
  }

  /**
   * Makes a cursor durable, then holds it; forgets the oldest when there are too many.
   *
   * @throws {StoreError} (as rejection) nothing has changed then.
   */
  async put(cursor: Cursor): Promise<void> {
    const { spool_id } = cursor;
    const forgotten = this.#cursors.has(spool_id) ? undefined : this.#tooMany(cursor.agent_key);
    await this.#store.commit([
      { kind: "put_record", collection: "runtime_spools", key: spool_id, value: textOf(cursor) },
      ...(forgotten === undefined ? [] : [
        { kind: "delete_record", collection: "runtime_spools", key: forgotten } as const,
      ]),
    ]);
    if (forgotten !== undefined) this.#cursors.delete(forgotten);
    this.#cursors.delete(spool_id);
    this.#cursors.set(spool_id, cursor);
  }

  #tooMany(agent_key: string): string | undefined {
    const own = this.#cursors.values().filter((one) => one.agent_key === agent_key).toArray();
    if (own.length >= RUNTIME_ROOM_LIMITS.spools_per_agent) return own[0]?.spool_id;
    if (this.#cursors.size < RUNTIME_ROOM_LIMITS.spools) return undefined;
    return this.#cursors.keys().next().value;
  }
}

function textOf(cursor: Cursor): string {
  return JSON.stringify({ v: 1, ...cursor });
}

function cursorFrom(key: string, text: string): Cursor | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(raw) || raw["v"] !== 1 || raw["spool_id"] !== key) return undefined;
  const { agent_key, seq, digest, touched_ms, under_way } = raw;
  if (typeof agent_key !== "string" || !isCount(seq) || !isCount(touched_ms)) return undefined;
  if (digest !== undefined && (typeof digest !== "string" || !/^[0-9a-f]{64}$/.test(digest))) {
    return undefined;
  }
  const known = digest === undefined ? {} : { digest };
  const cursor = { spool_id: key, agent_key, seq, ...known, touched_ms };
  if (under_way === undefined) return cursor;
  if (!isRecord(under_way)) return undefined;
  const { entries, through } = under_way;
  if (typeof entries !== "string" || !/^\d{1,20}$/.test(entries) || !isCount(through)) {
    return undefined;
  }
  return { ...cursor, under_way: { entries, through } };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
