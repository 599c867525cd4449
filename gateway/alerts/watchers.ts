/**
 * Those who watch the alert list live. A watcher that does not keep up is sent away; nobody waits
 * for it.
 *
 * @module
 */
import type { Alert } from "./alert.ts";
import { ALERT_LIMITS } from "./limits.ts";

/** What happened to an alert. */
export interface AlertEvent {
  readonly kind: "fire" | "acknowledge" | "silence" | "resolve" | "reopen";
  readonly alert: Alert;
}

/** Why a stream of events ended before its reader did. */
export class WatchEnded extends Error {
  override readonly name = "WatchEnded";
  constructor(readonly why: "lagging" | "too_many" | "stopped") {
    super(`the watch ended: ${why}`);
  }
}

interface Watcher {
  readonly queue: AlertEvent[];
  ended?: WatchEnded["why"];
  wake: () => void;
}

/** The watchers of one alert list. */
export class Watchers {
  readonly #all = new Set<Watcher>();
  #stopped = false;

  /** Watchers now. */
  get size(): number {
    return this.#all.size;
  }

  /** Tells all of an event. */
  tell(event: AlertEvent): void {
    for (const watcher of this.#all) {
      if (watcher.queue.length >= ALERT_LIMITS.watcher_events) {
        watcher.queue.length = 0;
        watcher.ended = "lagging";
      } else watcher.queue.push(event);
      watcher.wake();
    }
  }

  /** Ends every watch: the gateway stops. */
  stop(): void {
    this.#stopped = true;
    for (const watcher of this.#all) {
      watcher.ended = "stopped";
      watcher.wake();
    }
  }

  /**
   * Events from now on, until the signal.
   *
   * @throws {WatchEnded} when it ends for another reason.
   */
  async *watch(signal: AbortSignal): AsyncGenerator<AlertEvent> {
    if (this.#stopped) throw new WatchEnded("stopped");
    if (this.#all.size >= ALERT_LIMITS.watchers) throw new WatchEnded("too_many");
    const watcher: Watcher = { queue: [], wake: () => {} };
    const onAbort = () => watcher.wake();
    this.#all.add(watcher);
    signal.addEventListener("abort", onAbort);
    try {
      while (!signal.aborted) {
        const event = watcher.queue.shift();
        if (event !== undefined) {
          yield event;
          continue;
        }
        if (watcher.ended !== undefined) throw new WatchEnded(watcher.ended);
        await new Promise<void>((resolve) => watcher.wake = resolve);
      }
    } finally {
      this.#all.delete(watcher);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
