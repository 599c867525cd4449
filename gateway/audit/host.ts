/**
 * Everything the audit log takes from the machine it runs on. Nothing in this room reads a clock,
 * sets a timer or opens a file in another way, so a simulation can stand in for all of it.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { type Disk, SYSTEM_DISK } from "./disk.ts";

/** The machine, as the log sees it. */
export interface AuditHost {
  readonly disk: Disk;
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly now_ms: () => number;
  /** Monotonic, milliseconds since an arbitrary start. */
  readonly monotonic_ms: () => number;
  /**
   * Calls back once after `delay_ms`, without keeping the process alive.
   *
   * @returns Cancels the call.
   */
  readonly later: (callback: () => void, delay_ms: number) => () => void;
  /** Lets other work have a turn. */
  readonly turn: () => Promise<void>;
}

/** This machine. */
export const SYSTEM_HOST: AuditHost = {
  disk: SYSTEM_DISK,
  now_ms: () => Date.now(),
  monotonic_ms: () => performance.now(),
  later(callback, delay_ms) {
    const timer = setTimeout(callback, delay_ms);
    Deno.unrefTimer(timer as unknown as number);
    return () => clearTimeout(timer);
  },
  turn: () => setImmediate(),
};
