/**
 * The one connection to the spool's file, as the writer thread drives it: it answers in order and
 * stops touching the file after a failure that makes later success meaningless.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { Chain } from "./chain.ts";
import { makeDurable, openDatabase } from "./database.ts";
import { OpenFiles } from "./file.ts";
import { isDamage, isFinal, named, SpoolError, type SpoolFailureMessage } from "./failure.ts";
import type { WriterRequest, WriterResponse, WriterResult } from "./protocol.ts";
import { quarantine } from "./quarantine.ts";

/** Answers the requests of one spool. Never throws. */
export class Connection {
  #path = "";
  #database: DatabaseSync | undefined;
  #chain: Chain | undefined;
  #files: OpenFiles | undefined;
  #broken: SpoolFailureMessage | undefined;

  /** Answers one request. */
  answer(request: WriterRequest): WriterResponse {
    const { id } = request;
    try {
      return { id, ok: true, result: this.#perform(request) };
    } catch (error) {
      const failure = named(error, this.#path, PURPOSE[request.kind]);
      if (isFinal(failure.code)) this.#broken ??= failure;
      return { id, ok: false, failure };
    }
  }

  #perform(request: WriterRequest): WriterResult {
    switch (request.kind) {
      case "open":
        return this.#open(request);
      case "commit": {
        const { records, acknowledgements, release } = request;
        const chain = this.#usable();
        const { first_seq, passed_over } = chain.commit(records, acknowledgements, release);
        // Durable is what a restart will find under these names.
        this.#files?.check();
        return { kind: "committed", first_seq, passed_over, kept: chain.kept() };
      }
      case "read":
        return { kind: "read", records: this.#usable().read(request.reader, request.limit) };
      case "close": {
        this.#database?.close();
        this.#database = undefined;
        this.#chain = undefined;
        return { kind: "closed" };
      }
    }
  }

  #open({ options }: WriterRequest & { kind: "open" }): WriterResult {
    this.#path = options.path;
    try {
      this.#database = openDatabase(options);
      const chain = new Chain(this.#database, options.path);
      makeDurable(this.#database, options.path);
      chain.admit(options.readers);
      this.#files = new OpenFiles(options.path);
      this.#chain = chain;
      return { kind: "opened", spool_id: chain.id, kept: chain.kept() };
    } catch (error) {
      this.#database?.close();
      this.#database = undefined;
      const failure = named(error, options.path, PURPOSE.open);
      // A database that answers, but not as ours does, is damaged too.
      if (!isDamage(failure.code) && failure.code !== "writer_failed") throw error;
      const copy = quarantine(options.path);
      if (copy === undefined) throw error;
      throw new SpoolError(failure.code, `${failure.message}; a copy is kept as \`${copy}\``);
    }
  }

  #usable(): Chain {
    if (this.#broken !== undefined) throw new SpoolError(this.#broken.code, this.#broken.message);
    if (this.#chain !== undefined) return this.#chain;
    throw new SpoolError("closed", "cannot use the spool: it is not open");
  }
}

const PURPOSE: Readonly<Record<WriterRequest["kind"], string>> = {
  open: "open the spool",
  commit: "write to the spool",
  read: "read the spool",
  close: "close the spool",
};
