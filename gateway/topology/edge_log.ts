/**
 * The relations that were reported: append-only, recorded in the audit log, durable before they are
 * acknowledged, bounded.
 *
 * @module
 */
import { type EntryDraft, hash16 } from "../../core/audit/entry.ts";
import { sanitizePayload } from "../../core/audit/sanitize.ts";
import { crossesTeams, type EdgeKind, type TopologyEdge } from "../../core/topology/edge.ts";
import type { AgentRecord, Mutation, StateStore } from "../../storage/sqlite/records.ts";
import type { Clock } from "../clock.ts";
import { governanceEntry } from "../engine/governance.ts";
import { edgeKey, edgeText, readEdge } from "./edge_record.ts";
import { TOPOLOGY_LIMITS } from "./limits.ts";

/** Why a relation was not taken. */
export type EdgeFailure = "invalid_metadata" | "busy" | "storage_failed";

/** A refused relation; the message names the field. */
export class EdgeError extends Error {
  override readonly name = "EdgeError";

  constructor(readonly code: EdgeFailure, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** One report, checked but for its metadata. */
export interface EdgeReport {
  readonly source: AgentRecord;
  readonly target: AgentRecord;
  readonly kind: EdgeKind;
  /** JSON text; empty when none. */
  readonly metadata: string;
  readonly by:
    | { readonly kind: "agent"; readonly agent: AgentRecord }
    | { readonly kind: "operator"; readonly name: string };
}

/** A relation that was taken, with its entry in the log. */
export interface Reported {
  readonly edge: TopologyEdge;
  readonly audit_index: bigint;
}

/** Which relations to list; absent conditions hold for all. */
export interface EdgeFilter {
  /** Registry key of an agent at one end. */
  readonly agent?: string;
  /** Which end the agent is at. Default `outgoing`. */
  readonly direction?: "outgoing" | "incoming" | "both";
  readonly kind?: EdgeKind;
  readonly cross_team?: boolean;
  /** Only older ones. */
  readonly before_id?: number;
  /** Whether the one who asks may see it. */
  readonly visible?: (edge: TopologyEdge) => boolean;
}

/** What the log of relations needs. */
export interface EdgeLogOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  readonly clock: Clock;
  /** Makes an entry durable; a rejection stops the report. */
  readonly record: (entry: EntryDraft) => Promise<bigint>;
  /** Removes credentials from free text. */
  readonly redact: (text: string) => string;
}

/** The relations of one gateway. Memory changes only after the durable write. */
export class EdgeLog {
  readonly #options: EdgeLogOptions;
  /** In the order of their ids. */
  #edges: TopologyEdge[] = [];
  readonly #count_by_reporter = new Map<string, number>();
  readonly #listeners = new Set<(edge: TopologyEdge) => void>();
  readonly #cross_team: TopologyEdge[] = [];
  #next_id = 1;
  #under_way = 0;
  #forgotten = 0;

  private constructor(options: EdgeLogOptions) {
    this.#options = options;
  }

  /**
   * Loads the relations of a store.
   *
   * @throws {EdgeDamage} when a record is not what was written.
   */
  static async open(options: EdgeLogOptions): Promise<EdgeLog> {
    const log = new EdgeLog(options);
    for await (const page of options.store.records("edges")) {
      for (const record of page) log.#install(readEdge(record));
    }
    return log;
  }

  /** Relations kept. */
  get size(): number {
    return this.#edges.length;
  }

  /** Relations forgotten at a bound since the start; the audit log has them. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Every relation kept, oldest first. */
  all(): readonly TopologyEdge[] {
    return this.#edges;
  }

  /** The latest relations across teams, oldest first. */
  crossTeamEvents(): readonly TopologyEdge[] {
    return this.#cross_team;
  }

