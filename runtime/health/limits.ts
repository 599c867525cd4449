/**
 * Bounds of the health room.
 *
 * @module
 */

/** Bounds of `/health`, `/ready` and `/metrics`. */
export const HEALTH_LIMITS = {
  /** Metric names. Further ones are not counted; `aa_metrics_refused_total` says how many were not. */
  metrics_max: 256,
  /** Series of one metric that differ by labels. Further ones are counted together as `other`. */
  series_max: 64,
  /** Requests being answered at a time. More: 503 at once. */
  requests_max: 32,
  /** Degradations that `/health` lists; older ones are forgotten there, not in the log. */
  degradations_max: 16,
} as const;
