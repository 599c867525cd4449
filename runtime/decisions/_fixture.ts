/**
 * Doubles for the tests of deciding: a spool in memory that can fail, listeners that remember.
 *
 * @module
 */
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type audit, type event, policy, runtime } from "../../proto/mod.ts";
import type {
  ClientMessages,
  Connection,
  Origin,
  PipelinePart,
  SpoolPart,
  SpoolRecord,
} from "../parts.ts";

/** A spool that keeps what it is given, as long as it is told to. */
export class MemorySpool implements SpoolPart {
  readonly id: string = crypto.randomUUID();
  readonly records: SpoolRecord[] = [];
  failing: string | undefined;
  /** Awaited before a record counts as durable. */
  gate: Promise<void> = Promise.resolve();

  /** @inheritdoc */
  append = async (kind: SpoolRecord["kind"], bytes: Uint8Array): Promise<number> => {
    await this.gate;
    if (this.failing !== undefined) throw new Error(this.failing);
    const seq = this.records.length + 1;
    this.records.push({ seq, kind, bytes });
    return seq;
  };
  /** @inheritdoc */
  writable = (): Promise<void> => Promise.resolve();
  /** @inheritdoc */
  state = (): "ready" => "ready";

  /** What was decided, in order. */
  decided(): runtime.RuntimeDecision[] {
    return this.records.filter(({ kind }) => kind === "decision")
      .map(({ bytes }) => fromBinary(runtime.RuntimeDecisionSchema, bytes));
  }
}

/** Listeners that remember. */
export class Told implements PipelinePart, ClientMessages {
  readonly events: audit.AuditEvent[] = [];
  readonly origins: Origin[] = [];
  readonly approvals: { readonly connection: number; readonly decision: event.ApprovalDecision }[] =
    [];

  /** @inheritdoc */
  report = (reported: audit.AuditEvent, origin: Origin): Promise<void> => {
    this.events.push(reported);
    this.origins.push(origin);
    return Promise.resolve();
  };
  /** @inheritdoc */
  violation = (): void => {};
  /** @inheritdoc */
  approvalDecided = (connection: number, decision: event.ApprovalDecision): void => {
    this.approvals.push({ connection, decision });
  };
}

/** A client of the socket. */
export function client(more: Partial<Connection> = {}): Origin {
  const connection: Connection = {
    id: 1,
    sdk_version: "1",
    handshake: "public_id",
    applies_redactions: true,
    ...more,
  };
  return { source: "sdk", connection };
}

/** A signal that never fires. */
export const PATIENT: AbortSignal = new AbortController().signal;

/** An agent that asks. */
export interface Asker {
  readonly org: string;
  readonly team: string;
  readonly did: string;
  readonly token: string;
}

/** A query for a tool. */
export function toolQuery(
  agent: Asker,
  tool: string,
  args = "{}",
  more: MessageInitShape<typeof policy.CheckActionRequestSchema> = {},
): policy.CheckActionRequest {
  return create(policy.CheckActionRequestSchema, {
    agentId: { orgId: agent.org, teamId: agent.team, agentId: agent.did },
    credentialToken: agent.token,
    traceId: "trace",
    spanId: "span",
    actionType: 2,
    context: {
      action: {
        case: "toolCall",
        value: { toolName: tool, argsJson: new TextEncoder().encode(args) },
      },
    },
    ...more as Record<string, never>,
  });
}
