/**
 * The one connection to the database, as the writer thread drives it: it answers requests in order
 * and stops touching the file after a failure that makes later success meaningless.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { openDatabase } from "./database.ts";
import { classify, isFatal, StoreError, type StoreFailureMessage } from "./failure.ts";
import type { WriterRequest, WriterResponse, WriterResult } from "./protocol.ts";
import type { Mutation } from "./records.ts";
import { Statements } from "./statements.ts";

/** Answers the requests of one store. Never throws. */
export class Connection {
  #path = "";
  #database: DatabaseSync | undefined;
  #statements: Statements | undefined;
  #broken: StoreFailureMessage | undefined;

  /** Answers one request. */
  answer(request: WriterRequest): WriterResponse {
    const { id } = request;
    try {
      return { id, ok: true, result: this.#perform(request) };
    } catch (error) {
      return { id, ok: false, failure: this.#name(error, PURPOSE[request.kind]) };
    }
  }

  #perform(request: WriterRequest): WriterResult {
    switch (request.kind) {
      case "open": {
        this.#path = request.options.path;
        this.#database = openDatabase(request.options);
        this.#statements = new Statements(this.#database);
        return { kind: "done" };
      }
      case "commit":
        return { kind: "committed", failures: this.#commit(request.writes) };
      case "agents":
        return { kind: "agents", agents: this.#usable().agentsAfter(request.after) };
      case "operators":
        return { kind: "operators", operators: this.#usable().operators() };
      case "meta":
        return { kind: "meta", value: this.#usable().meta(request.key) };
      case "records": {
        const { collection, after, through } = request;
        return {
          kind: "records",
          records: this.#usable().recordsAfter(collection, after, through),
        };
      }
      case "close": {
        this.#database?.close();
        this.#database = undefined;
        this.#statements = undefined;
        return { kind: "done" };
      }
    }
  }

  /**
   * Group commit: one transaction, one sync, for all. When that fails each write is tried alone,
   * so that a bad record takes nobody else's write with it.
   */
  #commit(writes: readonly (readonly Mutation[])[]): (StoreFailureMessage | null)[] {
    const together = this.#attempt(writes);
    if (together === null) return writes.map(() => null);
    if (writes.length === 1 || isFatal(together.code)) return writes.map(() => together);
    return writes.map((write) => this.#attempt([write]));
  }

  #attempt(writes: readonly (readonly Mutation[])[]): StoreFailureMessage | null {
    try {
      const statements = this.#usable();
      statements.transaction(() => {
        for (const write of writes) {
          for (const mutation of write) statements.apply(mutation);
        }
      });
      return null;
    } catch (error) {
      return this.#name(error, PURPOSE.commit);
    }
  }

  #usable(): Statements {
    if (this.#broken !== undefined) throw new StoreError(this.#broken.code, this.#broken.message);
    if (this.#statements !== undefined) return this.#statements;
    throw new StoreError("closed", "cannot use the state database: it is not open");
  }

  #name(error: unknown, during: string): StoreFailureMessage {
    const failure = classify(error, this.#path, during);
    if (isFatal(failure.code)) this.#broken ??= failure;
    return failure;
  }
}

const PURPOSE: Readonly<Record<WriterRequest["kind"], string>> = {
  open: "open the state database",
  commit: "write to the state database",
  agents: "read the agents",
  operators: "read the operators",
  meta: "read a named value",
  records: "read the records of a collection",
  close: "close the state database",
};
