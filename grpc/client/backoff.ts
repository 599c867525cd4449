/**
 * Waits between attempts to connect (gRPC core documentation, "GRPC Connection Backoff Protocol").
 *
 * @module
 */

/**
 * Waits after failed connects: `initial_ms`, each time 1.6 times more up to `max_ms`, ± 20 %. Both
 * at least 1.
 */
export interface Backoff {
  readonly initial_ms: number;
  readonly max_ms: number;
}

const MULTIPLIER = 1.6;
const JITTER = 0.2;

/** From the start of one attempt to the start of the next, after `failures` failed ones before. */
export function backoffWaitMs(
  { initial_ms, max_ms }: Backoff,
  failures: number,
  random: () => number = Math.random,
): number {
  // More powers change nothing but overflow.
  const wait_ms = Math.min(max_ms, initial_ms * MULTIPLIER ** Math.min(failures, 100));
  return wait_ms * (1 + JITTER * (2 * random() - 1));
}
