/**
 * Relations between agents: six kinds, as agents and operators report them (contract
 * `policy-and-gateway` §12).
 *
 * @module
 */

/** Kinds of relations, as on the wire. */
export const EDGE_KINDS = [
  "delegates_to",
  "calls",
  "reads",
  "writes",
  "approves",
  "messages",
] as const;

/** One kind. */
export type EdgeKind = (typeof EDGE_KINDS)[number];

/** Narrows a text to a kind. */
export function isEdgeKind(text: string): text is EdgeKind {
  return EDGE_KINDS.some((kind) => kind === text);
}

/** Whose an agent was when a relation was reported. */
export interface EdgeEnd {
  /** Registry key, 32 lower-case hex. */
  readonly key: string;
  readonly org_id: string;
  readonly team_id: string;
}

/** One reported relation. It is a claim of whoever reported it, and never changes. */
export interface TopologyEdge {
  /** Counted up from 1; gaps are reports that were not made durable. */
  readonly id: number;
  readonly source: EdgeEnd;
  readonly target: EdgeEnd;
  readonly kind: EdgeKind;
  /** JSON text; absent when none was given. */
  readonly metadata?: string;
  /** `agent:<registry key>` or `operator:<name>`. */
  readonly reported_by: string;
  readonly created_at_ms: number;
}

/** Whether a relation leaves its team: another team, or the same name in another organisation. */
export function crossesTeams({ source, target }: Pick<TopologyEdge, "source" | "target">): boolean {
  return source.org_id !== target.org_id || source.team_id !== target.team_id;
}
