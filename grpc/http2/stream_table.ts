/**
 * The open streams of a connection by their ids.
 *
 * Not a `Map`: V8 makes a new table for a map every few insertions and deletions, and each dead
 * table that has reached the old generation keeps its successor alive, which then reaches it too.
 * A busy connection fills the old generation that way, call by call.
 *
 * @module
 */

const FIRST_SLOTS = 16;

/**
 * A hash table with linear probing, at most half full. A side's streams have every second id in
 * turn, so that they spread without a hash; a peer that leaves ids out to make them meet pays for
 * it with searches as long as it may open streams.
 */
export class StreamTable<S extends { readonly id: number }> {
  #slots: (S | undefined)[] = new Array(FIRST_SLOTS).fill(undefined);
  #mask = FIRST_SLOTS - 1;
  #size = 0;

  /** Streams in the table. */
  get size(): number {
    return this.#size;
  }

  /** The stream of an id. */
  get(id: number): S | undefined {
    for (let slot = (id >>> 1) & this.#mask;; slot = (slot + 1) & this.#mask) {
      const stream = this.#slots[slot];
      if (stream === undefined || stream.id === id) return stream;
    }
  }

  /** Adds a stream whose id is not there. */
  add(stream: S): void {
    if (2 * (this.#size + 1) > this.#slots.length) this.#grow();
    this.#size++;
    this.#put(stream);
  }

  /** Removes the stream of an id, if there is one. */
  delete(id: number): void {
    let gap = (id >>> 1) & this.#mask;
    while (this.#slots[gap]?.id !== id) {
      if (this.#slots[gap] === undefined) return;
      gap = (gap + 1) & this.#mask;
    }
    this.#size--;
    // What probed past the gap must still be found: it moves back, and leaves the gap behind.
    for (let slot = (gap + 1) & this.#mask;; slot = (slot + 1) & this.#mask) {
      const stream = this.#slots[slot];
      if (stream === undefined) break;
      const home = (stream.id >>> 1) & this.#mask;
      if (((slot - home) & this.#mask) < ((slot - gap) & this.#mask)) continue;
      this.#slots[gap] = stream;
      gap = slot;
    }
    this.#slots[gap] = undefined;
  }

  /** The streams in the order of their ids, which is that of their opening. */
  values(): S[] {
    const found = this.#slots.filter((stream) => stream !== undefined);
    return found.sort((a, b) => a.id - b.id);
  }

  #put(stream: S): void {
    let slot = (stream.id >>> 1) & this.#mask;
    while (this.#slots[slot] !== undefined) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = stream;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Array(2 * before.length).fill(undefined);
    this.#mask = this.#slots.length - 1;
    for (const stream of before) if (stream !== undefined) this.#put(stream);
  }
}
