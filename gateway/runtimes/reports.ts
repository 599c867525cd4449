/**
 * Takes what runtimes recorded into the audit log: in order, without gaps, each record once.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { clean } from "../../core/audit/clean_text.ts";
import type { Principal } from "../../core/principal.ts";
import type { ReportRequest } from "../../proto/gen/assembly/admin/v1/runtime_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Raise } from "../alerts/alert.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import type { AnomaliesPart, OperationsPart } from "../engine/parts.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { Registry } from "../registry/registry.ts";
import { Turns, TurnsBusy } from "../turns.ts";
import type { Cursor, Cursors } from "./cursors.ts";
import type { Leases } from "./leases.ts";
import { RUNTIME_ROOM_LIMITS } from "./limits.ts";
import type { RememberedPolicies } from "./policies.ts";
import { recheck, recheckText } from "./recheck.ts";
import { decisionDraft, otherDraft, type ReadRecord, readRecord } from "./reported_entry.ts";

/** Why a report is refused. Nothing of it was taken then. */
export class ReportError extends Error {
  override readonly name = "ReportError";

  /** `gap` and `unknown_spool` say in their message which position is expected. */
  constructor(
    readonly code:
      | "invalid"
      | "gap"
      | "diverged"
      | "unknown_spool"
      | "not_yours"
      | "busy"
      | "unavailable",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What taking reports needs. */
export interface ReportsOptions {
  readonly cursors: Cursors;
  readonly audit: Pick<AuditLog, "append" | "list" | "status">;
  readonly registry: Pick<Registry, "principalOf">;
  readonly policies: RememberedPolicies;
  readonly leases: Leases;
  readonly raise: (raise: Raise) => void;
  readonly anomalies?: AnomaliesPart;
  readonly operations?: OperationsPart;
  readonly counters: Counters;
  readonly clock: Clock;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Entries read by one look into the log. */
const LOOK_ENTRIES = 10_000;

/** The receiving end of every spool. */
export class Reports {
  readonly #on: ReportsOptions;
  readonly #turns = new Map<string, Turns>();

  constructor(options: ReportsOptions) {
    this.#on = options;
  }

  /**
   * Takes the records that are new.
   *
   * @returns Position up to which every record of the spool is in the log.
   * @throws {ReportError}
   */
  async take(request: ReportRequest, agent: AgentRecord): Promise<number> {
    const { spoolId: spool_id, records } = request;
    if (!UUID.test(spool_id)) throw new ReportError("invalid", "spool_id: must be a UUID");
    const { report_records } = RUNTIME_ROOM_LIMITS;
    if (records.length > report_records) {
      throw new ReportError(
        "invalid",
        `records: ${records.length} in one report, at most ${report_records}`,
      );
    }
    if (request.firstSeq < 1n || request.firstSeq > BigInt(Number.MAX_SAFE_INTEGER - 1_000_000)) {
      throw new ReportError("invalid", "first_seq: positions begin with 1");
    }
    const turns = this.#turns.get(spool_id) ?? new Turns(RUNTIME_ROOM_LIMITS.reports_under_way);
    this.#turns.set(spool_id, turns);
    try {
      return await turns.run(() => this.#take(request, agent));
    } catch (error) {
      if (error instanceof TurnsBusy) throw new ReportError("busy", error.message);
      throw error;
    } finally {
      if (turns.waiting === 0) this.#turns.delete(spool_id);
    }
  }

  async #take(request: ReportRequest, agent: AgentRecord): Promise<number> {
    const first = Number(request.firstSeq);
    const known = await this.#cursorFor(request, agent);
    const cursor = await this.#settled(known);
    if (first > cursor.seq + 1) {
      throw new ReportError(
        "gap",
        `first_seq: is \`${first}\`, expected ${
          cursor.seq + 1
        }: what lies between was not received`,
      );
    }
    this.#mustContinue(request, cursor, agent);
    const draftsOf = (records: ReportRequest["records"], begin: number) =>
      records.map((record, at) => {
        const read = readRecord(record, agent);
        return this.#draft(read, agent, { spool_id: cursor.spool_id, seq: begin + at });
      });
    if (cursor !== known) {
      // They are in the log, and nobody knows whether they were charged: once more rather than never.
      const from = Math.max(known.seq + 1, first);
      const arrived = request.records.slice(from - first, Math.max(0, cursor.seq + 1 - first));
      for (const { after } of draftsOf(arrived, from)) await after();
      await this.#keep(cursor);
    }
    const fresh = request.records.slice(cursor.seq + 1 - first);
    const last = fresh.at(-1);
    if (last === undefined) return cursor.seq;
    const through = cursor.seq + fresh.length;
    const taken = draftsOf(fresh, cursor.seq + 1);
    const entries = String(this.#on.audit.status().entries);
    await this.#keep({ ...cursor, under_way: { entries, through } });
    await this.#append(taken.map(({ draft }) => draft));
    await Promise.all(taken.map(({ after }) => after()));
    await this.#keep({ ...withoutMark(cursor), seq: through, digest: digestOf(last) });
    this.#on.counters.add("runtimes.reports_taken");
    return through;
  }

  /**
   * A runtime that reports again reports at least what it reported before, and the same: else its
   * spool is an older copy, or somebody else reported under its name. Passing over what is in the
   * log by its position alone would lose the evidence of what really happened.
   */
  #mustContinue({ firstSeq, records }: ReportRequest, cursor: Cursor, agent: AgentRecord): void {
    const at = cursor.seq - Number(firstSeq);
    if (records.length === 0 || at < 0) return;
    const again = records[at];
    if (again !== undefined && (cursor.digest ?? digestOf(again)) === digestOf(again)) return;
    this.#alert(agent, "runtime_spool_diverged", {
      severity: "critical",
      message:
        `a runtime of \`${clean(agent.agent_id)}\` reports other records than this gateway ` +
        `has under the same positions, up to ${cursor.seq}: its spool was put back, or somebody ` +
        "else reported under its name",
    });
    throw new ReportError(
      "diverged",
      `records: this gateway has others of this spool up to \`${cursor.seq}\`: keep the spool's ` +
        "file as evidence and move it away, so that the runtime starts a new one",
    );
  }

  async #cursorFor(request: ReportRequest, agent: AgentRecord): Promise<Cursor> {
    const { spoolId: spool_id, adopt } = request;
    const { cursors, clock } = this.#on;
    if (cursors.damaged.includes(spool_id)) {
      throw new ReportError(
        "unavailable",
        "spool_id: what this gateway has of the spool cannot be read; `aasm status` names it",
      );
    }
    const known = cursors.find(spool_id);
    if (known?.agent_key === agent.key) return known;
    if (known !== undefined) {
      throw new ReportError("not_yours", "spool_id: it is the spool of another agent");
    }
    const before = Number(request.firstSeq) - 1;
    if (before > 0 && !adopt) {
      throw new ReportError(
        "unknown_spool",
        `first_seq: is \`${before + 1}\`, expected 1: this gateway does not know the spool; set ` +
          "`adopt` to begin there, which is put on record",
      );
    }
    if (before > 0) {
      const facts = { actor: "runtime", agent_key: agent.key, spool_id, begins_at: before + 1 };
      await this.#append([governanceEntry("runtime_spool_adopted", facts, clock)]);
      this.#alert(agent, "runtime_spool_adopted", {
        severity: "warning",
        message: `a runtime of \`${clean(agent.agent_id)}\` reports from record ${before + 1} ` +
          "on; this gateway has not seen those before",
      });
    }
    return {
      spool_id,
      agent_key: agent.key,
      seq: before,
      touched_ms: Math.max(0, clock.now_ms()),
    };
  }

  /** Where a spool stands after an append whose end nobody saw: the log says. Keeps nothing. */
  async #settled(cursor: Cursor): Promise<Cursor> {
    const { under_way } = cursor;
    if (under_way === undefined) return cursor;
    const arrived = await this.#arrived(cursor.spool_id, BigInt(under_way.entries));
    const { digest: _, ...undigested } = withoutMark(cursor);
    return arrived > cursor.seq ? { ...undigested, seq: arrived } : withoutMark(cursor);
  }

  /** The highest position of a spool among the entries from `from` on; 0 when there is none. */
  async #arrived(spool_id: string, from: bigint): Promise<number> {
    let before_seq = this.#on.audit.status().entries;
    while (before_seq > from) {
      const { entries } = await this.#on.audit.list({ before_seq, limit: LOOK_ENTRIES });
      for (const { seq, line } of entries) {
        if (seq < from) return 0;
        const position = positionIn(line, spool_id);
        if (position !== undefined) return position;
        before_seq = seq;
      }
      if (entries.length === 0) return 0;
    }
    return 0;
  }

  async #keep(cursor: Cursor): Promise<void> {
    try {
      await this.#on.cursors.put({ ...cursor, touched_ms: Math.max(0, this.#on.clock.now_ms()) });
    } catch (error) {
      throw new ReportError("unavailable", "report not taken: the store could not be written", {
        cause: error,
      });
    }
  }

  async #append(drafts: readonly EntryDraft[]): Promise<void> {
    // Handed over in one go, so that the log keeps their order; all must settle before the next turn.
    const settled = await Promise.allSettled(drafts.map((draft) => this.#on.audit.append(draft)));
    const failed = settled.find((one) => one.status === "rejected");
    if (failed === undefined) return;
    throw new ReportError("unavailable", "report not taken: the audit log could not be written", {
      cause: failed.reason,
    });
  }

  #draft(
    read: ReadRecord,
    agent: AgentRecord,
    place: { readonly spool_id: string; readonly seq: number },
  ): { readonly draft: EntryDraft; readonly after: () => Promise<void> } {
    const { clock, registry } = this.#on;
    if (read.kind !== "decision") {
      const after = () => {
        if (read.kind === "unreadable") this.#unreadable(agent, read.why);
        return Promise.resolve();
      };
      return { draft: otherDraft(read, agent, place, clock), after };
    }
    const { decision, action } = read;
    const decided_at_ms = Number(decision.decidedAtUnixMs);
    const now = registry.principalOf(agent, clock.now_ms());
    const principal = principalThen(now, agent, decided_at_ms);
    const { policies } = this.#on;
    const again = recheck({
      policy: decision.because === "policy"
        ? policies.find(decision.policyDigest)
        : policies.newest,
      decision: decision.decision,
      action,
      principal,
      decided_at_ms,
    });
    const draft = decisionDraft(read, agent, principal, place, recheckText(again), clock);
    const after = () => {
      this.#tell(read, agent, principal);
      if (typeof again === "object") this.#disagrees(agent, again.denied);
      else if (again === "unknown_policy") this.#unknownPolicy(agent);
      return this.#account(read, agent, principal);
    };
    return { draft, after };
  }

  /** Counts a reported call against its lease; what none covers is charged and told. */
  async #account(
    { decision, action }: Extract<ReadRecord, { kind: "decision" }>,
    agent: AgentRecord,
    principal: Principal,
  ): Promise<void> {
    const let_through = decision.decision === 1 || decision.decision === 4;
    if (!let_through) return;
    const { leases } = this.#on;
    if (decision.because !== "policy") this.#alone(agent);
    const covered = decision.leaseId !== "" &&
      leases.reported(agent.key, decision.leaseId, action, principal) === "covered";
    if (covered) return;
    const owed = decision.leaseId !== "" || leases.costs(principal, action);
    if (decision.because === "policy" && owed) this.#uncovered(agent);
    try {
      await leases.charge(principal, action);
    } catch {
      this.#on.counters.add("runtimes.charge_failed");
    }
  }

  #tell(
    { decision, action }: Extract<ReadRecord, { kind: "decision" }>,
    agent: AgentRecord,
    principal: Principal,
  ): void {
    const { counters, operations, anomalies, clock } = this.#on;
    const word = decision.decision as 1 | 2 | 3 | 4;
    counters.add(`runtimes.${DECISION_WORDS[word]}`);
    operations?.answered(principal, decision.traceId, decision.spanId, word);
    anomalies?.observe({
      principal,
      record: agent,
      action,
      now_ms: clock.now_ms(),
      trace_id: decision.traceId,
      decision: {
        outcome: word === 2 ? "deny" : "allow",
        reason: decision.reason,
        findings: decision.findings.map(({ kind }) => ({
          source: "locale",
          category: kind,
          offset: 0,
          end: 0,
          confidence: "low",
        })),
        narrowed: decision.narrowed,
        deny_action: "none",
        evidence: [],
      },
      micro_usd: 0,
      cascade: undefined,
    });
  }

  #disagrees(agent: AgentRecord, reason: string): void {
    this.#alert(agent, "runtime_disagrees", {
      severity: "critical",
      message: `a runtime of \`${clean(agent.agent_id)}\` let through what this gateway's policy ` +
        `of that moment denies: ${reason}`,
    });
  }

  /** A runtime that names a policy that never was would not be looked at again otherwise. */
  #unknownPolicy(agent: AgentRecord): void {
    this.#alert(agent, "runtime_policy_unknown", {
      severity: "warning",
      message:
        `a runtime of \`${clean(agent.agent_id)}\` let calls through by a policy that this ` +
        "gateway does not know, or knows no more since it was started: they were not looked at again",
    });
  }

  #uncovered(agent: AgentRecord): void {
    this.#alert(agent, "runtime_lease_exceeded", {
      severity: "critical",
      message:
        `a runtime of \`${clean(agent.agent_id)}\` let calls through that no lease covers; ` +
        "they are charged",
    });
  }

  #alone(agent: AgentRecord): void {
    this.#alert(agent, "runtime_decided_alone", {
      severity: "warning",
      message: `a runtime of \`${clean(agent.agent_id)}\` let calls through by its own local ` +
        "rules, without this gateway: it fails open by its operator's choice",
    });
  }

  #unreadable(agent: AgentRecord, why: string): void {
    this.#alert(agent, "runtime_record_unreadable", {
      severity: "warning",
      message: `a record of a runtime of \`${clean(agent.agent_id)}\` could not be read: ${why}`,
    });
  }

  #alert(
    agent: AgentRecord,
    source: string,
    { severity, message }: Pick<Raise, "severity" | "message">,
  ): void {
    this.#on.counters.add(`runtimes.${source}`);
    this.#on.raise({
      category: "system",
      severity,
      dedup_key: `${source}:${agent.key}`,
      source,
      message,
      agent_key: agent.key,
      agent_id: clean(agent.agent_id),
      ...(agent.org_id === "" ? {} : { org_id: agent.org_id }),
      ...(agent.team_id === "" ? {} : { team_id: agent.team_id }),
    });
  }
}

function digestOf({ kind, content }: ReportRequest["records"][number]): string {
  return createHash("sha256").update(`${kind}\0`).update(content).digest("hex");
}

const DECISION_WORDS = { 1: "allowed", 2: "denied", 3: "pending", 4: "redacted" } as const;

function withoutMark({ under_way: _, ...cursor }: Cursor): Cursor {
  return cursor;
}

/** How the agent stood when the runtime decided: what came after is not held against it. */
function principalThen(now: Principal, agent: AgentRecord, decided_at_ms: number): Principal {
  if (now.status === "active") return now;
  if (agent.state.status === "active" || agent.state.since_ms > decided_at_ms) {
    return { ...now, status: "active" };
  }
  return now;
}

/** The position that an entry's payload gives a record of this spool. */
function positionIn(line: string, spool_id: string): number | undefined {
  if (!line.includes(spool_id)) return undefined;
  try {
    const entry = JSON.parse(line) as { payload?: unknown };
    const text = typeof entry.payload === "string" ? entry.payload : "{}";
    const payload = JSON.parse(text) as Record<string, unknown>;
    const position = payload["spool_seq"];
    return payload["spool_id"] === spool_id && typeof position === "number" ? position : undefined;
  } catch {
    return undefined;
  }
}
