/**
 * One reader's end of the spool: what it has not acknowledged, and the note it keeps with its place.
 *
 * @module
 */
import type { SpoolReader, SpoolRecord } from "../parts.ts";
import { unpack } from "./pack.ts";
import type { PackedRead } from "./protocol.ts";

/** One reader, and the note it left with its place. */
export class Reader implements SpoolReader {
  readonly #read: (limit: number) => Promise<PackedRead>;
  readonly #acknowledge: (seq: number, note: Uint8Array | null) => Promise<void>;

  /** @private Use `Spool.reader`. */
  constructor(
    read: (limit: number) => Promise<PackedRead>,
    acknowledge: (seq: number, note: Uint8Array | null) => Promise<void>,
  ) {
    this.#read = read;
    this.#acknowledge = acknowledge;
  }

  /** @inheritdoc */
  async pending(limit: number): Promise<readonly SpoolRecord[]> {
    return unpack(await this.#read(limit));
  }

  /** What was kept with the last acknowledgement. */
  async note(): Promise<Uint8Array | null> {
    return (await this.#read(0)).note;
  }

  /** @inheritdoc */
  acknowledge(seq: number, note?: Uint8Array): Promise<void> {
    return this.#acknowledge(seq, note ?? null);
  }
}
