/**
 * Events on their way to the runtime: kept until they were taken there, so that a connection that
 * breaks loses none (trap C1). Bounded: who reports too much waits, and hears of it by name.
 *
 * @module
 */
import { ClosedError, EventSpoolFullError } from "../errors.ts";
import type { Timers } from "../timers.ts";
import { TRANSPORT_LIMITS } from "./limits.ts";

interface Waiter {
  readonly frame: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** First in, first out; what was sent stays until it was acknowledged. */
export class EventSpool {
  readonly #timers: Timers;
  /** Frames in order. The first `#sent` of them are on the present connection. */
  #frames: Uint8Array[] = [];
  #sent = 0;
  #bytes = 0;
  readonly #waiting: Waiter[] = [];
  #waiting_bytes = 0;
  #onEmpty: (() => void)[] = [];
  #closed = false;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Events kept. */
  get size(): number {
    return this.#frames.length;
  }

  /** Events sent on the present connection and not acknowledged. */
  get sent(): number {
    return this.#sent;
  }

  /**
   * Keeps a frame; waits for room.
   *
   * @throws {EventSpoolFullError} when there was none in time. The frame is not kept then.
   */
  async add(frame: Uint8Array): Promise<void> {
    if (this.#closed) throw new ClosedError();
    if (this.#waiting.length > 0 || !this.#fits(frame)) await this.#room(frame);
    else this.#keep(frame);
  }

  /** The next frame to send on the present connection; it counts as sent from here on. */
  take(): Uint8Array | undefined {
    const frame = this.#frames[this.#sent];
    if (frame !== undefined) this.#sent++;
    return frame;
  }

  /** The oldest `count` sent frames were taken by the runtime. False when fewer were sent. */
  acknowledge(count: number): boolean {
    if (count > this.#sent) return false;
    for (const frame of this.#frames.slice(0, count)) this.#bytes -= frame.length;
    this.#frames.splice(0, count);
    this.#sent -= count;
    this.#admit();
    if (this.#frames.length === 0) {
      for (const tell of this.#onEmpty) tell();
      this.#onEmpty = [];
    }
    return true;
  }

  /** The connection is gone: everything that was not acknowledged is to be sent again. */
  rewind(): void {
    this.#sent = 0;
  }

  /** Resolves true once nothing is kept, false after `timeout_ms`. */
  empty(timeout_ms: number): Promise<boolean> {
    if (this.#frames.length === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const cancel = this.#timers.after(timeout_ms, () => {
        this.#onEmpty = this.#onEmpty.filter((one) => one !== tell);
        resolve(false);
      });
      const tell = () => {
        cancel();
        resolve(true);
      };
      this.#onEmpty.push(tell);
    });
  }

  /** Takes nothing more; who waits for room hears of it. */
  close(): void {
    this.#closed = true;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(new ClosedError());
  }

  #fits({ length }: Uint8Array): boolean {
    return this.#frames.length < TRANSPORT_LIMITS.events_kept &&
      this.#bytes + length <= TRANSPORT_LIMITS.events_kept_bytes;
  }

  #keep(frame: Uint8Array): void {
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  /** Resolves once the frame is kept. */
  #room(frame: Uint8Array): Promise<void> {
    // Who waits holds memory too.
    if (
      this.#waiting.length >= TRANSPORT_LIMITS.reports_waiting ||
      this.#waiting_bytes + frame.length > TRANSPORT_LIMITS.events_kept_bytes
    ) {
      return Promise.reject(
        new EventSpoolFullError(
          `${this.#waiting.length} reports wait for room already: this one is not reported; ` +
            "await each report before the next",
        ),
      );
    }
    this.#waiting_bytes += frame.length;
    return this.#wait(frame).finally(() => this.#waiting_bytes -= frame.length);
  }

  #wait(frame: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#timers.after(TRANSPORT_LIMITS.report_wait_ms, () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(
          new EventSpoolFullError(
            `${this.#frames.length} events wait for the runtime and there is no room for another: ` +
              "this one is not reported; see that the runtime takes them (a runtime of the " +
              "reference never acknowledges: say `reference_protocol: true`)",
          ),
        );
      });
      const waiter: Waiter = {
        frame,
        resolve: () => {
          cancel();
          resolve();
        },
        reject: (error) => {
          cancel();
          reject(error);
        },
      };
      this.#waiting.push(waiter);
    });
  }

  /** Lets in who waits, in order. */
  #admit(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (!this.#fits(first.frame)) return;
      this.#waiting.shift();
      this.#keep(first.frame);
      first.resolve();
    }
  }
}
