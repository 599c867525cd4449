/**
 * `assembly.audit.v1.AuditService`: what agents report of themselves (contract `wire` §1.4, §5.6).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { type EntryDraft, type EventType, hash16 } from "../../core/audit/entry.ts";
import { Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  type AuditEvent,
  type AuditService,
  ReportEventsResponseSchema,
  StreamEventsResponseSchema,
} from "../../proto/gen/assembly/audit/v1/audit_pb.ts";
import { AuditUnavailableError } from "../audit/errors.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { clean } from "../engine/evidence.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { type Registry, registryKeyOf } from "../registry/registry.ts";
import { requireAgent } from "./caller.ts";

/** What the service needs. */
export interface AuditServiceDependencies {
  readonly audit: Pick<AuditLog, "append">;
  readonly registry: Registry;
  readonly counters: Counters;
  readonly clock: Clock;
}

/** Events in one report. More: INVALID_ARGUMENT, nothing is recorded. */
export const REPORT_EVENTS_MAX = 10_000;

/** Handlers; every call needs a registered agent's token and speaks only of that agent. */
export function auditHandlers(
  on: AuditServiceDependencies,
): Partial<ServiceHandlers<typeof AuditService>> {
  return {
    reportEvents: async (request, context) => {
      const caller = requireAgent(context, on.registry, on.counters);
      if (request.events.length > REPORT_EVENTS_MAX) {
        throw new GrpcError(
          `events: ${request.events.length} in one report, at most ${REPORT_EVENTS_MAX}`,
          Code.INVALID_ARGUMENT,
        );
      }
      // The whole batch is checked before any of it is recorded.
      for (const event of request.events) requireOwn(event, caller);
      await Promise.all(request.events.map((event) => record(on, event)));
      return create(ReportEventsResponseSchema, {
        eventIds: request.events.map((event) => event.eventId),
      });
    },
    streamEvents: async (events, context) => {
      const caller = requireAgent(context, on.registry, on.counters);
      let received = 0n;
      for await (const event of events) {
        requireOwn(event, caller);
        await record(on, event);
        received += 1n;
      }
      return create(StreamEventsResponseSchema, { eventsReceived: received });
    },
  };
}

function requireOwn(event: AuditEvent, caller: AgentRecord): void {
  const id = event.agentId;
  const own = id !== undefined &&
    registryKeyOf({ org_id: id.orgId, team_id: id.teamId, agent_id: id.agentId }) === caller.key;
  if (!own) {
    throw new GrpcError(
      "agent_id: an event must name the calling agent itself",
      Code.PERMISSION_DENIED,
    );
  }
}

async function record(on: AuditServiceDependencies, event: AuditEvent): Promise<void> {
  try {
    await on.audit.append(reportedEntry(event, on.clock));
  } catch (error) {
    if (!(error instanceof AuditUnavailableError)) throw error;
    throw new GrpcError(`event not recorded: ${error.message}`, Code.UNAVAILABLE, { cause: error });
  }
}

/** Latest client time whose nanoseconds fit an unsigned 64-bit field; anything else counts as absent. */
const UNIX_MS_MAX = (2n ** 64n - 1n) / 1_000_000n;

/** wire decision → event type; anything unknown is a violation. */
const EVENT_OF_DECISION: Readonly<Record<number, EventType>> = {
  1: "ToolCallIntercepted",
  2: "PolicyViolation",
  3: "ApprovalRequested",
  4: "CredentialLeakBlocked",
};

/** Keeps what the reference keeps of an event, and drops the rest. */
export function reportedEntry(event: AuditEvent, clock: Clock): EntryDraft {
  const occurred_ms = event.occurredAt?.unixMs ?? 0n;
  const payload: Record<string, unknown> = {
    ...(event.detail.case === "toolCall" ? { action: clean(event.detail.value.toolName) } : {}),
    action_type: event.actionType,
    event_id: clean(event.eventId),
    parent_span_id: clean(event.parentSpanId),
    // Client time goes into the entry's timestamp; this is ours.
    received_at_ns: String(clock.now_ns()),
    source: "reported",
    span_id: clean(event.spanId),
  };
  const root = keyBytes(event.rootAgentId);
  return {
    event_type: EVENT_OF_DECISION[event.decision] ?? "PolicyViolation",
    timestamp_ns: occurred_ms > 0n && occurred_ms <= UNIX_MS_MAX ? occurred_ms * 1_000_000n : 0n,
    agent_id: hash16(event.agentId?.agentId ?? ""),
    session_id: event.traceId === "" ? new Uint8Array(16) : hash16(event.traceId),
    payload: JSON.stringify(payload),
    ...(root === undefined ? {} : { root_agent_id: root }),
    ...(event.teamId === "" ? {} : { team_id: clean(event.teamId) }),
    ...(event.delegationReason === "" ? {} : { delegation_reason: clean(event.delegationReason) }),
    ...(event.spawnedByTool === "" ? {} : { spawned_by_tool: clean(event.spawnedByTool) }),
    ...(event.depth === 0 ? {} : { depth: event.depth }),
  };
}

/** 32 hex digits or a UUID, as 16 bytes. */
function keyBytes(text: string): Uint8Array | undefined {
  const hex = text.replaceAll("-", "");
  return /^[0-9a-fA-F]{32}$/.test(hex) ? Uint8Array.fromHex(hex) : undefined;
}
