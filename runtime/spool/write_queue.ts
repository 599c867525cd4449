/**
 * What waits for the disk, in order, and how much of it goes into one transaction.
 *
 * @module
 */
import type { SpoolError } from "./failure.ts";
import { SPOOL_LIMITS } from "./limits.ts";
import type { Incoming } from "./pack.ts";
import type { Acknowledgement } from "./protocol.ts";

/** A record and who waits for its position. */
export interface WaitingAppend extends Incoming {
  readonly resolve: (seq: number) => void;
  readonly reject: (error: SpoolError) => void;
}

/** A reader's place and who waits for it to be kept. */
export interface WaitingAcknowledgement extends Acknowledgement {
  readonly resolve: () => void;
  readonly reject: (error: SpoolError) => void;
}

/** One transaction's worth. */
export interface Batch {
  readonly appends: readonly WaitingAppend[];
  readonly acknowledgements: readonly WaitingAcknowledgement[];
}

/** Records and acknowledgements on their way; what was taken counts until it is settled. */
export class WriteQueue {
  #appends: WaitingAppend[] = [];
  #acknowledgements: WaitingAcknowledgement[] = [];
  #rows = 0;
  #bytes = 0;

  /** Records that wait or are being written. */
  get rows(): number {
    return this.#rows;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether nothing waits. */
  get empty(): boolean {
    return this.#appends.length === 0 && this.#acknowledgements.length === 0;
  }

  /** Whether one more record of that length has no room here. */
  crowdedFor(length: number): boolean {
    return this.#rows >= SPOOL_LIMITS.queued_rows ||
      this.#bytes + length > SPOOL_LIMITS.queued_bytes;
  }

  /** Adds a record. */
  append(one: WaitingAppend): void {
    this.#appends.push(one);
    this.#rows++;
    this.#bytes += one.bytes.length;
  }

  /** Adds an acknowledgement. */
  acknowledge(one: WaitingAcknowledgement): void {
    this.#acknowledgements.push(one);
  }

  /** Takes the next transaction's worth. */
  take(): Batch {
    let count = 0;
    let bytes = 0;
    for (const record of this.#appends) {
      if (count >= SPOOL_LIMITS.batch_rows) break;
      if (count > 0 && bytes + record.bytes.length > SPOOL_LIMITS.batch_bytes) break;
      count++;
      bytes += record.bytes.length;
    }
    const batch = {
      appends: this.#appends.slice(0, count),
      acknowledgements: this.#acknowledgements,
    };
    this.#appends = this.#appends.slice(count);
    this.#acknowledgements = [];
    return batch;
  }

  /** A batch is kept, or refused: it waits no more. */
  settled({ appends }: Batch): void {
    this.#rows -= appends.length;
    for (const { bytes } of appends) this.#bytes -= bytes.length;
  }
}
