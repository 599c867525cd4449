/**
 * The `grpc-timeout` header: at most eight digits and a unit (gRPC over HTTP/2, "Timeout").
 *
 * @module
 */

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
const SYNTAX = /^([0-9]{1,8})([HMSmun])$/;
const DIGITS_MAX = 99_999_999;
/** Longest wait one timer can hold. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Milliseconds of a `grpc-timeout` value, or undefined when it is not one. */
export function parseTimeout(text: string): number | undefined {
  const match = SYNTAX.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (UNIT_MS[match[2] ?? ""] ?? 0);
}

/** A `grpc-timeout` value that is never shorter than asked, in the finest unit that can hold it. */
export function formatTimeout(timeout_ms: number): string {
  if (timeout_ms <= 0) return "0n";
  if (timeout_ms < 1000) return `${Math.ceil(timeout_ms * 1000)}u`;
  if (timeout_ms <= DIGITS_MAX) return `${Math.ceil(timeout_ms)}m`;
  if (timeout_ms / 1000 <= DIGITS_MAX) return `${Math.ceil(timeout_ms / 1000)}S`;
  return `${Math.min(DIGITS_MAX, Math.ceil(timeout_ms / 3_600_000))}H`;
}

/** A timer that survives waits longer than the platform's timers can hold. */
export class DeadlineTimer {
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #deadline_ms: number;
  readonly #onPassed: () => void;

  /** @param deadline_ms epoch milliseconds */
  constructor(deadline_ms: number, onPassed: () => void) {
    this.#deadline_ms = deadline_ms;
    this.#onPassed = onPassed;
    this.#arm();
  }

  /** Stops the timer; `onPassed` is not called any more. */
  clear(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    const wait_ms = Math.min(Math.max(0, this.#deadline_ms - Date.now()), TIMER_MS_MAX);
    this.#timer = setTimeout(() => {
      if (Date.now() < this.#deadline_ms) this.#arm();
      else this.#onPassed();
    }, wait_ms);
  }
}
