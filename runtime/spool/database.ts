/**
 * Opens the spool's file on the writer thread: whose it is, whether it is sound, and the settings
 * under which a commit is durable.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { SpoolError } from "./failure.ts";
import { prepareFile } from "./file.ts";
import type { DatabaseOptions } from "./protocol.ts";

/** Marks a file as ours (`PRAGMA application_id`): the letters "AAsp". */
export const APPLICATION_ID = 0x41417370;
/** The one schema so far (`PRAGMA user_version`). */
export const SCHEMA_VERSION = 1;
/** Hash before the first record. */
export const GENESIS = new Uint8Array(32);

const SCHEMA = [
  // `base` is the last record that was forgotten, `head` the last one written.
  `CREATE TABLE spool (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    id TEXT NOT NULL CHECK (length(id) = 36),
    created_at_ms INTEGER NOT NULL,
    base_seq INTEGER NOT NULL CHECK (base_seq >= 0),
    base_hash BLOB NOT NULL CHECK (length(base_hash) = 32),
    head_seq INTEGER NOT NULL CHECK (head_seq >= base_seq),
    head_hash BLOB NOT NULL CHECK (length(head_hash) = 32)
  ) STRICT`,
  `CREATE TABLE records (
    seq INTEGER NOT NULL PRIMARY KEY CHECK (seq > 0),
    kind INTEGER NOT NULL CHECK (kind IN (1, 2)),
    bytes BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
  ) STRICT`,
  `CREATE TABLE readers (
    name TEXT NOT NULL PRIMARY KEY CHECK (length(name) > 0),
    acknowledged_seq INTEGER NOT NULL CHECK (acknowledged_seq >= 0),
    note BLOB
  ) STRICT, WITHOUT ROWID`,
];

/**
 * Opens or makes the file; the process then holds it alone. Writes nothing to a file that was there:
 * a damaged one is evidence.
 *
 * @throws {SpoolError} By name; other failures are the driver's errors, named by `named`.
 */
export function openDatabase(options: DatabaseOptions): DatabaseSync {
  const { path } = options;
  prepareFile(path, options.uid);
  const database = new DatabaseSync(path, {
    timeout: options.lock_wait_ms,
    allowExtension: false,
  });
  try {
    // Exclusive before the first access: a second runtime on one file is refused, not interleaved.
    pragma(database, "locking_mode = EXCLUSIVE");
    pragma(database, "trusted_schema = OFF");
    pragma(database, "cell_size_check = ON");
    const fresh = checkOwner(database, path);
    if (fresh) {
      makeDurable(database, path);
      makeSchema(database, options);
    } else checkSound(database, path);
    if (options.max_pages !== undefined) {
      pragma(database, `max_page_count = ${options.max_pages}`);
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** @returns Whether the file is empty. */
function checkOwner(database: DatabaseSync, path: string): boolean {
  const version = integer(database, "user_version");
  const owner = integer(database, "application_id");
  const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.n;
  if (owner === 0 && version === 0 && tables === 0) return true;
  if (owner !== APPLICATION_ID) {
    throw new SpoolError(
      "foreign_file",
      `cannot open the spool: \`${path}\` belongs to another application (application id \`` +
        `${owner}\`); name another file`,
    );
  }
  if (version !== SCHEMA_VERSION) {
    throw new SpoolError(
      "newer_schema",
      `cannot open the spool: \`${path}\` has schema \`${version}\`, this program knows ` +
        `\`${SCHEMA_VERSION}\`; start the program that wrote it, or move the file away`,
    );
  }
  return false;
}

function checkSound(database: DatabaseSync, path: string): void {
  const first = database.prepare("PRAGMA quick_check(1)").get()?.quick_check;
  if (first === "ok") return;
  throw new SpoolError(
    "corrupt",
    `cannot open the spool: \`${path}\` is damaged (${first}); keep the file for analysis, then ` +
      `move it away to start empty`,
  );
}

/**
 * WAL with a sync at every commit, read back because SQLite may decline a setting silently.
 * May write, so a file that is not fresh is verified before.
 *
 * @throws {SpoolError} `cannot_open` where the file system cannot do it.
 */
export function makeDurable(database: DatabaseSync, path: string): void {
  const journal = database.prepare("PRAGMA journal_mode = WAL").get()?.journal_mode;
  pragma(database, "synchronous = FULL");
  pragma(database, "journal_size_limit = 16777216");
  const synchronous = integer(database, "synchronous");
  if (journal === "wal" && synchronous === 2) return;
  throw new SpoolError(
    "cannot_open",
    `cannot make the spool durable: \`${path}\` has journal \`${journal}\` and synchronous ` +
      `\`${synchronous}\`; put it on a local file system that supports WAL`,
  );
}

function makeSchema(database: DatabaseSync, options: DatabaseOptions): void {
  database.prepare("BEGIN IMMEDIATE").run();
  for (const statement of SCHEMA) database.prepare(statement).run();
  database.prepare("INSERT INTO spool VALUES (1, ?, ?, 0, ?, 0, ?)")
    .run(options.new_id, options.now_ms, GENESIS, GENESIS);
  pragma(database, `application_id = ${APPLICATION_ID}`);
  pragma(database, `user_version = ${SCHEMA_VERSION}`);
  database.prepare("COMMIT").run();
}

/** Runs a pragma as a prepared statement: only those carry SQLite's result code on failure. */
function pragma(database: DatabaseSync, text: string): void {
  database.prepare(`PRAGMA ${text}`).all();
}

function integer(database: DatabaseSync, name: string): number {
  const value = database.prepare(`PRAGMA ${name}`).get()?.[name];
  if (typeof value !== "number") throw new TypeError(`pragma \`${name}\` gave no integer`);
  return value;
}
