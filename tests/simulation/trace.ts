/**
 * What happened in a run: a digest over everything, and the last lines for a person.
 *
 * @module
 */
import { createHash } from "node:crypto";

const LINES_KEPT = 60;

/** A run's history. Two runs of one seed must have the same digest. */
export class Trace {
  readonly #hash = createHash("sha256");
  readonly #last: string[] = [];
  #lines = 0;
  #step = 0;

  /** Names the step that the next lines belong to. */
  set step(step: number) {
    this.#step = step;
  }

  get step(): number {
    return this.#step;
  }

  /** Notes something that happened. */
  note(what: string): void {
    const line = `${this.#step} ${what}`;
    this.#hash.update(line).update("\n");
    this.#lines++;
    this.#last.push(line);
    if (this.#last.length > 2 * LINES_KEPT) this.#last.splice(0, LINES_KEPT);
  }

  /** The last lines, oldest first. */
  get tail(): readonly string[] {
    return this.#last.slice(-LINES_KEPT);
  }

  get lines(): number {
    return this.#lines;
  }

  /** SHA-256 of all lines so far, hex. */
  digest(): string {
    return this.#hash.copy().digest("hex");
  }
}
