/**
 * Memory for small messages: many share one allocation, because an allocation of its own costs a
 * small message more than everything else that happens to its bytes.
 *
 * @module
 */

const SLAB_BYTES = 8192;
/** A longer message gets memory of its own. */
const SHARED_BYTES_MAX = 1024;

/**
 * Copies messages of one connection. Memory is never written twice, and never shared between
 * connections: what a message's `buffer` holds besides it came from, or goes to, the same peer.
 * Whoever keeps a message keeps at most {@linkcode SLAB_BYTES} with it.
 */
export class MessageSlab {
  /** Made for the second message: many an owner has only one. */
  #slab: Uint8Array<ArrayBuffer> | undefined;
  #first = true;
  #used = 0;

  /** A copy of `bytes[start, end)`. */
  copy(bytes: Uint8Array, start: number, end: number): Uint8Array<ArrayBuffer> {
    const count = end - start;
    if (count > SHARED_BYTES_MAX || this.#first) {
      this.#first = false;
      const own = new Uint8Array(count);
      own.set(bytes.subarray(start, end));
      return own;
    }
    if (this.#slab === undefined || this.#used + count > SLAB_BYTES) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const message = this.#slab.subarray(this.#used, this.#used + count);
    this.#used += count;
    message.set(bytes.subarray(start, end));
    return message;
  }
}