  /**
   * Calls `listener` for every relation across teams once it is durable. It must not throw.
   *
   * @returns Ends the subscription.
   */
  onCrossTeam(listener: (edge: TopologyEdge) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Relations, newest first. */
  list(filter: EdgeFilter, limit: number): readonly TopologyEdge[] {
    const found: TopologyEdge[] = [];
    for (let at = this.#edges.length - 1; at >= 0 && found.length < limit; at--) {
      const edge = this.#edges[at];
      if (edge !== undefined && matches(edge, filter)) found.push(edge);
    }
    return found;
  }

  /**
   * Takes a relation.
   *
   * @throws {EdgeError}; whatever recording throws. Nothing is kept then.
   */
  async report(report: EdgeReport): Promise<Reported> {
    const metadata = cleanMetadata(report.metadata, this.#options.redact);
    if (this.#under_way >= TOPOLOGY_LIMITS.reports_under_way) {
      throw new EdgeError(
        "busy",
        `\`${TOPOLOGY_LIMITS.reports_under_way}\` reports are under way; retry`,
      );
    }
    const edge: TopologyEdge = {
      id: this.#next_id++,
      source: endOf(report.source),
      target: endOf(report.target),
      kind: report.kind,
      ...(metadata === undefined ? {} : { metadata }),
      reported_by: report.by.kind === "agent"
        ? `agent:${report.by.agent.key}`
        : `operator:${report.by.name}`,
      created_at_ms: this.#options.clock.now_ms(),
    };
    this.#under_way++;
    try {
      return { edge, audit_index: await this.#keep(edge, report) };
    } finally {
      this.#under_way--;
    }
  }

  async #keep(edge: TopologyEdge, report: EdgeReport): Promise<bigint> {
    const { record, store, clock } = this.#options;
    const index = await record(reportEntry(edge, report, "", clock));
    const forgotten = this.#forgottenWith(edge);
    try {
      await store.commit([
        { kind: "put_record", collection: "edges", key: edgeKey(edge.id), value: edgeText(edge) },
        ...forgotten.map(({ id }): Mutation => ({
          kind: "delete_record",
          collection: "edges",
          key: edgeKey(id),
        })),
      ]);
    } catch (cause) {
      await record(reportEntry(edge, report, "_not_applied", clock)).catch(() => {});
      throw new EdgeError("storage_failed", "the edge cannot be made durable and was not taken", {
        cause,
      });
    }
    this.#forget(forgotten);
    this.#install(edge);
    if (crossesTeams(edge)) {
      for (const told of this.#listeners) {
        queueMicrotask(() => told(edge));
      }
    }
    return index;
  }

  /** What gives way: the reporter's own oldest first, then the oldest of all. */
  #forgottenWith({ reported_by }: TopologyEdge): TopologyEdge[] {
    const own = this.#count_by_reporter.get(reported_by) ?? 0;
    const own_excess = own + 1 - TOPOLOGY_LIMITS.edges_per_reporter;
    if (own_excess > 0) {
      return this.#edges.filter((edge) => edge.reported_by === reported_by).slice(0, own_excess);
    }
    return this.#edges.slice(0, Math.max(0, this.#edges.length + 1 - TOPOLOGY_LIMITS.edges));
  }

  /** Two reports at once may have chosen the same one to give way. */
  #forget(chosen: readonly TopologyEdge[]): void {
    for (const edge of chosen) {
      const at = this.#edges.indexOf(edge);
      if (at < 0) continue;
      this.#edges.splice(at, 1);
      this.#forgotten++;
      const count = (this.#count_by_reporter.get(edge.reported_by) ?? 1) - 1;
      if (count > 0) this.#count_by_reporter.set(edge.reported_by, count);
      else this.#count_by_reporter.delete(edge.reported_by);
    }
  }

  #install(edge: TopologyEdge): void {
    // Reports become durable nearly in the order of their ids.
    let at = this.#edges.length;
    while (at > 0 && (this.#edges[at - 1]?.id ?? 0) > edge.id) at--;
    this.#edges.splice(at, 0, edge);
    const { reported_by } = edge;
    this.#count_by_reporter.set(reported_by, (this.#count_by_reporter.get(reported_by) ?? 0) + 1);
    this.#next_id = Math.max(this.#next_id, edge.id + 1);
    if (!crossesTeams(edge)) return;
    this.#cross_team.push(edge);
    if (this.#cross_team.length > TOPOLOGY_LIMITS.cross_team_events) this.#cross_team.shift();
  }
}

function endOf({ key, org_id, team_id }: AgentRecord): TopologyEdge["source"] {
  return { key, org_id, team_id };
}

function matches(edge: TopologyEdge, filter: EdgeFilter): boolean {
  const { agent, direction = "outgoing", kind, cross_team, before_id, visible } = filter;
  if (before_id !== undefined && edge.id >= before_id) return false;
  if (kind !== undefined && edge.kind !== kind) return false;
  if (cross_team !== undefined && crossesTeams(edge) !== cross_team) return false;
  if (agent !== undefined) {
    const out = edge.source.key === agent && direction !== "incoming";
    const into = edge.target.key === agent && direction !== "outgoing";
    if (!out && !into) return false;
  }
  return visible?.(edge) ?? true;
}

/**
 * Metadata as it may be kept: JSON, bounded, without what is never stored and without credentials.
 *
 * @throws {EdgeError} `invalid_metadata`.
 */
function cleanMetadata(text: string, redact: (text: string) => string): string | undefined {
  if (text === "") return undefined;
  const limit = TOPOLOGY_LIMITS.metadata_bytes;
  if (text.length > limit || new TextEncoder().encode(text).length > limit) {
    throw new EdgeError("invalid_metadata", `metadata_json: is longer than ${limit} bytes`);
  }
  if (!isJson(text)) throw new EdgeError("invalid_metadata", "metadata_json: is not JSON");
  const clean = redact(sanitizePayload(text).payload);
  // A label that took the place of a secret may have taken a quote with it.
  return isJson(clean) ? clean : '{"redacted":true}';
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return text.isWellFormed() && !text.includes("\u0000");
  } catch {
    return false;
  }
}

function reportEntry(
  edge: TopologyEdge,
  { by, source }: EdgeReport,
  suffix: string,
  clock: Clock,
): EntryDraft {
  const cross_team = crossesTeams(edge);
  const { org_id, team_id } = edge.source;
  return {
    ...governanceEntry(`${cross_team ? "cross_team_edge" : "edge"}_reported${suffix}`, {
      actor: by.kind === "agent" ? `agent:${by.agent.agent_id}` : `operator:${by.name}`,
      after: {
        cross_team,
        edge_id: edge.id,
        kind: edge.kind,
        source_key: edge.source.key,
        target_key: edge.target.key,
      },
      org: org_id === "" ? null : org_id,
      team: team_id === "" ? null : team_id,
    }, clock),
    agent_id: hash16(source.agent_id),
    ...(org_id === "" ? {} : { org_id }),
    ...(team_id === "" ? {} : { team_id }),
  };
}
