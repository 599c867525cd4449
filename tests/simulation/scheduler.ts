/**
 * Simulated time and the order of events. One event is one step: it runs, every promise that can
 * settle settles, and nothing else happens until the next one.
 *
 * @module
 */
import { setImmediate } from "node:timers";

interface Event {
  readonly at_us: number;
  readonly order: number;
  readonly what: string;
  run: (() => void) | undefined;
}

/** The only thing that makes time pass. */
export class Scheduler {
  #now_us = 0;
  #order = 0;
  readonly #heap: Event[] = [];

  /** Microseconds since the run began. */
  get now_us(): number {
    return this.#now_us;
  }

  /** Events that wait, cancelled ones included. */
  get waiting(): number {
    return this.#heap.length;
  }

  /**
   * Runs something later.
   *
   * @param what Says in the trace what it is; empty keeps it out of the trace.
   * @returns Cancels it.
   */
  after(delay_us: number, what: string, run: () => void): () => void {
    const at_us = this.#now_us + Math.max(0, Math.round(delay_us));
    const event: Event = { at_us, order: this.#order++, what, run };
    this.#push(event);
    return () => {
      event.run = undefined;
    };
  }

  /** Resolves later. */
  sleep(delay_us: number, what: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.after(delay_us, what, resolve);
    return promise;
  }

  /**
   * Runs the next event and lets every promise settle.
   *
   * @returns What it was; `undefined` when nothing waits.
   */
  async step(): Promise<string | undefined> {
    const event = this.#pop();
    if (event?.run === undefined) return undefined;
    this.#now_us = event.at_us;
    event.run();
    await settled();
    return event.what;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent])) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    for (let top = this.#take(); top !== undefined; top = this.#take()) {
      if (top.run !== undefined) return top;
    }
    return undefined;
  }

  #take(): Event | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let at = 0;
    while (true) {
      let child = 2 * at + 1;
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child])) child++;
      if (child >= heap.length || !before(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function before(one: Event, other: Event | undefined): boolean {
  if (other === undefined) return false;
  return one.at_us < other.at_us || (one.at_us === other.at_us && one.order < other.order);
}

/**
 * One trip through the real event loop: the runtime empties the queue of promise reactions before
 * it comes back, and as nothing else is registered there, that is all it does.
 */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
