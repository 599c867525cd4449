/**
 * How rough a run is. Drawn once from its seed: some runs are calm, some are all faults.
 *
 * @module
 */
import type { Random } from "./random.ts";

/** Probabilities and spans of one run. */
export interface Faults {
  /** Share of disk operations that fail with an input/output error. */
  readonly disk_error: number;
  /** Share of syncs that fail, after which what was written is gone. */
  readonly sync_error: number;
  /** Share of store commits that are refused whole. */
  readonly store_error: number;
  /** Share of messages that never arrive. */
  readonly drop: number;
  /** Share of messages that arrive twice. */
  readonly duplicate: number;
  /** Mean simulated milliseconds between two crashes of the gateway. */
  readonly crash_every_ms: number;
  /** Share of crashes that take the machine with them, unsynced bytes included. */
  readonly power_loss: number;
  /** Mean simulated milliseconds between two spells of a full disk. */
  readonly full_every_ms: number;
  /** Mean simulated milliseconds between two jumps of the wall clock. */
  readonly clock_jump_every_ms: number;
}

/** Draws how rough a run is. */
export function drawFaults(random: Random): Faults {
  const rough = random.pick([0, 1, 1, 2, 4]);
  return {
    disk_error: 0.000_5 * rough,
    sync_error: 0.001 * rough,
    store_error: 0.004 * rough,
    drop: 0.01 * rough,
    duplicate: 0.01 * rough,
    crash_every_ms: random.between(2_000, 60_000) / Math.max(1, rough),
    power_loss: 0.6,
    full_every_ms: random.between(20_000, 200_000) / Math.max(0.1, rough),
    clock_jump_every_ms: random.between(10_000, 100_000),
  };
}
