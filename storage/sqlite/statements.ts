/**
 * Every statement the store runs, prepared once: the only place with SQL besides the schema.
 *
 * @module
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { SQLITE_LIMITS } from "./limits.ts";
import type { AgentRecord, Collection, Mutation, OperatorRecord, StoredRecord } from "./records.ts";
import {
  AGENT_COLUMNS,
  agentOf,
  agentParameters,
  OPERATOR_COLUMNS,
  operatorOf,
  operatorParameters,
  recordOf,
  refuseLossyText,
} from "./rows.ts";

/** The prepared statements of one connection. */
export class Statements {
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #putAgent: StatementSync;
  readonly #forgetAgent: StatementSync;
  readonly #heartbeat: StatementSync;
  readonly #putOperator: StatementSync;
  readonly #deleteOperator: StatementSync;
  readonly #putMeta: StatementSync;
  readonly #putRecord: StatementSync;
  readonly #deleteRecord: StatementSync;
  readonly #deleteRecordsThrough: StatementSync;
  readonly #recordsAfter: StatementSync;
  readonly #agentsAfter: StatementSync;
  readonly #operators: StatementSync;
  readonly #meta: StatementSync;

  constructor(database: DatabaseSync) {
    const columns = AGENT_COLUMNS.join(", ");
    this.#database = database;
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#rollback = database.prepare("ROLLBACK");
    // An upsert, not a REPLACE: a replace would delete another agent that shares a unique value.
    this.#putAgent = database.prepare(upsert("agents", "key", AGENT_COLUMNS));
    this.#forgetAgent = database.prepare("DELETE FROM agents WHERE key = ?");
    this.#heartbeat = database.prepare(
      "UPDATE agents SET last_heartbeat_ms = max(coalesce(last_heartbeat_ms, 0), ?) WHERE key = ?",
    );
    this.#putOperator = database.prepare(upsert("operators", "name", OPERATOR_COLUMNS));
    this.#deleteOperator = database.prepare("DELETE FROM operators WHERE name = ?");
    this.#putMeta = database.prepare(
      "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    );
    this.#putRecord = database.prepare(
      `INSERT INTO records (collection, key, value) VALUES (?, ?, ?)
       ON CONFLICT (collection, key) DO UPDATE SET value = excluded.value`,
    );
    this.#deleteRecord = database.prepare("DELETE FROM records WHERE collection = ? AND key = ?");
    this.#deleteRecordsThrough = database.prepare(
      "DELETE FROM records WHERE collection = ? AND key <= ?",
    );
    this.#recordsAfter = database.prepare(
      `SELECT key, value FROM records
       WHERE collection = ?1 AND key > ?2 AND (?3 IS NULL OR key <= ?3) ORDER BY key LIMIT ?4`,
    );
    this.#agentsAfter = database.prepare(
      `SELECT ${columns} FROM agents WHERE key > ? ORDER BY key LIMIT ?`,
    );
    this.#operators = database.prepare(
      `SELECT ${OPERATOR_COLUMNS.join(", ")} FROM operators ORDER BY name`,
    );
    this.#meta = database.prepare("SELECT value FROM meta WHERE key = ?");
  }

  /** Runs `work` in one transaction; anything thrown, the commit included, leaves no trace. */
  transaction(work: () => void): void {
    this.#begin.run();
    try {
      work();
      this.#commit.run();
    } catch (error) {
      // Some failures (a full disk) have already rolled back.
      if (this.#database.isTransaction) this.#rollback.run();
      throw error;
    }
  }

  /** Applies one mutation inside the present transaction. */
  apply(mutation: Mutation): void {
    refuseLossyText(mutation);
    switch (mutation.kind) {
      case "put_agent":
        this.#putAgent.run(agentParameters(mutation.agent));
        return;
      case "forget_agent":
        this.#forgetAgent.run(mutation.key);
        return;
      case "heartbeat":
        this.#heartbeat.run(mutation.at_ms, mutation.key);
        return;
      case "put_operator":
        this.#putOperator.run(operatorParameters(mutation.operator));
        return;
      case "delete_operator":
        this.#deleteOperator.run(mutation.name);
        return;
      case "put_meta":
        this.#putMeta.run(mutation.key, mutation.value);
        return;
      case "put_record":
        this.#putRecord.run(mutation.collection, mutation.key, mutation.value);
        return;
      case "delete_record":
        this.#deleteRecord.run(mutation.collection, mutation.key);
        return;
      case "delete_records_through":
        this.#deleteRecordsThrough.run(mutation.collection, mutation.key);
        return;
    }
  }

  /** The agents after `key` in key order, at most one page. */
  agentsAfter(key: string): AgentRecord[] {
    return this.#agentsAfter.all(key, SQLITE_LIMITS.read_page_rows).map(agentOf);
  }

  /** The records of a collection after a key, in key order, at most one page. */
  recordsAfter(collection: Collection, after: string, through: string | undefined): StoredRecord[] {
    return this.#recordsAfter.all(collection, after, through ?? null, SQLITE_LIMITS.read_page_rows)
      .map(recordOf);
  }

  /** Every operator. */
  operators(): OperatorRecord[] {
    return this.#operators.all().map(operatorOf);
  }

  /** One named value. */
  meta(key: string): string | undefined {
    const value = this.#meta.get(key)?.["value"];
    return typeof value === "string" ? value : undefined;
  }
}

/** Inserts a row, or gives all other columns of the one with the same key new values. */
function upsert(table: string, key: string, columns: readonly string[]): string {
  const values = columns.map((column) => `:${column}`).join(", ");
  const updates = columns.filter((column) => column !== key)
    .map((column) => `${column} = excluded.${column}`).join(", ");
  return `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${values})
    ON CONFLICT (${key}) DO UPDATE SET ${updates}`;
}
