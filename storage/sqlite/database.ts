/**
 * Opens the state database on the writer thread: whose file it is, whether it is sound, which
 * schema it has, and the settings under which a commit is durable.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { StoreError } from "./failure.ts";
import { SQLITE_LIMITS } from "./limits.ts";
import { APPLICATION_ID, MIGRATIONS } from "./schema.ts";

/** Where the database is and how large it may grow. */
export interface DatabaseOptions {
  /** File path, or `:memory:` for a database that dies with the process. */
  readonly path: string;
  /** Bound of the file in 4,096-byte pages; default `SQLITE_LIMITS.database_pages`. */
  readonly max_pages?: number;
  /** How long to wait for another holder; default `SQLITE_LIMITS.lock_wait_ms`. */
  readonly lock_wait_ms?: number;
}

/** The path that means "in memory only". */
export const MEMORY_PATH = ":memory:";

/**
 * Opens, checks and migrates the database. The process then holds it alone: the registry in memory
 * is authoritative only while nobody else writes.
 *
 * @throws {StoreError} `newer_schema`, `foreign_file` or `corrupt`; other failures are raised as
 * the driver's errors and named by `classify`.
 */
export function openDatabase(options: DatabaseOptions): DatabaseSync {
  const { path } = options;
  if (path !== MEMORY_PATH) prepareFile(path);
  const database = new DatabaseSync(path, {
    timeout: options.lock_wait_ms ?? SQLITE_LIMITS.lock_wait_ms,
    allowExtension: false,
  });
  try {
    // Exclusive before the first access: then WAL needs no shared-memory file and a second
    // gateway on the same file is refused instead of diverging.
    pragma(database, "locking_mode = EXCLUSIVE");
    pragma(database, "trusted_schema = OFF");
    pragma(database, "cell_size_check = ON");
    const version = checkOwner(database, path);
    checkSound(database, path);
    makeDurable(database, path);
    migrate(database, version);
    pragma(database, `max_page_count = ${options.max_pages ?? SQLITE_LIMITS.database_pages}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Creates the file for its owner alone; SQLite gives the same mode to the files beside it. */
function prepareFile(path: string): void {
  const file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  try {
    const info = file.statSync();
    if (!info.isFile) {
      throw new StoreError(
        "cannot_open",
        `cannot open the state database: \`${path}\` is not a regular file; name a file`,
      );
    }
    if (info.mode !== null && (info.mode & 0o077) !== 0) Deno.chmodSync(path, 0o600);
  } finally {
    file.close();
  }
}

/** @returns The schema version of a database that is ours or empty. */
function checkOwner(database: DatabaseSync, path: string): number {
  const version = integer(database, "user_version");
  const owner = integer(database, "application_id");
  const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.n;
  if (owner !== APPLICATION_ID && (owner !== 0 || version !== 0 || tables !== 0)) {
    throw new StoreError(
      "foreign_file",
      `cannot open the state database: \`${path}\` belongs to another application ` +
        `(application id \`${owner}\`); name another file`,
    );
  }
  if (version > MIGRATIONS.length) {
    throw new StoreError(
      "newer_schema",
      `cannot open the state database: \`${path}\` has schema \`${version}\`, this program knows ` +
        `up to \`${MIGRATIONS.length}\`; start the newer program or restore an older backup`,
    );
  }
  return version;
}

function checkSound(database: DatabaseSync, path: string): void {
  const bytes = integer(database, "page_count") * integer(database, "page_size");
  if (bytes > SQLITE_LIMITS.quick_check_bytes) return;
  const first = database.prepare("PRAGMA quick_check(1)").get()?.quick_check;
  if (first === "ok") return;
  throw new StoreError(
    "corrupt",
    `cannot open the state database: \`${path}\` is damaged (${first}); keep the file for ` +
      `analysis, restore a backup or move it away to start empty`,
  );
}

/** WAL with a sync at every commit, read back because SQLite may decline a setting silently. */
function makeDurable(database: DatabaseSync, path: string): void {
  const wanted = path === MEMORY_PATH ? "memory" : "wal";
  const journal = database.prepare("PRAGMA journal_mode = WAL").get()?.journal_mode;
  pragma(database, "synchronous = FULL");
  const synchronous = integer(database, "synchronous");
  if (journal === wanted && synchronous === 2) return;
  throw new StoreError(
    "cannot_open",
    `cannot make the state database durable: \`${path}\` has journal \`${journal}\` and ` +
      `synchronous \`${synchronous}\`; put it on a local file system that supports WAL`,
  );
}

function migrate(database: DatabaseSync, from: number): void {
  for (const [index, statements] of MIGRATIONS.entries()) {
    if (index < from) continue;
    database.prepare("BEGIN IMMEDIATE").run();
    for (const statement of statements) database.prepare(statement).run();
    pragma(database, `application_id = ${APPLICATION_ID}`);
    pragma(database, `user_version = ${index + 1}`);
    database.prepare("COMMIT").run();
  }
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
