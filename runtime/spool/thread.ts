/**
 * The writer thread: questions go out with a number, answers come back with it.
 *
 * @module
 */
import { SpoolError } from "./failure.ts";
import type { WriterRequest, WriterResponse, WriterResult } from "./protocol.ts";

interface Asked {
  readonly resolve: (result: WriterResult) => void;
  readonly reject: (error: SpoolError) => void;
}

/** A request without its number. */
export type Question<T = WriterRequest> = T extends WriterRequest ? Omit<T, "id"> : never;

/** The thread that holds the file. */
export class WriterThread {
  readonly #worker: Worker;
  readonly #asked = new Map<number, Asked>();
  #next_id = 1;
  #dead: SpoolError | undefined;
  /** Told once when the thread is lost. */
  onFailure: ((failure: SpoolError) => void) | undefined;

  constructor() {
    const url = new URL("./writer.ts", import.meta.url);
    this.#worker = new Worker(url, { type: "module", name: "spool" });
    this.#worker.onmessage = (event: MessageEvent<WriterResponse>) => this.#answered(event.data);
    this.#worker.onmessageerror = () => this.#lost("its answer could not be read");
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#lost(event.message);
    };
  }

  /** Asks and waits for the answer of the expected kind. */
  async ask<K extends WriterResult["kind"]>(
    question: Question,
    kind: K,
  ): Promise<Extract<WriterResult, { kind: K }>> {
    if (this.#dead !== undefined) throw this.#dead;
    const id = this.#next_id++;
    const { promise, resolve, reject } = Promise.withResolvers<WriterResult>();
    this.#asked.set(id, { resolve, reject });
    const request: WriterRequest = { ...question, id };
    this.#worker.postMessage(request);
    const result = await promise;
    if (isKind(result, kind)) return result;
    throw new SpoolError("writer_failed", `the spool's writer answered \`${result.kind}\``);
  }

  /** Ends the thread; what is still asked is lost. */
  terminate(): void {
    this.#lost("it was ended");
    this.#worker.terminate();
  }

  #answered(response: WriterResponse): void {
    const asked = this.#asked.get(response.id);
    this.#asked.delete(response.id);
    if (response.ok) asked?.resolve(response.result);
    else asked?.reject(new SpoolError(response.failure.code, response.failure.message));
  }

  #lost(detail: string): void {
    const missing = detail.includes("Requires read access");
    this.#dead ??= missing
      ? new SpoolError(
        "permission_denied",
        "cannot open the spool: its writer thread could not be loaded; grant --allow-read for " +
          "the folders `runtime` and `storage/sqlite` of this program",
      )
      : new SpoolError("writer_failed", `the spool's writer stopped: ${detail}`);
    for (const asked of this.#asked.values()) asked.reject(this.#dead);
    this.#asked.clear();
    this.onFailure?.(this.#dead);
  }
}

function isKind<K extends WriterResult["kind"]>(
  result: WriterResult,
  kind: K,
): result is Extract<WriterResult, { kind: K }> {
  return result.kind === kind;
}
