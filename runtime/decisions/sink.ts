/**
 * Empties the spool into the gateway. With ours each record is taken once, by spool and position; the
 * reference's gateway knows no such thing, so it gets events, at least once each.
 *
 * @module
 */
import { create, fromBinary } from "@bufbuild/protobuf";
import { Code, GrpcError } from "../../grpc/mod.ts";
import { audit, common, runtime } from "../../proto/mod.ts";
import type { SpoolRecord, SpoolSink } from "../parts.ts";
import type { GatewayPart } from "./gateway_client.ts";
import { DECISION_LIMITS } from "./limits.ts";
import { isUnimplemented } from "./retrying.ts";
import type { AgentName } from "./snapshot.ts";

/** What delivering needs. */
export interface GatewaySinkOptions {
  readonly gateway: Pick<GatewayPart, "report" | "reportEvents">;
  /** The agent, by the names that the gateway knows it by. */
  readonly name: () => AgentName;
  /** The credential in use; empty while none is known. */
  readonly token: () => string;
}

/** The gateway as the end of the spool. */
export class GatewaySink implements SpoolSink {
  readonly #on: GatewaySinkOptions;

  constructor(options: GatewaySinkOptions) {
    this.#on = options;
  }

  /** @inheritdoc */
  deliver = async (
    spool_id: string,
    records: readonly SpoolRecord[],
    signal: AbortSignal,
  ): Promise<number> => {
    const token = this.#on.token();
    if (token === "") throw new Error("no credential of the agent is known yet");
    const first = records[0];
    if (first === undefined) return 0;
    const part = partOf(records);
    const request = create(runtime.ReportRequestSchema, {
      spoolId: spool_id,
      firstSeq: BigInt(first.seq),
      records: part.map(({ kind, bytes }) => ({ kind, content: bytes })),
    });
    try {
      return await this.#report(request, token, signal);
    } catch (error) {
      if (!isUnimplemented(error)) throw error;
      await this.#on.gateway.reportEvents(part.map((one) => this.#eventOf(one)), token, signal);
      return first.seq + part.length - 1;
    }
  };

  async #report(
    request: runtime.ReportRequest,
    token: string,
    signal: AbortSignal,
  ): Promise<number> {
    const { gateway } = this.#on;
    const last = Number(request.firstSeq) + request.records.length - 1;
    let taken: runtime.ReportResponse;
    try {
      taken = await gateway.report(request, token, signal);
    } catch (error) {
      if (!(error instanceof GrpcError) || error.code !== Code.NOT_FOUND) throw error;
      // Another gateway than the one that has what came before.
      taken = await gateway.report({ ...request, adopt: true }, token, signal);
    }
    const through = Number(taken.durableThrough);
    if (through <= last) return through;
    // What is there under these positions is something else: acknowledging this would lose it.
    throw new Error(
      `the gateway has records of this spool up to \`${through}\`, \`${last}\` is the last one ` +
        "sent: keep the spool's file as evidence and move it away, so that a new one is started",
    );
  }

  #eventOf({ kind, bytes }: SpoolRecord): audit.AuditEvent {
    const { org_id: orgId, team_id: teamId, agent_id: agentId } = this.#on.name();
    const agent = create(common.AgentIdSchema, { orgId, teamId, agentId });
    if (kind === "event") {
      return { ...fromBinary(audit.AuditEventSchema, bytes), agentId: agent };
    }
    const decided = fromBinary(runtime.RuntimeDecisionSchema, bytes);
    return create(audit.AuditEventSchema, {
      agentId: agent,
      occurredAt: { unixMs: decided.decidedAtUnixMs },
      actionType: decided.actionType,
      decision: decided.decision,
      traceId: decided.traceId,
      spanId: decided.spanId,
      labels: { source: "runtime", because: decided.because },
    });
  }
}

/** As many records as one report takes. */
function partOf(records: readonly SpoolRecord[]): readonly SpoolRecord[] {
  let bytes = 0;
  const end = records.findIndex((record, at) => {
    bytes += record.bytes.length;
    return at > 0 && (at >= DECISION_LIMITS.report_records || bytes > DECISION_LIMITS.report_bytes);
  });
  return end < 0 ? records : records.slice(0, end);
}
