/**
 * The deadlines of many calls behind one timer of the platform. Nearly every call ends before its
 * deadline, and a timer of its own would cost it more than its bytes do.
 *
 * @module
 */

/** Longest wait one timer can hold. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What has a deadline. */
export interface Timed {
  /** Epoch milliseconds; never changes. Without one, it is never due. */
  readonly deadline_ms: number | undefined;
  /** Kept by {@linkcode Deadlines}; -1 outside. */
  deadline_place: number;
  /** Called once, at the deadline or shortly after; no longer among the deadlines by then. */
  onDeadline(): void;
}

/**
 * A heap, the earliest deadline first. The timer stands for the earliest there was when it was set:
 * one that leaves early is not worth setting it anew.
 */
export class Deadlines {
  readonly #heap: Timed[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #armed_ms = Infinity;

  /** How many wait. */
  get size(): number {
    return this.#heap.length;
  }

  /** Adds what is not there yet. */
  add(timed: Timed): void {
    if (timed.deadline_place >= 0) return;
    this.#put(timed, this.#heap.length);
    this.#rise(timed);
    if (dueOf(timed) < this.#armed_ms) this.#arm();
  }

  /** Removes what may be there. */
  remove(timed: Timed): void {
    const place = timed.deadline_place;
    if (place < 0) return;
    timed.deadline_place = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === timed) return;
    this.#put(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  /** Stops the timer while nothing waits: an idle owner must not keep the process alive. */
  rest(): void {
    if (this.#heap.length === 0) this.#disarm();
  }

  #put(timed: Timed, place: number): void {
    this.#heap[place] = timed;
    timed.deadline_place = place;
  }

  #rise(timed: Timed): void {
    while (timed.deadline_place > 0) {
      const place = timed.deadline_place;
      const above = (place - 1) >> 1;
      const parent = this.#heap[above];
      if (parent === undefined || dueOf(parent) <= dueOf(timed)) return;
      this.#put(parent, place);
      this.#put(timed, above);
    }
  }

  #sink(timed: Timed): void {
    for (;;) {
      const place = timed.deadline_place;
      const left = this.#heap[2 * place + 1];
      const right = this.#heap[2 * place + 2];
      const child = right !== undefined && left !== undefined && dueOf(right) < dueOf(left)
        ? right
        : left;
      if (child === undefined || dueOf(timed) <= dueOf(child)) return;
      const below = child.deadline_place;
      this.#put(child, place);
      this.#put(timed, below);
    }
  }

  #arm(): void {
    this.#disarm();
    const first = this.#heap[0];
    if (first === undefined || dueOf(first) === Infinity) return;
    this.#armed_ms = dueOf(first);
    const wait_ms = Math.min(Math.max(0, this.#armed_ms - Date.now()), TIMER_MS_MAX);
    this.#timer = setTimeout(() => this.#onTimer(), wait_ms);
  }

  #disarm(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#armed_ms = Infinity;
  }

  #onTimer(): void {
    const now_ms = Date.now();
    try {
      for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
        if (dueOf(first) > now_ms) break;
        this.remove(first);
        first.onDeadline();
      }
    } finally {
      this.#arm();
    }
  }
}

function dueOf({ deadline_ms }: Timed): number {
  return deadline_ms ?? Infinity;
}
