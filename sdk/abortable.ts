/**
 * Ends a wait when its signal says so, whatever the other side does.
 *
 * @module
 */
import { deferred } from "./deferred.ts";

/**
 * The outcome of `work`, or the signal's reason, whichever is first. `work` is not started when the
 * signal is aborted already.
 */
export async function abortable<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = deferred<never>();
  const leave = () => reject(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([work(), promise]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
