/**
 * Every bound of the topology, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const TOPOLOGY_LIMITS = {
  /** Relations kept; beyond it the oldest of all is forgotten and counted, the audit log keeps it. */
  edges: 100_000,
  /** Relations kept of one reporter; beyond it that reporter's oldest is forgotten and counted. */
  edges_per_reporter: 10_000,
  /** Reports on their way to the disk; one more is refused, to be retried. */
  reports_under_way: 1_024,
  /** Metadata of one relation in bytes; longer is refused. */
  metadata_bytes: 4_096,
  /** Relations in one answer (contract `policy-and-gateway` §12). */
  list_edges: 1_000,
  /** Relations in one answer when the question does not say. */
  list_default_edges: 100,
  /** Agents in one tree, team or graph; a larger one is refused, to be narrowed. */
  nodes: 10_000,
  /** Cycles listed in one answer; more are counted. */
  cycles: 100,
  /** Pairs of teams listed in one answer, those with most relations. */
  team_pairs: 100,
  /** Latest relations across teams kept for those who ask late; older ones are in the list of edges. */
  cross_team_events: 64,
} as const;
